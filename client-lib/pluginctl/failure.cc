#include "client-lib/pluginctl/failure.h"

#include <google/protobuf/wrappers.pb.h>

#include <array>
#include <cstdint>

#include "client-lib/pluginctl/json.h"
#include "client-lib/pluginctl/text.h"
#include "proto/wire/status_details.h"

namespace plugind::pluginctl {
namespace {

std::string code_name(grpc::StatusCode code) {
  constexpr std::array kNames{"OK",
                              "CANCELLED",
                              "UNKNOWN",
                              "INVALID_ARGUMENT",
                              "DEADLINE_EXCEEDED",
                              "NOT_FOUND",
                              "ALREADY_EXISTS",
                              "PERMISSION_DENIED",
                              "RESOURCE_EXHAUSTED",
                              "FAILED_PRECONDITION",
                              "ABORTED",
                              "OUT_OF_RANGE",
                              "UNIMPLEMENTED",
                              "INTERNAL",
                              "UNAVAILABLE",
                              "DATA_LOSS",
                              "UNAUTHENTICATED"};
  const auto index = static_cast<std::size_t>(code);
  return index < kNames.size() ? kNames[index] : "CODE_" + std::to_string(code);
}

std::string reason_of(const grpc::Status& status) {
  const std::string& bytes = status.error_details();
  const auto details = wire::decode_status_details(
      reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), "plugind");
  return details ? std::string(details->reason) : "";
}

/// As a string of JSON.
std::string quoted(const std::string& text) {
  google::protobuf::StringValue value;
  value.set_value(valid_utf8(text));
  return to_json(value, JsonStyle::kLine).value_or("\"\"");
}

}  // namespace

const char* exit_code_help() {
  return "Exit codes:\n"
         "  0  done\n"
         "  1  the daemon or the plugin answered with an error\n"
         "  2  the command line, or the input of a call, is wrong\n"
         "  3  no daemon answers at the address\n"
         "  4  no answer in time: --timeout, or the plugin's calls.timeout, passed\n"
         "  5  this user may not do it\n"
         "  6  doctor has found something wrong\n";
}

Failure failure_of(const grpc::Status& status) {
  Failure failure{ExitCode::kAnswered, status.error_message(), code_name(status.error_code()),
                  reason_of(status)};
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    failure.exit = ExitCode::kTimeout;
    if (failure.reason.empty()) failure.message = "there was no answer in time; see --timeout";
  }
  // A plugin's own PERMISSION_DENIED has no reason of the daemon's.
  if (failure.reason == "PERMISSION_DENIED") failure.exit = ExitCode::kRefused;
  if (failure.message.empty()) failure.message = "there is no message";
  return failure;
}

Result<> result_of(const grpc::Status& status) {
  if (status.ok()) return {};
  return std::unexpected(failure_of(status));
}

std::string describe(const Failure& failure, bool json) {
  if (json) {
    std::string text = "{\"error\":{\"message\":" + quoted(failure.message);
    if (!failure.code.empty()) text += ",\"code\":" + quoted(failure.code);
    if (!failure.reason.empty()) text += ",\"reason\":" + quoted(failure.reason);
    return text + "}}";
  }
  std::string text = "pluginctl: ";
  if (!failure.code.empty()) text += failure.code;
  if (!failure.reason.empty()) text += " (" + failure.reason + ")";
  if (!failure.code.empty()) text += ": ";
  return text + printable(failure.message, Lines::kKeep);
}

}  // namespace plugind::pluginctl
