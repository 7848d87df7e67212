// The matrix's server with grpc++.
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "matrix.grpc.pb.h"

namespace {

using plugind::matrix::v1::Chunk;
using plugind::matrix::v1::Failure;
using plugind::matrix::v1::Matrix;

constexpr int kMessageLimit = 16 << 20;
constexpr int kMetadataLimit = 64 << 10;

class Service final : public Matrix::Service {
  grpc::Status Echo(grpc::ServerContext* context, const Chunk* request, Chunk* reply) override {
    for (const char* key : {"matrix-text", "matrix-data-bin"}) {
      const auto [begin, end] = context->client_metadata().equal_range(key);
      for (auto found = begin; found != end; ++found) {
        const std::string value{found->second.data(), found->second.size()};
        context->AddInitialMetadata(key, value);
        context->AddTrailingMetadata(key, value);
      }
    }
    *reply = *request;
    return grpc::Status::OK;
  }

  grpc::Status Chat(grpc::ServerContext*, grpc::ServerReaderWriter<Chunk, Chunk>* stream) override {
    Chunk chunk;
    while (stream->Read(&chunk)) stream->Write(chunk);
    return grpc::Status::OK;
  }

  grpc::Status Compressed(grpc::ServerContext* context, const Chunk* request,
                          Chunk* reply) override {
    context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    *reply = *request;
    return grpc::Status::OK;
  }

  grpc::Status Fail(grpc::ServerContext*, const Failure* request, Chunk*) override {
    return {static_cast<grpc::StatusCode>(request->code()), request->message(), request->details()};
  }

  grpc::Status Early(grpc::ServerContext*, grpc::ServerReader<Chunk>* requests,
                     Chunk* reply) override {
    if (!requests->Read(reply)) return {grpc::StatusCode::INVALID_ARGUMENT, "there is no request"};
    return grpc::Status::OK;
  }
};

}  // namespace

int main() {
  const char* address = std::getenv("PLUGIND_LISTEN");
  Service service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  if (std::getenv("MATRIX_DEFAULT_LIMIT") == nullptr) {
    builder.SetMaxReceiveMessageSize(kMessageLimit);
  }
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataLimit);
  builder.AddListeningPort(address == nullptr ? "" : address, grpc::InsecureServerCredentials());
  const auto server = builder.BuildAndStart();
  if (!server) {
    std::fputs("cannot listen on PLUGIND_LISTEN\n", stderr);
    return 1;
  }
  server->Wait();
}
