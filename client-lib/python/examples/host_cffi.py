"""A host on libplugind: unary calls to every plugin over one connection."""

import sys

import kv_pb2
import kv_pb2_grpc
import text_pb2
import text_pb2_grpc
from rows import Rows, big_buffer, check_reverse

import plugind

TIMEOUT = 60


def main():
    rows = Rows("python-cffi", "libplugind")
    with plugind.connect() as client:
        call_kv(rows, kv_pb2_grpc.KVStub(client.channel("kv")))
        call_text(rows, client)
    return rows.exit_code()


def call_kv(rows, kv):
    value = "a string from Python"

    def put():
        kv.Put(kv_pb2.PutRequest(key="python-cffi", value=value.encode()), timeout=TIMEOUT)
        return True, value

    def get():
        reply = kv.Get(kv_pb2.GetRequest(key="python-cffi"), timeout=TIMEOUT)
        return reply.value.decode().startswith(value), reply.value.decode()

    rows.show("kv", "Put", put)
    rows.show("kv", "Get", get)


def call_text(rows, client):
    text = text_pb2_grpc.TextStub(client.channel("text"))

    # Without stubs: bytes in, bytes out.
    def echo():
        request = text_pb2.EchoRequest(text="héllo from cffi")
        reply = client.invoke(
            "text", "/text.v1.Text/Echo", request.SerializeToString(), timeout=TIMEOUT
        )
        answer = text_pb2.EchoReply.FromString(reply).text
        return answer == "beep boop I got your string. here it is: héllo from cffi", answer

    def reverse():
        data = big_buffer()
        reply = text.Reverse(text_pb2.ReverseRequest(data=data), timeout=TIMEOUT)
        return check_reverse(data, reply.data)

    def may_panic(mode, expected):
        try:
            text.MayPanic(text_pb2.MayPanicRequest(mode=mode), timeout=TIMEOUT)
        except plugind.Error as error:
            return expected(error), str(error)
        return False, "the call succeeded"

    def domain_error(error):
        return (
            error.code == plugind.Code.INVALID_ARGUMENT
            and error.message == "the text is empty of sense"
        )

    # tonic cancels the call whose handler panicked; the plugin lives.
    def cancelled(error):
        return error.code == plugind.Code.CANCELLED

    def crash(error):
        return error.code == plugind.Code.UNAVAILABLE and error.reason == "PLUGIN_CRASHED"

    rows.show("text", "Echo", echo)
    rows.show("text", "Reverse 16 MiB", reverse)
    modes = text_pb2.MayPanicRequest
    rows.show("text", "MayPanic ERROR", lambda: may_panic(modes.ERROR, domain_error))
    rows.show("text", "MayPanic PANIC", lambda: may_panic(modes.PANIC, cancelled))
    rows.show("text", "Echo after PANIC", echo)
    rows.show("text", "MayPanic SEGFAULT", lambda: may_panic(modes.SEGFAULT, crash))
    rows.show("text", "Echo again", echo)


if __name__ == "__main__":
    sys.exit(main())
