// `--lifeline`: the daemon ends when whoever started it closes the daemon's stdin, or dies.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <expected>
#include <memory>

#include "daemon/error.h"

namespace plugind::platform {

class Lifeline {
 public:
  /// Watches a descriptor, which is borrowed; its flags are left as they are.  Error
  /// (ConfigInvalid): it is closed, /dev/null or a file, which never tell that somebody has gone.
  static std::expected<Lifeline, Error> open(boost::asio::any_io_executor loop, int descriptor = 0);
  Lifeline(Lifeline&&) noexcept;
  Lifeline& operator=(Lifeline&&) noexcept;
  ~Lifeline();

  /// Completes when the other end is closed.  What comes in before that is dropped.  Cancelled:
  /// throws system_error(operation_aborted).
  boost::asio::awaitable<void> wait_closed();

 private:
  class Impl;
  explicit Lifeline(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace plugind::platform
