// How a command fails, and the exit codes that tell it.
#pragma once

#include <grpcpp/support/status.h>

#include <expected>
#include <string>

namespace plugind::pluginctl {

/// Documented in --help and docs/pluginctl.md; scripts rely on them.
enum class ExitCode : int {
  kOk = 0,
  kAnswered = 1,  ///< The daemon or the plugin answered with an error.
  kUsage = 2,     ///< The command line or its input is wrong.
  kNoDaemon = 3,  ///< No daemon answers at the address.
  kTimeout = 4,   ///< --timeout, or the plugin's calls.timeout, passed.
  kRefused = 5,   ///< The daemon does not allow it to this user.
  kFound = 6,     ///< `doctor` has found something wrong.
};

/// The table of the exit codes, one a line, for --help.
const char* exit_code_help();

struct Failure {
  ExitCode exit = ExitCode::kAnswered;
  std::string message;      ///< "" if all has been said already.
  std::string code = {};    ///< gRPC's name of the status, "NOT_FOUND"; "" when there is none.
  std::string reason = {};  ///< google.rpc.ErrorInfo.reason; "" when there is none.
};

template <class T = void>
using Result = std::expected<T, Failure>;

inline std::unexpected<Failure> usage(std::string message) {
  return std::unexpected(Failure{ExitCode::kUsage, std::move(message)});
}

/// `status` is not OK.
Failure failure_of(const grpc::Status& status);
/// The same as a Result: nothing when `status` is OK.
Result<> result_of(const grpc::Status& status);

/// What is written to stderr for it, without the line end: a line for people or one of JSON.
std::string describe(const Failure& failure, bool json);

}  // namespace plugind::pluginctl
