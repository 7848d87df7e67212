<?php

declare(strict_types=1);

require __DIR__ . '/../examples/autoload.php';
require __DIR__ . '/Server.php';
