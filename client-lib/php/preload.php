<?php

declare(strict_types=1);

// For opcache.preload: compiled here, the client may use FFI under ffi.enable=preload, PHP's
// default, which allows FFI to no other code outside the command line.
foreach (['Code', 'PlugindException', 'Library', 'Client'] as $class) {
    require_once __DIR__ . "/src/{$class}.php";
}
