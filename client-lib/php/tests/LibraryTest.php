<?php

declare(strict_types=1);

namespace Plugind\Tests;

use PHPUnit\Framework\TestCase;
use Plugind\Library;

final class LibraryTest extends TestCase
{
    /** @return list<string> */
    private static function declarations(string $text): array
    {
        $text = preg_replace('~/\*.*?\*/~s', '', $text);
        $text = preg_replace('/^\s*#.*$|extern "C" \{|^\}|\bPD_API\b/m', '', $text);
        $declarations = array_map(
            static fn (string $one): string => trim(preg_replace('/\s+/', ' ', $one)),
            explode(';', $text)
        );
        $declarations = array_values(array_filter($declarations));
        sort($declarations);
        return $declarations;
    }

    public function testTheDeclarationsAreThoseOfTheHeader(): void
    {
        $header = file_get_contents(__DIR__ . '/../../include/plugind/plugind.h');
        self::assertSame(
            self::declarations($header),
            self::declarations(Library::DECLARATIONS)
        );
    }

    public function testTheVersionIsThatOfTheLibrary(): void
    {
        self::assertMatchesRegularExpression('/^\d+\.\d+\.\d+/', Library::version());
    }

    public function testAMissingLibrarySaysWhatToDo(): void
    {
        $output = $this->runPhp(
            ['-r', 'require "preload.php"; Plugind\Client::connect();'],
            ['PLUGIND_LIBRARY' => '/nonexistent/libplugind.so']
        );
        self::assertStringContainsString('set PLUGIND_LIBRARY to the file', $output);
        self::assertStringContainsString('/nonexistent/libplugind.so', $output);
    }

    public function testTheHostInTheReadmeRuns(): void
    {
        $readme = file_get_contents(__DIR__ . '/../README.md');
        preg_match('/```php\n(.*?)```/s', $readme, $example);
        $server = new Server();
        $environment = ['PLUGIND_SOCKET' => $server->address] + getenv();
        self::assertSame("hello\n", $this->runPhp(['-r', $example[1]], $environment));
    }

    /**
     * @requires OS Linux
     */
    public function testNoSignalAndNoThreadIsTouched(): void
    {
        $server = new Server();
        $script = __DIR__ . '/state-of-host.php';
        $command = [PHP_BINARY, $script, $server->address];
        $host = proc_open($command, [['pipe', 'r'], ['pipe', 'w'], STDERR], $pipes);
        try {
            self::assertSame("changed by load and call: []\n", fgets($pipes[1]));
            $server->end();
        } finally {
            fclose($pipes[0]);
            $rest = stream_get_contents($pipes[1]);
            $status = proc_close($host);
        }
        self::assertSame("changed by its death: []\nchanged by close: []\n", $rest);
        self::assertSame(0, $status);
    }

    /**
     * @param list<string>          $arguments
     * @param array<string, string> $environment
     */
    private function runPhp(array $arguments, array $environment): string
    {
        $descriptors = [['null'], ['pipe', 'w'], ['redirect', 1]];
        $command = [PHP_BINARY, '-d', 'display_errors=1', ...$arguments];
        $process = proc_open($command, $descriptors, $pipes, dirname(__DIR__), $environment);
        $output = stream_get_contents($pipes[1]);
        proc_close($process);
        return $output;
    }
}
