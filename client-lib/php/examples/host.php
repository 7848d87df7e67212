<?php

declare(strict_types=1);

// A host on libplugind: unary calls to every plugin over one connection.

use Kv\GetRequest;
use Kv\GetResponse;
use Kv\PutRequest;
use Plugind\Client;
use Plugind\Code;
use Plugind\PlugindException;
use Text\V1\EchoReply;
use Text\V1\EchoRequest;
use Text\V1\MayPanicRequest;
use Text\V1\MayPanicRequest\Mode;
use Text\V1\ReverseReply;
use Text\V1\ReverseRequest;

require __DIR__ . '/autoload.php';
require __DIR__ . '/Rows.php';

const TIMEOUT = 60.0;
const MIB = 1024 * 1024;

ini_set('memory_limit', '512M'); // PHP's protobuf runtime copies a big buffer several times

$rows = new Rows('php-ffi', 'libplugind');
$client = Client::connect();

$text = static fn (string $method, $request): string =>
    $client->invoke('text', "/text.v1.Text/{$method}", $request->serializeToString(), TIMEOUT);
$kv = static fn (string $method, $request): string =>
    $client->invoke('kv', "/proto.KV/{$method}", $request->serializeToString(), TIMEOUT);

$put = static function () use ($kv): array {
    $kv('Put', new PutRequest(['key' => 'php-ffi', 'value' => 'a string from PHP']));
    return [true, 'a string from PHP'];
};

$get = static function () use ($kv): array {
    $reply = new GetResponse();
    $reply->mergeFromString($kv('Get', new GetRequest(['key' => 'php-ffi'])));
    return [str_starts_with($reply->getValue(), 'a string from PHP'), $reply->getValue()];
};

$echo = static function () use ($text): array {
    $reply = new EchoReply();
    $reply->mergeFromString($text('Echo', new EchoRequest(['text' => 'héllo from PHP'])));
    $expected = 'beep boop I got your string. here it is: héllo from PHP';
    return [$reply->getText() === $expected, $reply->getText()];
};

$reverse = static function () use ($text): array {
    $data = random_bytes(16 * MIB);
    $reply = new ReverseReply();
    $reply->mergeFromString($text('Reverse', new ReverseRequest(['data' => $data])));
    $size = strlen($reply->getData()) / MIB;
    return [$reply->getData() === strrev($data), "{$size} MiB came back reversed"];
};

$mayPanic = static fn (int $mode, callable $expected): callable =>
    static function () use ($text, $mode, $expected): array {
        try {
            $text('MayPanic', new MayPanicRequest(['mode' => $mode]));
        } catch (PlugindException $error) {
            return [$expected($error), $error->describe()];
        }
        return [false, 'the call succeeded'];
    };

$domainError = static fn (PlugindException $error): bool =>
    $error->status === Code::InvalidArgument
    && $error->getMessage() === 'the text is empty of sense';
$crash = static fn (PlugindException $error): bool =>
    $error->status === Code::Unavailable && $error->reason === 'PLUGIN_CRASHED';
// tonic cancels the call whose handler panicked; the plugin lives.
$cancelled = static fn (PlugindException $error): bool => $error->status === Code::Cancelled;

$rows->show('kv', 'Put', $put);
$rows->show('kv', 'Get', $get);
$rows->show('text', 'Echo', $echo);
$rows->show('text', 'Reverse 16 MiB', $reverse);
$rows->show('text', 'MayPanic ERROR', $mayPanic(Mode::ERROR, $domainError));
$rows->show('text', 'MayPanic PANIC', $mayPanic(Mode::PANIC, $cancelled));
$rows->show('text', 'Echo after PANIC', $echo);
$rows->show('text', 'MayPanic SEGFAULT', $mayPanic(Mode::SEGFAULT, $crash));
$rows->show('text', 'Echo again', $echo);

$client->close();
exit($rows->exitCode());
