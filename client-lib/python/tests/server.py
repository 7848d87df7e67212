"""A plain gRPC server for the tests: `server.py unix:/path` prints "ready" when it listens.

Its methods take any bytes, so it needs no generated code, and have any service's name:
  Echo, Reverse   answer the request, and the request reversed
  Metadata        answers the request metadata as "name=hex of the value" lines
  Fail            INVALID_ARGUMENT with a message and google.rpc.ErrorInfo reason TEST_REASON
  FailPlain       NOT_FOUND with a message and no details
  Meet            answers when as many calls as the request's number are in it at once
  Wait            answers nothing until the caller goes away
  Exit            ends this process during the call
It leaves when its standard input closes, so that it cannot outlive the test.
"""

import concurrent.futures
import os
import sys
import threading

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

PATIENCE = 60
MESSAGE = "the tëst failed"


class Service(grpc.GenericRpcHandler):
    def __init__(self):
        self._meeting = threading.Condition()
        self._met = 0

    def service(self, details):
        method = getattr(self, details.method.rsplit("/", 1)[1], None)
        return method and grpc.unary_unary_rpc_method_handler(method)

    def Echo(self, request, context):
        return request

    def Reverse(self, request, context):
        return request[::-1]

    def Metadata(self, request, context):
        lines = []
        for name, value in context.invocation_metadata():
            data = value if isinstance(value, bytes) else value.encode()
            lines.append(f"{name}={data.hex()}")
        return "\n".join(lines).encode()

    def Fail(self, request, context):
        info = error_details_pb2.ErrorInfo(reason="TEST_REASON", domain="plugind")
        detail = any_pb2.Any()
        detail.Pack(info)
        code = grpc.StatusCode.INVALID_ARGUMENT
        status = status_pb2.Status(code=code.value[0], message=MESSAGE, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, MESSAGE)

    def FailPlain(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    def Meet(self, request, context):
        with self._meeting:
            self._met += 1
            self._meeting.notify_all()
            if not self._meeting.wait_for(lambda: self._met >= int(request), PATIENCE):
                context.abort(grpc.StatusCode.ABORTED, f"only {self._met} calls met")
        return request

    def Wait(self, request, context):
        gone = threading.Event()
        if context.add_callback(gone.set):
            gone.wait(PATIENCE)
        return request

    def Exit(self, request, context):
        os._exit(1)


def main():
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(64),
        handlers=[Service()],
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    server.add_insecure_port(sys.argv[1])
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(None).wait(PATIENCE)


if __name__ == "__main__":
    main()
