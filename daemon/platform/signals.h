// The daemon's signals, delivered on the loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <expected>
#include <memory>
#include <string_view>

#include "daemon/error.h"

namespace plugind::platform {

enum class Signal {
  kTerminate,  ///< SIGTERM: stop in order.
  kInterrupt,  ///< SIGINT: the same, from a terminal.
  kQuit,       ///< SIGQUIT: stop at once; also sent when the guardian was killed.
  kHangup,     ///< SIGHUP: reload.
  kUser1,
  kUser2,
};
std::string_view to_string(Signal signal);  ///< "SIGTERM"

/// Blocks the signals above and SIGCHLD in the calling thread and ignores SIGPIPE and SIGXFSZ. Call
/// it before any thread exists (grpc's included): threads inherit the mask.  Plugins get clean
/// signals whatever is set here (process.h).
std::expected<void, Error> block_signals();

/// Receives the blocked signals on the loop.  At most one object at a time.
class SignalSource {
 public:
  static std::expected<SignalSource, Error> open(boost::asio::any_io_executor loop);
  SignalSource(SignalSource&&) noexcept;
  SignalSource& operator=(SignalSource&&) noexcept;
  ~SignalSource();

  /// Completes with the next signal; one coroutine at a time.  Equal signals that come before they
  /// are fetched are one.  Cancelled: throws system_error(operation_aborted).
  boost::asio::awaitable<Signal> next();

 private:
  class Impl;
  explicit SignalSource(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace plugind::platform
