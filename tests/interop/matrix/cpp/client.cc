// The matrix's client with grpc++: matrix-client SOCKET COUNTED_SOCKET LIMITED_SOCKET
// FRONT_SOCKET PLUGIN DETAILS
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "matrix.grpc.pb.h"

namespace {

using plugind::matrix::v1::Chunk;
using plugind::matrix::v1::Failure;
using plugind::matrix::v1::Matrix;
using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

constexpr std::chrono::seconds kCallLimit{20};
constexpr int kMessageLimit = 16 << 20;
constexpr int kMetadataLimit = 64 << 10;
constexpr int kLargeSize = 5 << 20;
constexpr int kCompressedSize = 4 << 20;
constexpr int kTextSize = 8 << 10;
constexpr int kDataSize = 4 << 10;
constexpr int kChatMessages = 10;

/// What went wrong; empty if nothing did.
using Complaint = std::string;

std::string pattern(int size) {
  std::string data(static_cast<std::size_t>(size), '\0');
  for (int i = 0; i < size; ++i)
    data[static_cast<std::size_t>(i)] = static_cast<char>(i * 31 % 251);
  return data;
}

Complaint expect(const std::string& what, const std::string& got, const std::string& want) {
  if (got == want) return {};
  return what + ": " + std::to_string(got.size()) + " bytes that differ from the " +
         std::to_string(want.size()) + " expected";
}

Complaint complaint_of(const grpc::Status& status) {
  if (status.ok()) return {};
  return "code " + std::to_string(status.error_code()) + ": " + status.error_message();
}

std::unique_ptr<grpc::ClientContext> new_context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + kCallLimit);
  return context;
}

Chunk chunk(std::string data) {
  Chunk made;
  made.set_data(std::move(data));
  return made;
}

Complaint echo(Matrix::Stub& stub, const std::string& data) {
  const auto context = new_context();
  Chunk reply;
  const grpc::Status status = stub.Echo(context.get(), chunk(data), &reply);
  return status.ok() ? expect("the answer", reply.data(), data) : complaint_of(status);
}

Complaint chat(Matrix::Stub& stub) {
  const auto context = new_context();
  const auto stream = stub.Chat(context.get());
  Chunk reply;
  for (int i = 1; i <= kChatMessages; ++i) {
    const std::string data = pattern(i * 1000);
    if (!stream->Write(chunk(data)) || !stream->Read(&reply)) return complaint_of(stream->Finish());
    Complaint complaint = expect("answer " + std::to_string(i), reply.data(), data);
    if (!complaint.empty()) {
      context->TryCancel();
      return complaint;
    }
  }
  stream->WritesDone();
  const bool more = stream->Read(&reply);
  if (more) context->TryCancel();
  return more ? "there is an answer after the end" : complaint_of(stream->Finish());
}

/// `plugin` names the plugin that the socket does not name; empty if it does.
Complaint metadata(Matrix::Stub& stub, const std::string& plugin = {}) {
  std::string text;
  while (text.size() < kTextSize) text += "metadata";
  const std::pair<const char*, std::string> sent[] = {{"matrix-text", text},
                                                      {"matrix-data-bin", pattern(kDataSize)}};
  const auto context = new_context();
  for (const auto& [key, value] : sent) context->AddMetadata(key, value);
  if (!plugin.empty()) context->AddMetadata("plugind-plugin", plugin);
  Chunk reply;
  const grpc::Status status = stub.Echo(context.get(), Chunk{}, &reply);
  if (!status.ok()) return complaint_of(status);
  const std::pair<const char*, const Metadata&> received[] = {
      {"initial", context->GetServerInitialMetadata()},
      {"trailing", context->GetServerTrailingMetadata()}};
  for (const auto& [where, pairs] : received) {
    for (const auto& [key, want] : sent) {
      const auto found = pairs.find(key);
      const std::string got =
          found == pairs.end() ? "" : std::string{found->second.data(), found->second.size()};
      Complaint complaint = expect(std::string{where} + " " + key, got, want);
      if (!complaint.empty()) return complaint;
    }
  }
  return {};
}

