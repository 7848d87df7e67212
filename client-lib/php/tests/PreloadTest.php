<?php

declare(strict_types=1);

namespace Plugind\Tests;

use PHPUnit\Framework\TestCase;

/**
 * What FPM users meet: PHP's built-in web server restricts FFI as every server but the command line
 * does.
 *
 * @requires extension Zend OPcache
 */
final class PreloadTest extends TestCase
{
    public function testWithoutPreloadingTheErrorSaysWhatToDo(): void
    {
        $answer = $this->answerOf([]);
        self::assertStringContainsString('opcache.preload to name preload.php', $answer);
    }

    public function testPreloadedTheClientWorksUnderTheDefaultSetting(): void
    {
        $user = posix_getpwuid(posix_geteuid())['name'];
        $settings = ['opcache.preload=' . dirname(__DIR__) . '/preload.php'];
        $answer = $this->answerOf([...$settings, "opcache.preload_user={$user}"]);
        self::assertSame("cli-server TEST_REASON\nhello", $answer);
    }

    /** @param list<string> $settings */
    private function answerOf(array $settings): string
    {
        $server = new Server();
        $environment = ['PLUGIND_SOCKET' => $server->address] + getenv();
        $arguments = ['-d', 'ffi.enable=preload'];
        foreach ($settings as $setting) {
            array_push($arguments, '-d', $setting);
        }
        // The web server cannot choose a free port itself, so another program may be faster.
        for ($attempt = 0; $attempt < 5; ++$attempt) {
            $answer = $this->ask($arguments, $environment);
            if ($answer !== null) {
                return $answer;
            }
        }
        self::fail('the web server does not start');
    }

    /**
     * @param list<string>          $arguments
     * @param array<string, string> $environment
     */
    private function ask(array $arguments, array $environment): ?string
    {
        $socket = stream_socket_server('tcp://127.0.0.1:0');
        $address = stream_socket_get_name($socket, false);
        fclose($socket);
        $command = [PHP_BINARY, ...$arguments, '-S', $address, __DIR__ . '/web.php'];
        $descriptors = [['null'], ['null'], ['pipe', 'w']];
        $process = proc_open($command, $descriptors, $pipes, null, $environment);
        try {
            while (($line = fgets($pipes[2])) !== false) {
                if (str_contains($line, 'started')) {
                    return file_get_contents("http://{$address}/");
                }
            }
            return null;
        } finally {
            proc_terminate($process);
            proc_close($process);
        }
    }
}
