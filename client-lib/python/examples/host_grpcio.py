"""A host with nothing of plugind's: generated grpcio stubs on the plugins' own sockets."""

import os
import queue
import sys

import grpc
import kv_pb2
import kv_pb2_grpc
import text_pb2
import text_pb2_grpc
from google.rpc import error_details_pb2, status_pb2
from rows import Rows, big_buffer, check_reverse

TIMEOUT = 60
ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def plugin_socket(plugin):
    """Where calls to one plugin go: RUNTIME_DIR/plugins/NAME.sock beside the front socket."""
    front = os.environ.get("PLUGIND_SOCKET")
    if not front and os.environ.get("XDG_RUNTIME_DIR"):
        front = os.environ["XDG_RUNTIME_DIR"] + "/plugind/plugind.sock"
    path = (front or "/run/plugind/plugind.sock").removeprefix("unix:")
    return f"unix:{os.path.dirname(path)}/plugins/{plugin}.sock"


def main():
    rows = Rows("python-grpcio", "plugin-socket")
    with grpc.insecure_channel(plugin_socket("kv")) as channel:
        call_kv(rows, kv_pb2_grpc.KVStub(channel))
    with grpc.insecure_channel(plugin_socket("text"), ANY_SIZE) as channel:
        call_text(rows, text_pb2_grpc.TextStub(channel))
    return rows.exit_code()


def call_kv(rows, kv):
    value = "a string from Python"

    def put():
        kv.Put(kv_pb2.PutRequest(key="python-grpcio", value=value.encode()), timeout=TIMEOUT)
        return True, value

    def get():
        reply = kv.Get(kv_pb2.GetRequest(key="python-grpcio"), timeout=TIMEOUT)
        return reply.value.decode().startswith(value), reply.value.decode()

    rows.show("kv", "Put", put)
    rows.show("kv", "Get", get)


def call_text(rows, text):
    def echo():
        reply = text.Echo(text_pb2.EchoRequest(text="héllo from grpcio"), timeout=TIMEOUT)
        return (
            reply.text == "beep boop I got your string. here it is: héllo from grpcio",
            reply.text,
        )

    def reverse():
        data = big_buffer()
        reply = text.Reverse(text_pb2.ReverseRequest(data=data), timeout=TIMEOUT)
        return check_reverse(data, reply.data)

    def split():
        words = text.Split(text_pb2.SplitRequest(text="one message a word"), timeout=TIMEOUT)
        got = [word.text for word in words]
        return got == ["one", "message", "a", "word"], "|".join(got)

    def chat():
        # The next question is asked when the answer to the last one is there.
        questions = queue.SimpleQueue()
        answers = []
        replies = text.Chat(iter(questions.get, None), timeout=TIMEOUT)
        for question in ("first", "second", "third"):
            questions.put(text_pb2.EchoRequest(text=question))
            answers.append(next(replies).text.rsplit(": ", 1)[-1])
        questions.put(None)
        finished = next(replies, None) is None
        return finished and answers == ["first", "second", "third"], "|".join(answers)

    def may_panic(mode, expected):
        try:
            text.MayPanic(text_pb2.MayPanicRequest(mode=mode), timeout=TIMEOUT)
        except grpc.RpcError as error:
            reason = error_reason(error)
            name = error.code().name + (f" ({reason})" if reason else "")
            return expected(error, reason), f"{name}: {error.details()}"
        return False, "the call succeeded"

    def domain_error(error, reason):
        return (
            error.code() == grpc.StatusCode.INVALID_ARGUMENT
            and error.details() == "the text is empty of sense"
        )

    # tonic cancels the call whose handler panicked; the plugin lives.
    def cancelled(error, reason):
        return error.code() == grpc.StatusCode.CANCELLED

    def crash(error, reason):
        return error.code() == grpc.StatusCode.UNAVAILABLE and reason == "PLUGIN_CRASHED"

    rows.show("text", "Echo", echo)
    rows.show("text", "Reverse 16 MiB", reverse)
    rows.show("text", "Split", split)
    rows.show("text", "Chat", chat)
    modes = text_pb2.MayPanicRequest
    rows.show("text", "MayPanic ERROR", lambda: may_panic(modes.ERROR, domain_error))
    rows.show("text", "MayPanic PANIC", lambda: may_panic(modes.PANIC, cancelled))
    rows.show("text", "Echo after PANIC", echo)
    rows.show("text", "MayPanic SEGFAULT", lambda: may_panic(modes.SEGFAULT, crash))
    rows.show("text", "Echo again", echo)


def error_reason(error):
    """The google.rpc.ErrorInfo reason in the status details, or ""."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info.reason
    return ""


if __name__ == "__main__":
    sys.exit(main())
