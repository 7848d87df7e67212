<?php

declare(strict_types=1);

namespace Plugind;

/**
 * A call that failed, in the plugin, in the daemon or on the way.
 *
 * getMessage() says what failed and what to do, for people.
 */
final class PlugindException extends \RuntimeException
{
    /**
     * @param Code   $status the gRPC status code
     * @param string $reason a stable word for programs, such as "PLUGIN_CRASHED"; "" when the
     *                       plugin itself answered with a status that carries none
     */
    public function __construct(
        public readonly Code $status,
        public readonly string $reason,
        string $message,
    ) {
        parent::__construct($message, $status->value);
    }

    /** All of it in a line: "UNAVAILABLE (PLUGIN_CRASHED): message". */
    public function describe(): string
    {
        $reason = $this->reason === '' ? '' : " ({$this->reason})";
        return "{$this->status->grpcName()}{$reason}: {$this->getMessage()}";
    }
}
