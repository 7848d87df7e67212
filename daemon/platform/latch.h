// A one-shot event that any number of coroutines may await.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <memory>

namespace plugind::platform {

/// Lives on the loop.  A waiter keeps the shared state alive, so the latch may be destroyed
/// meanwhile; it must be set before.
class Latch {
 public:
  explicit Latch(const boost::asio::any_io_executor& loop)
      : state_(std::make_shared<State>(loop)) {}

  bool is_set() const { return state_->set; }
  void set() {
    state_->set = true;
    state_->timer.cancel();
  }
  /// Cancelled: throws system_error(operation_aborted).
  boost::asio::awaitable<void> wait() const { return wait(state_); }

 private:
  struct State {
    explicit State(const boost::asio::any_io_executor& loop)
        : timer(loop, boost::asio::steady_timer::time_point::max()) {}
    boost::asio::steady_timer timer;
    bool set = false;
  };

  static boost::asio::awaitable<void> wait(std::shared_ptr<State> state) {
    while (!state->set) {
      boost::system::error_code ec;
      co_await state->timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ec));
      // The timer never expires: it was cancelled by set() or by the waiter's own cancellation.
      if (!state->set) throw boost::system::system_error(boost::asio::error::operation_aborted);
    }
  }

  std::shared_ptr<State> state_;
};

}  // namespace plugind::platform
