#include "daemon/plugin/gate.h"

#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace plugind::plugin {

namespace asio = boost::asio;

Gate::Gate() : state_(std::make_shared<State>()) {}

void Gate::open() {
  state_->open = true;
  for (asio::steady_timer* waiter : state_->waiters) waiter->cancel();
}

bool Gate::is_open() const { return state_->open; }

asio::awaitable<void> Gate::wait() const {
  const std::shared_ptr<State> state = state_;  // *this may be gone when the wait ends.
  if (state->open) co_return;
  // A timer that never expires is Asio's condition variable.
  asio::steady_timer timer(co_await asio::this_coro::executor,
                           asio::steady_timer::time_point::max());
  const auto place = state->waiters.insert(state->waiters.end(), &timer);
  struct Leave {
    State& state;
    std::list<asio::steady_timer*>::iterator place;
    ~Leave() { state.waiters.erase(place); }
  } leave{*state, place};
  try {
    co_await timer.async_wait(asio::use_awaitable);
  } catch (const boost::system::system_error&) {
    if (!state->open) throw;  // Cancelled, not woken.
  }
}

}  // namespace plugind::plugin
