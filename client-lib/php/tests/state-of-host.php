<?php

declare(strict_types=1);

// Prints whether libplugind changed its host: `state-of-host.php ADDRESS`, for LibraryTest.php.
//
// A process of its own, so that "before" is before the library is loaded.  The test ends the server
// when it has read the first line, then closes standard input.

use Plugind\Client;
use Plugind\PlugindException;

require __DIR__ . '/../preload.php';

function state(): array
{
    $status = file('/proc/self/status', FILE_IGNORE_NEW_LINES);
    return preg_grep('/^(SigBlk|SigIgn|SigCgt|Threads):/', $status);
}

$before = state();
$changes = static fn (): string => json_encode(array_values(array_diff_assoc(state(), $before)));

$client = Client::connect($argv[1]);
$client->invoke('text', '/test.Test/Echo', 'x', 30.0);
echo "changed by load and call: {$changes()}\n";
stream_get_contents(STDIN);
try {
    $client->invoke('text', '/test.Test/Echo', 'x', 30.0);
    echo "the server is still there\n";
} catch (PlugindException) {
    echo "changed by its death: {$changes()}\n";
}
$client->close();
echo "changed by close: {$changes()}\n";
