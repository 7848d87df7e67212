#include "client-lib/pluginctl/reflection_database.h"

#include <algorithm>
#include <array>

namespace plugind::pluginctl {
namespace {

// The newer one first; grpc++ of the distributions has the older one only.
constexpr std::array kMethods{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                              "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};

}  // namespace

bool ReflectionDatabase::ask_on(const std::string& method, const std::string& request,
                                std::string& response) {
  call_ = start_(method);
  if (call_->write(request) && call_->read(response)) return true;
  status_ = call_->finish();
  // A server that ends the conversation without an answer has none.
  if (status_.ok()) status_ = {grpc::StatusCode::UNIMPLEMENTED, "the server did not answer"};
  call_.reset();
  return false;
}

bool ReflectionDatabase::ask(const reflection::Request& request, reflection::Response& response) {
  if (!status_.ok()) return false;
  const std::string bytes = request.SerializeAsString();
  std::string answer;
  if (call_) {
    if (!call_->write(bytes) || !call_->read(answer)) {
      status_ = call_->finish();
      if (status_.ok()) status_ = {grpc::StatusCode::INTERNAL, "the server stopped answering"};
      return false;
    }
  } else {
    for (const char* method : kMethods) {
      status_ = {};
      if (ask_on(method, bytes, answer)) break;
      if (status_.error_code() != grpc::StatusCode::UNIMPLEMENTED) return false;
    }
    if (!status_.ok()) return false;
  }
  if (!response.ParseFromString(answer)) {
    status_ = {grpc::StatusCode::INTERNAL, "the answer of server reflection cannot be understood"};
    return false;
  }
  return !response.has_error();
}

void ReflectionDatabase::keep(const reflection::Response& response) {
  for (const std::string& bytes : response.files().files()) {
    google::protobuf::FileDescriptorProto file;
    if (!file.ParseFromString(bytes)) continue;
    if (std::ranges::find(known_names_, file.name()) != known_names_.end()) continue;
    known_names_.push_back(file.name());
    known_.Add(file);
  }
}

bool ReflectionDatabase::FindFileByName(const std::string& name,
                                        google::protobuf::FileDescriptorProto* file) {
  if (known_.FindFileByName(name, file)) return true;
  reflection::Request request;
  request.set_file_by_filename(name);
  reflection::Response response;
  if (!ask(request, response)) return false;
  keep(response);
  return known_.FindFileByName(name, file);
}

bool ReflectionDatabase::FindFileContainingSymbol(const std::string& symbol,
                                                  google::protobuf::FileDescriptorProto* file) {
  if (known_.FindFileContainingSymbol(symbol, file)) return true;
  reflection::Request request;
  request.set_file_containing_symbol(symbol);
  reflection::Response response;
  if (!ask(request, response)) return false;
  keep(response);
  return known_.FindFileContainingSymbol(symbol, file);
}

bool ReflectionDatabase::FindFileContainingExtension(const std::string&, int,
                                                     google::protobuf::FileDescriptorProto*) {
  return false;
}

Result<std::vector<std::string>> ReflectionDatabase::services() {
  reflection::Request request;
  request.set_list_services("*");
  reflection::Response response;
  std::vector<std::string> names;
  if (ask(request, response)) {
    for (const auto& service : response.services().services()) names.push_back(service.name());
  } else if (!status_.ok()) {
    return std::unexpected(failure_of(status_));
  }
  return names;
}

}  // namespace plugind::pluginctl
