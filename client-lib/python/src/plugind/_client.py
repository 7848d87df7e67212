"""The client: one connection to the daemon, used by any number of threads."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Union

from ._channel import Channel
from ._error import Code, Error
from ._library import load

Metadata = Union[Mapping[str, Union[str, bytes]], Iterable[tuple[str, Union[str, bytes]]]]
Buffer = Union[bytes, bytearray, memoryview]


def connect(address: str | None = None, timeout: float = 5.0) -> Client:
    """Connects to the daemon.

    `address` is "unix:/path", "tcp:HOST:PORT" or an absolute path.  None means $PLUGIND_SOCKET,
    else $XDG_RUNTIME_DIR/plugind/plugind.sock, else /run/plugind/plugind.sock.  `timeout`, in
    seconds, bounds the wait for the connection and for the daemon's greeting.

    Raises Error: UNAVAILABLE when no daemon answers there, INVALID_ARGUMENT when the address cannot
    be understood, PERMISSION_DENIED when this user may not open the socket, DEADLINE_EXCEEDED.
    """
    ffi, lib = load()
    error = ffi.new("pd_error **")
    c_address = ffi.NULL if address is None else _c_string(address, "address")
    handle = lib.pd_connect(c_address, _milliseconds(timeout), error)
    if handle == ffi.NULL:
        raise _take_error(error)
    return Client(handle)


class Client:
    """A connection to the daemon; made by connect().

    Many threads may use one client at once: the interpreter lock is released while a call waits.
    A connection that breaks is opened again by the next call.  After os.fork() the child has to
    connect for itself: there, calls on an inherited client fail with FAILED_PRECONDITION.
    """

    def __init__(self, handle: Any) -> None:
        _, lib = load()
        self._handle = handle
        self._lock = threading.Lock()
        self._calls = 0
        self._closed = False
        # For a client that is dropped without close(), and so that pd_close runs once only.
        self._free = weakref.finalize(self, lib.pd_close, handle)
        self._free.atexit = False

    def invoke(
        self,
        plugin: str | None,
        method: str,
        request: Buffer = b"",
        timeout: float | None = None,
        metadata: Metadata | None = None,
    ) -> bytes:
        """Makes one unary call, waits for it and returns the serialised reply message.

        `plugin` is a name, "NAME@VERSION", or None to let the daemon choose by the service.
        `method` is "/package.Service/Method".  `request` is the serialised request message.
        `timeout` is in seconds; None sets no bound on this side, the daemon's own calls.timeout
        still holds.  A metadata name that ends in "-bin" takes any bytes, other names take
        printable ASCII.

        A KeyboardInterrupt is delivered when the call has ended, so give a timeout.

        Raises Error with what the plugin, the daemon or the connection said.
        """
        ffi, lib = load()
        c_plugin = ffi.NULL if plugin is None else _c_string(plugin, "plugin")
        c_method = _c_string(method, "method")
        c_request = ffi.from_buffer(request)
        options = _options(timeout, metadata)
        error = ffi.new("pd_error **")
        handle = self._enter()
        try:
            reply = lib.pd_invoke(
                handle, c_plugin, c_method, c_request, len(c_request), options, error
            )
        finally:
            self._leave()
        if reply == ffi.NULL:
            raise _take_error(error)
        try:
            return bytes(ffi.buffer(lib.pd_reply_data(reply), lib.pd_reply_size(reply)))
        finally:
            lib.pd_reply_free(reply)

    def channel(self, plugin: str | None = None) -> Channel:
        """A channel for generated *_pb2_grpc stubs: `TextStub(client.channel("text"))`."""
        return Channel(self, plugin)

    def close(self) -> None:
        """Lets no new call start, and closes the connection when the last call in flight ends.

        Does not wait.  A second close() does nothing.
        """
        with self._lock:
            self._closed = True
            idle = self._calls == 0
        if idle:
            self._free()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # pd_close frees the client, so it may only run when no thread is in, or on its way into, a
    # call: the call that leaves last after close() runs it.
    def _enter(self) -> Any:
        with self._lock:
            if self._closed:
                raise Error(
                    Code.FAILED_PRECONDITION, "", "the client is closed; connect again to call"
                )
            self._calls += 1
            return self._handle

    def _leave(self) -> None:
        with self._lock:
            self._calls -= 1
            last = self._closed and self._calls == 0
        if last:
            self._free()


def _milliseconds(timeout: float) -> int:
    # 0 means "no bound" to libplugind, which is never what a program that computed 0 wants.
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout!r} s; it must be more than 0")
    return min(math.ceil(min(timeout, 1e15) * 1000), 2**63 - 1)


def _c_string(text: str, what: str) -> bytes:
    encoded = text.encode()
    if b"\0" in encoded:
        raise ValueError(f"{what} {text!r} contains a zero byte")
    return encoded


def _options(timeout: float | None, metadata: Metadata | None) -> Any:
    ffi, lib = load()
    if timeout is None and not metadata:
        return ffi.NULL
    options = ffi.gc(lib.pd_options_new(), lib.pd_options_free)
    if timeout is not None:
        lib.pd_options_set_timeout_ms(options, _milliseconds(timeout))
    pairs = metadata.items() if isinstance(metadata, Mapping) else metadata or ()
    for name, value in pairs:
        data = value.encode() if isinstance(value, str) else bytes(value)
        if lib.pd_options_add_metadata(options, _c_string(name, "metadata name"), data, len(data)):
            raise Error(
                Code.INVALID_ARGUMENT,
                "",
                f"metadata {name!r} = {value!r} is not allowed; names are lower case, values "
                'printable ASCII unless the name ends in "-bin"',
            )
    return options


def _take_error(slot: Any) -> Error:
    ffi, lib = load()
    error = slot[0]
    try:
        return Error(
            lib.pd_error_code(error),
            ffi.string(lib.pd_error_reason(error)).decode(errors="replace"),
            ffi.string(lib.pd_error_message(error)).decode(errors="replace"),
        )
    finally:
        lib.pd_error_free(error)