Complaint compressed(Matrix::Stub& stub) {
  const std::string data(kCompressedSize, '\0');
  const auto context = new_context();
  context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
  Chunk reply;
  const grpc::Status status = stub.Compressed(context.get(), chunk(data), &reply);
  return status.ok() ? expect("the answer", reply.data(), data) : complaint_of(status);
}

/// Makes a call that fails as `wanted` says; gives the status, or what is wrong with it.
std::pair<grpc::Status, Complaint> fail(Matrix::Stub& stub, const Failure& wanted) {
  const auto context = new_context();
  Chunk reply;
  const grpc::Status status = stub.Fail(context.get(), wanted, &reply);
  if (status.error_code() != wanted.code() || status.error_message() != wanted.message()) {
    return {status, "the status is " + std::to_string(status.error_code()) + " \"" +
                        status.error_message() + "\""};
  }
  return {status, {}};
}

Complaint details(Matrix::Stub& stub, const std::string& want) {
  Failure failure;
  failure.set_code(grpc::StatusCode::FAILED_PRECONDITION);
  failure.set_message("with details");
  failure.set_details(want);
  const auto [status, complaint] = fail(stub, failure);
  if (!complaint.empty()) return complaint;
  return expect("grpc-status-details-bin", status.error_details(), want);
}

Complaint trailers_only(Matrix::Stub& stub) {
  Failure failure;
  failure.set_code(grpc::StatusCode::PERMISSION_DENIED);
  failure.set_message("denied: 100 % of ∀x");
  return fail(stub, failure).second;
}

Complaint early(Matrix::Stub& stub) {
  const auto context = new_context();
  const std::string data = pattern(1000);
  Chunk reply;
  const auto stream = stub.Early(context.get(), &reply);
  if (!stream->Write(chunk(data))) return complaint_of(stream->Finish());
  const grpc::Status status = stream->Finish();  // without WritesDone()
  return status.ok() ? expect("the answer", reply.data(), data) : complaint_of(status);
}

/// The status of a call with more than the server takes.
grpc::Status rejected(Matrix::Stub& limited) {
  const auto context = new_context();
  Chunk reply;
  return limited.Echo(context.get(), chunk(pattern(kLargeSize)), &reply);
}

std::unique_ptr<Matrix::Stub> connect(const std::string& path) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageLimit);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMetadataLimit);
  return Matrix::NewStub(
      grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments));
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fputs(
        "usage: matrix-client SOCKET COUNTED_SOCKET LIMITED_SOCKET FRONT_SOCKET PLUGIN DETAILS\n",
        stderr);
    return 2;
  }
  const auto stub = connect(argv[1]);
  const auto counted = connect(argv[2]);
  const auto limited = connect(argv[3]);
  const auto front = connect(argv[4]);
  const std::string plugin = argv[5];
  const std::string wanted_details = from_hex(argv[6]);
  const std::vector<std::pair<const char*, std::function<Complaint()>>> checks{
      {"unary", [&] { return echo(*stub, "matrix"); }},
      {"bidirectional", [&] { return chat(*stub); }},
      {"large", [&] { return echo(*stub, pattern(kLargeSize)); }},
      {"metadata", [&] { return metadata(*stub); }},
      {"compressed", [&] { return compressed(*counted); }},
      {"details", [&] { return details(*stub, wanted_details); }},
      {"trailers-only", [&] { return trailers_only(*stub); }},
      {"early", [&] { return early(*stub); }},
      {"front", [&] { return metadata(*front, plugin); }},
  };
  for (const auto& [name, check] : checks) {
    Complaint complaint = check();
    std::replace(complaint.begin(), complaint.end(), '\n', ' ');
    std::printf("%s\t%s\n", name, complaint.empty() ? "passes" : ("fails: " + complaint).c_str());
    std::fflush(stdout);
  }
  const grpc::Status refusal = rejected(*limited);
  std::printf("rejected\t%d %s\n", refusal.error_code(), refusal.error_message().c_str());
}
