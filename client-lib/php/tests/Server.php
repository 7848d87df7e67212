<?php

declare(strict_types=1);

namespace Plugind\Tests;

/** A gRPC server process on a Unix socket, which can be ended and started again. */
final class Server
{
    private const PYTHON = __DIR__ . '/../../python/.venv/bin/python';
    private const SCRIPT = __DIR__ . '/../../python/tests/server.py';

    public readonly string $address;
    private readonly string $directory;
    /** @var resource|null */
    private $process = null;
    /** @var array<int, resource> */
    private array $pipes = [];

    public function __construct()
    {
        $this->directory = sys_get_temp_dir() . '/plugind-php-' . bin2hex(random_bytes(6));
        mkdir($this->directory, 0700);
        $this->address = "unix:{$this->directory}/server.sock";
        $this->start();
    }

    public function start(): void
    {
        $command = [self::PYTHON, self::SCRIPT, $this->address];
        $process = proc_open($command, [['pipe', 'r'], ['pipe', 'w'], STDERR], $this->pipes);
        if ($process === false || fgets($this->pipes[1]) !== "ready\n") {
            throw new \RuntimeException('the test server does not start; run ../python/setup.sh');
        }
        $this->process = $process;
    }

    /** Closes the server's standard input, which ends it, and waits for that. */
    public function end(): void
    {
        if ($this->process !== null) {
            array_map('fclose', $this->pipes);
            proc_close($this->process);
            $this->process = null;
        }
    }

    public function __destruct()
    {
        $this->end();
        array_map('unlink', glob("{$this->directory}/*"));
        rmdir($this->directory);
    }
}
