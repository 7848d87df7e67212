import pytest

import plugind


class Stub:
    """What protoc's grpc_python plugin generates, in short."""

    def __init__(self, channel):
        self.Echo = channel.unary_unary(
            "/test.Test/Echo",
            request_serializer=str.encode,
            response_deserializer=bytes.decode,
            _registered_method=True,
        )
        self.Many = channel.stream_stream(
            "/test.Test/Many",
            request_serializer=str.encode,
            response_deserializer=bytes.decode,
            _registered_method=True,
        )


def test_a_stub_makes_unary_calls(client):
    stub = Stub(client.channel("text"))
    assert stub.Echo("héllo", timeout=30, metadata=(("x-a", "b"),)) == "héllo"


def test_a_streaming_method_says_what_to_do(client):
    stub = Stub(client.channel("text"))
    with pytest.raises(plugind.Error, match="use grpcio") as caught:
        stub.Many(iter(["a"]))
    assert caught.value.code == plugind.Code.UNIMPLEMENTED
