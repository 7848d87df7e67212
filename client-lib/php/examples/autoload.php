<?php

declare(strict_types=1);

// What Composer's autoloader would do: the client, the messages that protoc generated, and the
// protobuf runtime, which Debian installs on the include path.
spl_autoload_register(static function (string $class): void {
    $path = str_replace('\\', '/', $class) . '.php';
    $plugind = __DIR__ . '/../src/' . substr($path, strlen('Plugind/'));
    $file = str_starts_with($class, 'Plugind\\') ? $plugind : stream_resolve_include_path($path);
    if ($file !== false && is_file($file)) {
        require_once $file;
    }
});
