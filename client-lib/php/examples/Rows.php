<?php

declare(strict_types=1);

use Plugind\PlugindException;

/** Prints one line a call, and remembers whether all were as expected. */
final class Rows
{
    private int $failed = 0;

    public function __construct(private readonly string $host, private readonly string $route)
    {
    }

    /** @param callable(): array{bool, string} $call gives whether all is as expected, and what came */
    public function show(string $plugin, string $name, callable $call): void
    {
        $start = hrtime(true);
        try {
            [$ok, $result] = $call();
        } catch (PlugindException $failure) {
            [$ok, $result] = [false, $failure->describe()];
        } catch (Throwable $failure) {
            [$ok, $result] = [false, $failure->getMessage()];
        }
        $milliseconds = sprintf('%.1f', (hrtime(true) - $start) / 1e6);
        // Not mb_substr(): a PHP of Debian's php-cli alone has no mbstring.
        preg_match('/^.{0,80}/u', preg_replace('/\s+/', ' ', trim($result)), $match);
        $short = $match[0] ?? '(not UTF-8)';
        $verdict = $ok ? 'ok' : 'FAIL';
        $columns = [$this->host, $this->route, $plugin, $name, $verdict, $short, $milliseconds];
        echo implode("\t", $columns), "\n";
        $this->failed += $ok ? 0 : 1;
    }

    public function exitCode(): int
    {
        return $this->failed ? 1 : 0;
    }
}
