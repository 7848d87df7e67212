"""Just enough of grpc.Channel for generated stubs to make unary calls through libplugind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from ._error import Code, Error

if TYPE_CHECKING:
    from ._client import Client


class Channel:
    """What the constructor of a generated stub asks of its channel.

    Unary methods work and raise plugind.Error.  libplugind has no streams: a streaming method
    raises UNIMPLEMENTED when it is called; for those use grpcio on the plugin's own socket.
    """

    def __init__(self, client: Client, plugin: str | None) -> None:
        self._client = client
        self._plugin = plugin

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **_: Any,
    ) -> Callable[..., Any]:
        def call(request: Any, timeout: float | None = None, metadata: Any = None) -> Any:
            return response_deserializer(
                self._client.invoke(
                    self._plugin, method, request_serializer(request), timeout, metadata
                )
            )

        return call

    def _streaming(self, method: str, *_: Any, **__: Any) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            raise Error(
                Code.UNIMPLEMENTED,
                "",
                f"{method} is a streaming method and libplugind makes unary calls only; "
                "use grpcio on the plugin's socket",
            )

        return call

    unary_stream = _streaming
    stream_unary = _streaming
    stream_stream = _streaming
