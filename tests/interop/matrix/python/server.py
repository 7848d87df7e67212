"""The matrix's server with grpcio."""

import os
import sys
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".cache", "stubs"))

import grpc  # noqa: E402
import matrix_pb2_grpc  # noqa: E402

MESSAGE_LIMIT = 16 << 20
METADATA_LIMIT = 64 << 10
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Matrix(matrix_pb2_grpc.MatrixServicer):
    def Echo(self, request, context):
        back = tuple(pair for pair in context.invocation_metadata()
                     if pair[0] in ("matrix-text", "matrix-data-bin"))
        context.send_initial_metadata(back)
        context.set_trailing_metadata(back)
        return request

    def Chat(self, request_iterator, context):
        yield from request_iterator

    def Compressed(self, request, context):
        context.set_compression(grpc.Compression.Gzip)
        return request

    def Fail(self, request, context):
        if request.details:
            context.set_trailing_metadata((("grpc-status-details-bin", request.details),))
        context.abort(CODES[request.code], request.message)

    def Early(self, request_iterator, context):
        return next(request_iterator)


def main():
    options = [("grpc.max_metadata_size", METADATA_LIMIT),
               ("grpc.absolute_max_metadata_size", METADATA_LIMIT)]
    if "MATRIX_DEFAULT_LIMIT" not in os.environ:
        options.append(("grpc.max_receive_message_length", MESSAGE_LIMIT))
    server = grpc.server(futures.ThreadPoolExecutor(), options=options)
    matrix_pb2_grpc.add_MatrixServicer_to_server(Matrix(), server)
    server.add_insecure_port(os.environ["PLUGIND_LISTEN"])
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
