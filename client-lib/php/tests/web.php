<?php

declare(strict_types=1);

// The page that PreloadTest.php asks for.

if (!class_exists(Plugind\Client::class, false)) {
    require __DIR__ . '/../preload.php';
}
try {
    $client = Plugind\Client::connect();
    try {
        $client->invoke('text', '/test.Test/Fail', '', 30.0);
    } catch (Plugind\PlugindException $error) {
        echo PHP_SAPI, ' ', $error->reason, "\n";
    }
    echo $client->invoke('text', '/test.Test/Echo', 'hello', 30.0);
} catch (RuntimeException $error) {
    echo $error->getMessage();
}
