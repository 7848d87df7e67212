<?php

declare(strict_types=1);

namespace Plugind;

use FFI\CData;

/**
 * A connection to the daemon.  A connection that breaks is opened again by the next call.
 *
 * After pcntl_fork() the child has to connect for itself: there, calls on an inherited client fail
 * with FailedPrecondition.
 */
final class Client
{
    private const LONGEST_SECONDS = 1e15;

    private function __construct(private readonly \FFI $library, private ?CData $handle)
    {
    }

    /**
     * Connects to the daemon.
     *
     * @param string|null $address "unix:/path", "tcp:HOST:PORT" or an absolute path; null means
     *                             $PLUGIND_SOCKET, else $XDG_RUNTIME_DIR/plugind/plugind.sock,
     *                             else /run/plugind/plugind.sock
     * @param float       $timeout seconds to wait for the connection and the daemon's greeting
     *
     * @throws PlugindException Unavailable when no daemon answers there, InvalidArgument when the
     *                          address cannot be understood, PermissionDenied when this user may
     *                          not open the socket, DeadlineExceeded
     */
    public static function connect(?string $address = null, float $timeout = 5.0): self
    {
        $library = Library::load();
        $error = $library->new('pd_error *');
        $handle = $library->pd_connect(
            $address === null ? null : self::checked($address, 'address'),
            self::milliseconds($timeout),
            \FFI::addr($error)
        );
        if ($handle === null) {
            throw self::takeError($library, $error);
        }
        return new self($library, $handle);
    }

    /**
     * Makes one unary call, waits for it and returns the serialised reply message.
     *
     * @param string|null $plugin  a name, "NAME@VERSION", or null to let the daemon choose by the
     *                             service
     * @param string      $method  "/package.Service/Method"
     * @param string      $request the serialised request message
     * @param float|null  $timeout seconds; null sets no bound on this side, the daemon's own
     *                             calls.timeout still holds
     * @param array<string, string|list<string>> $metadata names are lower case; a name that ends
     *                             in "-bin" takes any bytes, others take printable ASCII
     *
     * @throws PlugindException what the plugin, the daemon or the connection said
     */
    public function invoke(
        ?string $plugin,
        string $method,
        string $request = '',
        ?float $timeout = null,
        array $metadata = [],
    ): string {
        if ($this->handle === null) {
            $message = 'the client is closed; connect again to call';
            throw new PlugindException(Code::FailedPrecondition, '', $message);
        }
        $library = $this->library;
        $error = $library->new('pd_error *');
        $options = $this->newOptions($timeout, $metadata);
        try {
            $reply = $library->pd_invoke(
                $this->handle,
                $plugin === null ? null : self::checked($plugin, 'plugin'),
                self::checked($method, 'method'),
                $request,
                strlen($request),
                $options,
                \FFI::addr($error)
            );
        } finally {
            $library->pd_options_free($options);
        }
        if ($reply === null) {
            throw self::takeError($library, $error);
        }
        try {
            return \FFI::string($library->pd_reply_data($reply), $library->pd_reply_size($reply));
        } finally {
            $library->pd_reply_free($reply);
        }
    }

    /** Closes the connection.  A second close() does nothing. */
    public function close(): void
    {
        if ($this->handle !== null) {
            $this->library->pd_close($this->handle);
            $this->handle = null;
        }
    }

    public function __destruct()
    {
        $this->close();
    }

    /** @param array<string, string|list<string>> $metadata */
    private function newOptions(?float $timeout, array $metadata): CData
    {
        $milliseconds = $timeout === null ? 0 : self::milliseconds($timeout);
        $options = $this->library->pd_options_new();
        $this->library->pd_options_set_timeout_ms($options, $milliseconds);
        foreach ($metadata as $name => $values) {
            foreach ((array) $values as $value) {
                $this->addMetadata($options, (string) $name, $value);
            }
        }
        return $options;
    }

    private function addMetadata(CData $options, string $name, string $value): void
    {
        $length = strlen($value);
        if (
            !str_contains($name, "\0")
            && $this->library->pd_options_add_metadata($options, $name, $value, $length) === 0
        ) {
            return;
        }
        $this->library->pd_options_free($options);
        throw new PlugindException(Code::InvalidArgument, '', sprintf(
            'metadata %s = %s is not allowed; names are lower case, values printable ASCII unless '
            . 'the name ends in "-bin"',
            var_export($name, true),
            var_export($value, true)
        ));
    }

    private static function takeError(\FFI $library, CData $error): PlugindException
    {
        try {
            return new PlugindException(
                Code::tryFrom($library->pd_error_code($error)) ?? Code::Unknown,
                $library->pd_error_reason($error),
                $library->pd_error_message($error)
            );
        } finally {
            $library->pd_error_free($error);
        }
    }

    private static function milliseconds(float $timeout): int
    {
        // 0 means "no bound" to libplugind, which is never what a program that computed 0 wants.
        if (!($timeout > 0)) {
            throw new \ValueError("timeout is {$timeout} s; it must be more than 0");
        }
        return (int) ceil(min($timeout, self::LONGEST_SECONDS) * 1000);
    }

    private static function checked(string $text, string $what): string
    {
        if (str_contains($text, "\0")) {
            throw new \ValueError("{$what} contains a zero byte");
        }
        return $text;
    }
}
