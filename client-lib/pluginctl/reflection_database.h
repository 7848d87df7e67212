// The descriptors of a server, asked for over gRPC's server reflection.
#pragma once

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client-lib/pluginctl/failure.h"
#include "client-lib/pluginctl/raw_call.h"
#include "reflection.pb.h"

namespace plugind::pluginctl {

class ReflectionDatabase final : public google::protobuf::DescriptorDatabase {
 public:
  /// Starts a call of the reflection method that is given.
  using Start = std::function<std::unique_ptr<RawCall>(const std::string& method)>;

  explicit ReflectionDatabase(Start start) : start_(std::move(start)) {}

  bool FindFileByName(const std::string& name,
                      google::protobuf::FileDescriptorProto* file) override;
  bool FindFileContainingSymbol(const std::string& symbol,
                                google::protobuf::FileDescriptorProto* file) override;
  /// Always false: proto3 has no extensions but those of options.
  bool FindFileContainingExtension(const std::string& type, int number,
                                   google::protobuf::FileDescriptorProto* file) override;

  /// The services that the server names.
  Result<std::vector<std::string>> services();

  /// OK, or how the conversation with the server failed: then nothing is found any more.  That the
  /// server does not know a symbol is no failure.
  const grpc::Status& status() const { return status_; }

 private:
  /// False when the server has no answer, or the conversation failed.
  bool ask(const reflection::Request& request, reflection::Response& response);
  bool ask_on(const std::string& method, const std::string& request, std::string& response);
  /// Keeps the files of a response.
  void keep(const reflection::Response& response);

  Start start_;
  std::unique_ptr<RawCall> call_;
  grpc::Status status_;
  google::protobuf::SimpleDescriptorDatabase known_;
  std::vector<std::string> known_names_;
};

}  // namespace plugind::pluginctl
