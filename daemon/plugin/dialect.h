// How an instance is started and greeted.  dialect/ has one implementation a dialect.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/clock.h"
#include "daemon/plugin/connection.h"
#include "daemon/plugin/finding.h"
#include "daemon/plugin/manifest.h"
#include "daemon/plugin/output_log.h"
#include "daemon/plugin/process.h"

namespace plugind::plugin {

/// What is known of a start that failed, besides the Error.
struct FailedStart {
  std::int64_t pid = 0;            ///< 0: there was no process.
  std::optional<ExitStatus> exit;  ///< How it ended.
  bool killed = false;             ///< Because of the Error.
  std::string message;             ///< The Error's, without what the process wrote to stderr.
};

/// What a dialect works with while it starts one instance.  All references outlive the start.
struct StartContext {
  const Manifest& manifest;
  std::string instance;  ///< "NAME#3": for messages and logs.
  std::filesystem::path
      directory;  ///< The instance's own, mode 0700, exists; removed by the caller.
  ProcessFactory& processes;
  Connector& connector;
  Clock& clock;
  OutputLog& log;  ///< Gets every byte that the process prints.  Outlives the process.
  /// Whether the manifest's requirements were met at an earlier start; null: they were not checked.
  std::shared_ptr<bool> requirements_met = {};
  /// Null: nobody wants to know.  Outlives the start; filled in if that fails and had a process.
  FailedStart* failed = nullptr;
  /// Null: nobody wants to look.  Outlives the start; names the process from its first moment until
  /// the start is over, however that ends, and is null again then.
  const Process** process = nullptr;
};

/// Names a process in a StartContext for as long as it lives.  To be made after the process, so
/// that it ends first.
class ShownProcess {
 public:
  ShownProcess(const StartContext& context, const Process& process) : place_(context.process) {
    if (place_ != nullptr) *place_ = &process;
  }
  ~ShownProcess() {
    if (place_ != nullptr) *place_ = nullptr;
  }
  ShownProcess(const ShownProcess&) = delete;
  ShownProcess& operator=(const ShownProcess&) = delete;

 private:
  const Process** place_;
};

/// A started and greeted instance.
struct Started {
  std::unique_ptr<Process> process;
  std::unique_ptr<Connection> connection;
  Endpoint endpoint;
  /// The version of the plugin's own protocol, where the dialect negotiates one; 0 otherwise.
  std::uint32_t protocol_version = 0;
};

class Dialect {
 public:
  virtual ~Dialect() = default;

  /// Starts one instance and completes when it is ready for calls.  On failure nothing of the
  /// process tree is left, and the message carries the reason, what to do, and the last lines the
  /// process wrote to stderr.  Bounded by the manifest's start.timeout.  May be cancelled (asio
  /// cancellation, terminal): then, too, nothing is left of the tree.
  virtual boost::asio::awaitable<std::expected<Started, Error>> start(StartContext context) = 0;

  /// What stands in the way of such a start, and what is odd about earlier ones, as far as that can
  /// be told without running anything of the plugin; commands of its requirements do run.
  /// `context` is as for start(), of an instance that never is; `plugin` of the findings is left
  /// empty.  Bounded by the timeouts of the requirements, start.timeout, and 10 s.  May be
  /// cancelled, as start().
  virtual boost::asio::awaitable<std::vector<Finding>> examine(StartContext context) = 0;

  /// Asks an instance that is ready how it is.  nullopt: it is well, or has no way to say so; else
  /// a sentence about what is wrong, "no answer within" `bound` included.  Error: the connection
  /// failed.
  virtual boost::asio::awaitable<std::expected<std::optional<std::string>, Error>> probe(
      Started& instance, std::chrono::milliseconds bound) = 0;

  /// The dialect's own request to end, before any signal is sent.  Completes when it was answered,
  /// or after `bound`.
  virtual boost::asio::awaitable<void> request_shutdown(Started& instance, Clock& clock,
                                                        std::chrono::milliseconds bound) = 0;
};

}  // namespace plugind::plugin
