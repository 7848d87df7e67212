#include "tests/support/manual_clock.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

namespace plugind::testing {

namespace asio = boost::asio;

struct ManualClock::Sleeper {
  TimePoint until;
  bool due;
  asio::steady_timer timer;
};

void run_ready(asio::io_context& loop) {
  loop.restart();  // A loop that ran out of work is stopped.
  loop.poll();
}

std::chrono::system_clock::time_point ManualClock::wall_now() const {
  // 2024-01-01T00:00:00Z when the test begins.
  return std::chrono::system_clock::time_point(std::chrono::seconds(1'704'067'200)) +
         (now_.time_since_epoch() - std::chrono::hours(1));
}

asio::awaitable<void> ManualClock::sleep(Duration duration) {
  Sleeper sleeper{
      now_ + duration, duration <= Duration::zero(),
      asio::steady_timer(co_await asio::this_coro::executor,
                         duration <= Duration::zero() ? asio::steady_timer::time_point::min()
                                                      : asio::steady_timer::time_point::max())};
  const auto place = sleepers_.insert(sleepers_.end(), &sleeper);
  struct Leave {
    std::list<Sleeper*>& sleepers;
    std::list<Sleeper*>::iterator place;
    ~Leave() { sleepers.erase(place); }
  } leave{sleepers_, place};
  try {
    co_await sleeper.timer.async_wait(asio::use_awaitable);
  } catch (const boost::system::system_error&) {
    if (!sleeper.due) throw;  // Cancelled, as a real timer is.
  }
}

void ManualClock::advance(Duration duration) {
  const TimePoint target = now_ + duration;
  run_ready(loop_);
  for (;;) {
    TimePoint next = target;
    for (const Sleeper* sleeper : sleepers_) {
      if (!sleeper->due) next = std::min(next, sleeper->until);
    }
    now_ = std::max(now_, next);
    bool woken = false;
    for (Sleeper* sleeper : sleepers_) {
      if (sleeper->due || sleeper->until > now_) continue;
      sleeper->due = true;
      sleeper->timer.cancel();
      woken = true;
    }
    run_ready(loop_);
    if (!woken && now_ >= target) return;
  }
}

}  // namespace plugind::testing
