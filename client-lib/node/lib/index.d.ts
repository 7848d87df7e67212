/// <reference types="node" />

/** Where plugind is, and how long to wait for it. */
export interface ConnectOptions {
  /**
   * `unix:/path`, `tcp:HOST:PORT` or an absolute path.  Without it: `$PLUGIND_SOCKET`, else
   * `$XDG_RUNTIME_DIR/plugind/plugind.sock`, else `/run/plugind/plugind.sock`.
   */
  address?: string;
  /** The longest to wait for the connection and for the daemon's greeting; 5,000 without it. */
  timeoutMs?: number;
}

export interface InvokeOptions {
  /**
   * The longest the call may take, its wait for a free thread included.  Without it there is no
   * bound on this side; the daemon's own `calls.timeout` still holds.
   */
  timeoutMs?: number;
  /**
   * Request metadata.  Names are lower case; a name that ends in `-bin` takes any bytes, others
   * take printable ASCII.
   */
  metadata?:
    | Record<string, string | Uint8Array>
    | Iterable<readonly [string, string | Uint8Array]>;
}

/**
 * Connects to the daemon, without blocking the event loop.
 *
 * Rejects with a {@link PlugindError}: `UNAVAILABLE` when no daemon answers there,
 * `INVALID_ARGUMENT` when the address cannot be understood, `PERMISSION_DENIED` when this user may
 * not open the socket, `DEADLINE_EXCEEDED` when no greeting comes in time.
 */
export function connect(options?: ConnectOptions): Promise<Client>;

/**
 * One connection to the daemon, for any number of calls at once.  A connection that breaks is
 * opened again by the next call.  Made by {@link connect}.
 */
export class Client {
  private constructor();

  /**
   * Makes one unary call and resolves to the serialised reply message.
   *
   * `plugin` is a name, `NAME@VERSION`, or null to let the daemon choose by the service.  `method`
   * is `/package.Service/Method`.  `request` is the serialised request message; it is read where it
   * lies, so do not change it before the promise settles.
   *
   * Each running call holds one of libuv's threads; calls over that number wait their turn.  See
   * the README for `UV_THREADPOOL_SIZE`.
   *
   * Rejects with a {@link PlugindError} that carries what the plugin, the daemon or the connection
   * said.
   */
  invoke(
    plugin: string | null,
    method: string,
    request?: Uint8Array,
    options?: InvokeOptions,
  ): Promise<Buffer>;

  /**
   * Lets no new call start, and closes the connection when the last call in flight ends.  Does not
   * wait.  A second `close()` does nothing.
   */
  close(): void;
}

/** A call that failed, in the plugin, in the daemon or on the way. */
export class PlugindError extends Error {
  constructor(code: number, reason: string, message: string);
  readonly name: 'PlugindError';
  /** A gRPC status code, 1 to 16; see {@link Code}. */
  readonly code: number;
  /**
   * A stable word for programs, such as `PLUGIN_CRASHED`; empty when the plugin itself answered
   * with a status that carries none.
   */
  readonly reason: string;
  /** All of it in a line: `UNAVAILABLE (PLUGIN_CRASHED): message`. */
  toString(): string;
}

/** gRPC status codes, as https://grpc.io/docs/guides/status-codes/ numbers them. */
export const Code: {
  readonly CANCELLED: 1;
  readonly UNKNOWN: 2;
  readonly INVALID_ARGUMENT: 3;
  readonly DEADLINE_EXCEEDED: 4;
  readonly NOT_FOUND: 5;
  readonly ALREADY_EXISTS: 6;
  readonly PERMISSION_DENIED: 7;
  readonly RESOURCE_EXHAUSTED: 8;
  readonly FAILED_PRECONDITION: 9;
  readonly ABORTED: 10;
  readonly OUT_OF_RANGE: 11;
  readonly UNIMPLEMENTED: 12;
  readonly INTERNAL: 13;
  readonly UNAVAILABLE: 14;
  readonly DATA_LOSS: 15;
  readonly UNAUTHENTICATED: 16;
};

/** The version of the loaded libplugind, for example `0.1.0`. */
export function libraryVersion(): string;
