<?php

declare(strict_types=1);

namespace Plugind\Tests;

use PHPUnit\Framework\TestCase;
use Plugind\Client;
use Plugind\Code;
use Plugind\PlugindException;

final class ClientTest extends TestCase
{
    private const TIMEOUT = 30.0;

    private static ?Server $server;
    private Client $client;

    public static function setUpBeforeClass(): void
    {
        self::$server = new Server();
    }

    public static function tearDownAfterClass(): void
    {
        self::$server = null;
    }

    protected function setUp(): void
    {
        $this->client = Client::connect(self::$server->address);
    }

    protected function tearDown(): void
    {
        $this->client->close();
    }

    private function invoke(string $name, string $request = '', mixed ...$options): string
    {
        $options += ['timeout' => self::TIMEOUT];
        return $this->client->invoke('text', "/test.Test/{$name}", $request, ...$options);
    }

    private static function failure(callable $call): PlugindException
    {
        try {
            $call();
        } catch (PlugindException $error) {
            return $error;
        }
        self::fail('the call succeeded');
    }

    /** @return array<string, string> */
    private static function seen(string $reply): array
    {
        $seen = [];
        foreach (explode("\n", $reply) as $line) {
            [$name, $hex] = explode('=', $line);
            $seen[$name] = hex2bin($hex);
        }
        return $seen;
    }

    public function testBytesGoThereAndBack(): void
    {
        self::assertSame("héllo\0wörld", $this->invoke('Echo', "héllo\0wörld"));
    }

    public function testAnEmptyMessageIsAMessage(): void
    {
        self::assertSame('', $this->invoke('Echo'));
    }

    public function testSixteenMibGoBothWays(): void
    {
        $data = random_bytes(16 * 1024 * 1024);
        self::assertTrue($this->invoke('Reverse', $data) === strrev($data));
    }

    public function testManyCallsOnTwoClients(): void
    {
        $other = Client::connect(self::$server->address);
        for ($i = 0; $i < 200; ++$i) {
            $data = random_bytes(1000 + $i);
            self::assertSame(strrev($data), $this->invoke('Reverse', $data));
            $reply = $other->invoke(null, '/test.Test/Reverse', $data, self::TIMEOUT);
            self::assertSame(strrev($data), $reply);
        }
    }

    public function testThePluginIsNamedInTheMetadata(): void
    {
        self::assertSame('text', self::seen($this->invoke('Metadata'))['plugind-plugin']);
        $reply = $this->client->invoke(null, '/test.Test/Metadata', '', self::TIMEOUT);
        self::assertArrayNotHasKey('plugind-plugin', self::seen($reply));
    }

    public function testMetadataIsSent(): void
    {
        $metadata = ['x-text' => 'plain', 'x-data-bin' => ["\0\xff"]];
        $seen = self::seen($this->invoke('Metadata', metadata: $metadata));
        self::assertSame('plain', $seen['x-text']);
        self::assertSame("\0\xff", $seen['x-data-bin']);
    }

    /**
     * @testWith ["X-Upper", "v"]
     *           ["x-text", "two\nlines"]
     *           ["x\u0000y", "v"]
     */
    public function testMetadataThatGrpcForbidsIsRefused(string $name, string $value): void
    {
        $error = self::failure(fn () => $this->invoke('Echo', metadata: [$name => $value]));
        self::assertSame(Code::InvalidArgument, $error->status);
        self::assertStringContainsString('is not allowed', $error->getMessage());
    }

    public function testAnErrorCarriesStatusReasonAndMessage(): void
    {
        $error = self::failure(fn () => $this->invoke('Fail'));
        self::assertSame(Code::InvalidArgument, $error->status);
        self::assertSame(3, $error->getCode());
        self::assertSame('TEST_REASON', $error->reason);
        self::assertSame('the tëst failed', $error->getMessage());
        self::assertSame('INVALID_ARGUMENT (TEST_REASON): the tëst failed', $error->describe());
    }

    public function testAnErrorWithoutDetailsHasNoReason(): void
    {
        $error = self::failure(fn () => $this->invoke('FailPlain'));
        self::assertSame([Code::NotFound, ''], [$error->status, $error->reason]);
        self::assertSame('NOT_FOUND: no such thing', $error->describe());
    }

    public function testACallEndsAtItsTimeoutAndTheClientGoesOn(): void
    {
        $error = self::failure(fn () => $this->invoke('Wait', timeout: 0.05));
        self::assertSame(Code::DeadlineExceeded, $error->status);
        self::assertSame('on', $this->invoke('Echo', 'on'));
    }

    /**
     * @testWith [0.0]
     *           [-1.0]
     */
    public function testATimeoutThatCouldMeanForeverIsRefused(float $timeout): void
    {
        $this->expectException(\ValueError::class);
        $this->invoke('Echo', timeout: $timeout);
    }

    public function testAZeroByteInANameIsRefused(): void
    {
        $this->expectException(\ValueError::class);
        $this->client->invoke("te\0xt", '/test.Test/Echo');
    }

    public function testAClosedClientRefusesCalls(): void
    {
        $this->client->close();
        $this->client->close();
        $error = self::failure(fn () => $this->invoke('Echo'));
        self::assertSame(Code::FailedPrecondition, $error->status);
    }

    public function testADroppedClientClosesItsConnection(): void
    {
        $sockets = static fn (): int => count(array_filter(
            array_map(static fn (string $fd) => (string) @readlink($fd), glob('/proc/self/fd/*')),
            static fn (string $target): bool => str_starts_with($target, 'socket:')
        ));
        $before = $sockets();
        $dropped = Client::connect(self::$server->address);
        self::assertGreaterThan($before, $sockets());
        unset($dropped);
        self::assertSame($before, $sockets());
    }

    public function testConnectReadsTheEnvironment(): void
    {
        putenv('PLUGIND_SOCKET=' . self::$server->address);
        try {
            $reply = Client::connect()->invoke('text', '/test.Test/Echo', 'x', self::TIMEOUT);
        } finally {
            putenv('PLUGIND_SOCKET');
        }
        self::assertSame('x', $reply);
    }

    public function testConnectSaysWhereNoDaemonAnswers(): void
    {
        $error = self::failure(fn () => Client::connect('/nonexistent/plugind.sock'));
        self::assertSame(Code::Unavailable, $error->status);
        self::assertStringContainsString('/nonexistent/plugind.sock', $error->getMessage());
    }

    public function testConnectRefusesAnAddressItCannotUnderstand(): void
    {
        $error = self::failure(fn () => Client::connect('carrier-pigeon:coop'));
        self::assertSame(Code::InvalidArgument, $error->status);
    }

    public function testAServerThatDiesIsAnAnswerAndItsSuccessorIsFound(): void
    {
        $server = new Server();
        $client = Client::connect($server->address);
        $call = static fn (string $name): string =>
            $client->invoke('text', "/test.Test/{$name}", 'x', self::TIMEOUT);
        $error = self::failure(static fn () => $call('Exit'));
        self::assertSame([Code::Unavailable, 'DAEMON_GONE'], [$error->status, $error->reason]);
        $server->end();
        self::assertSame(Code::Unavailable, self::failure(static fn () => $call('Echo'))->status);
        $server->start();
        self::assertSame('x', $call('Echo'));
    }
}
