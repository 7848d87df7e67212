"""The matrix's client with grpcio.

usage: client.py SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET PLUGIN DETAILS
"""

import contextlib
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".cache", "stubs"))

import grpc  # noqa: E402
import matrix_pb2  # noqa: E402
import matrix_pb2_grpc  # noqa: E402

CALL_LIMIT = 20
MESSAGE_LIMIT = 16 << 20
METADATA_LIMIT = 64 << 10
LARGE_SIZE = 5 << 20
COMPRESSED_SIZE = 4 << 20
TEXT_SIZE = 8 << 10
DATA_SIZE = 4 << 10
CHAT_MESSAGES = 10


class Wrong(Exception):
    """What arrived is not what should."""


def pattern(size):
    return (bytes(i * 31 % 251 for i in range(251)) * (size // 251 + 1))[:size]


def expect(what, got, want):
    if got != want:
        raise Wrong(f"{what}: {len(got)} bytes that differ from the {len(want)} expected")


def echo(stub, data):
    reply = stub.Echo(matrix_pb2.Chunk(data=data), timeout=CALL_LIMIT)
    expect("the answer", reply.data, data)


class Requests:
    """An iterator of requests that waits for the next one to be put."""

    def __init__(self):
        self._changed = threading.Condition()
        self._waiting = []
        self._ended = False

    def put(self, request):
        with self._changed:
            self._waiting.append(request)
            self._changed.notify()

    def end(self):
        with self._changed:
            self._ended = True
            self._changed.notify()

    def __iter__(self):
        return self

    def __next__(self):
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                return self._waiting.pop(0)
        raise StopIteration


def chat(stub):
    requests = Requests()
    try:
        replies = stub.Chat(requests, timeout=CALL_LIMIT)
        for i in range(1, CHAT_MESSAGES + 1):
            data = pattern(i * 1000)
            requests.put(matrix_pb2.Chunk(data=data))
            expect(f"answer {i}", next(replies).data, data)
    finally:
        requests.end()
    if list(replies):
        raise Wrong("there is an answer after the end")


def metadata(stub, more=()):
    sent = {"matrix-text": "metadata" * (TEXT_SIZE // 8), "matrix-data-bin": pattern(DATA_SIZE)}
    _, call = stub.Echo.with_call(matrix_pb2.Chunk(), metadata=(*sent.items(), *more),
                                  timeout=CALL_LIMIT)
    for where, pairs in (("initial", call.initial_metadata()),
                         ("trailing", call.trailing_metadata())):
        received = dict(pairs)
        for key, want in sent.items():
            expect(f"{where} {key}", received.get(key, ""), want)


def compressed(stub):
    data = bytes(COMPRESSED_SIZE)
    reply = stub.Compressed(matrix_pb2.Chunk(data=data), timeout=CALL_LIMIT,
                            compression=grpc.Compression.Gzip)
    expect("the answer", reply.data, data)


def fail(stub, code, message, details=b""):
    """Makes a call that fails as it should; returns the failure."""
    try:
        stub.Fail(matrix_pb2.Failure(code=code.value[0], message=message, details=details),
                  timeout=CALL_LIMIT)
    except grpc.RpcError as error:
        if (error.code(), error.details()) != (code, message):
            raise Wrong(f"the status is {error.code()} {error.details()!r}") from None
        return error
    raise Wrong("the call did not fail")


def details(stub, want):
    error = fail(stub, grpc.StatusCode.FAILED_PRECONDITION, "with details", want)
    expect("grpc-status-details-bin",
           dict(error.trailing_metadata()).get("grpc-status-details-bin", b""), want)


def trailers_only(stub):
    fail(stub, grpc.StatusCode.PERMISSION_DENIED, "denied: 100 % of ∀x")


def early(stub):
    requests = Requests()
    data = pattern(1000)
    requests.put(matrix_pb2.Chunk(data=data))
    try:
        expect("the answer", stub.Early.future(requests, timeout=CALL_LIMIT).result().data, data)
    finally:
        requests.end()


def rejected(limited):
    """The status of a call with more than the server takes."""
    call = limited.Echo.future(matrix_pb2.Chunk(data=pattern(LARGE_SIZE)), timeout=CALL_LIMIT)
    return f"{call.code().value[0]} {call.details()}"


def connect(path):
    return grpc.insecure_channel("unix:" + path, options=[
        ("grpc.max_receive_message_length", MESSAGE_LIMIT),
        ("grpc.max_metadata_size", METADATA_LIMIT),
        ("grpc.absolute_max_metadata_size", METADATA_LIMIT)])


def main():
    *paths, plugin, details_hex = sys.argv[1:]
    with contextlib.ExitStack() as channels:
        stub, counted, limited, front = (
            matrix_pb2_grpc.MatrixStub(channels.enter_context(connect(path))) for path in paths)
        for name, check in (
                ("unary", lambda: echo(stub, b"matrix")),
                ("bidirectional", lambda: chat(stub)),
                ("large", lambda: echo(stub, pattern(LARGE_SIZE))),
                ("metadata", lambda: metadata(stub)),
                ("compressed", lambda: compressed(counted)),
                ("details", lambda: details(stub, bytes.fromhex(details_hex))),
                ("trailers-only", lambda: trailers_only(stub)),
                ("early", lambda: early(stub)),
                ("front", lambda: metadata(front, (("plugind-plugin", plugin),)))):
            outcome = "passes"
            try:
                check()
            except grpc.RpcError as error:
                outcome = f"fails: {error.code().name}: {error.details()}"
            except Wrong as wrong:
                outcome = f"fails: {wrong}"
            print(name, " ".join(outcome.split()), sep="\t", flush=True)
        print("rejected", rejected(limited), sep="\t")


if __name__ == "__main__":
    main()
