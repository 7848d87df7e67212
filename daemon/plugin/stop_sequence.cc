// How an instance is made to end: step by step, and by force at last.
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <string>

#include "daemon/plugin/instance.h"

namespace plugind::plugin {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kShutdownRequestBound{2'000};

}  // namespace

asio::awaitable<void> Instance::stop_sequence() {
  set_state(InstanceState::kStopping, stop_cause_);
  Process& process = *started_.process;
  if (const auto status = process.exit_status(); status && !status->success()) {
    // Nobody asked it to end yet: calls that were on it learn what happened.
    end_->set_error(crash_error(*status));
  }
  if (!process.exit_status()) co_await end_by_steps();
  process.kill_tree();
  co_await process.wait_tree_gone();
}

/// Until nothing of the tree is left, or force is what remains.
asio::awaitable<void> Instance::end_by_steps() {
  if (hurried_) co_return;
  if (!manifest_->stop_steps) {
    // A process that has ended gives no answer, but a child of it may hold the connection open.
    co_await (dialect_.request_shutdown(started_, environment_.clock, kShutdownRequestBound) ||
              started_.process->wait() || wait_hurried());
    const StopStep terminate{StopSignal::kTerminate, manifest_->stop_grace};
    const bool ended = co_await take_step(terminate);
    if (!ended && !hurried_) stop_cause_ += "; it outlived stop.grace and was killed";
    co_return;
  }
  std::size_t number = 0;
  for (const StopStep& step : *manifest_->stop_steps) {
    ++number;
    const bool ended = co_await take_step(step);
    if (hurried_) co_return;
    if (!ended) continue;
    const std::string action(step.signal ? to_string(*step.signal) : "ask");
    stop_cause_ += "; step " + std::to_string(number) + " of stop.steps (" + action + ") ended it";
    co_return;
  }
  if (number > 0) stop_cause_ += "; it outlived stop.steps and was killed";
}

/// Whether nothing of the tree was left before its time was over.
asio::awaitable<bool> Instance::take_step(StopStep step) {
  if (hurried_) co_return false;
  Process& process = *started_.process;
  const Clock::TimePoint end = environment_.clock.now() + step.timeout;
  if (step.signal) {
    process.signal_tree(*step.signal);
  } else {
    // Whatever was answered, what counts is that it ends.
    co_await (dialect_.request_shutdown(started_, environment_.clock, step.timeout) ||
              process.wait() || wait_hurried());
  }
  const Clock::Duration left = end - environment_.clock.now();
  const auto outcome =
      co_await (process.wait_tree_gone() || environment_.clock.sleep(left) || wait_hurried());
  co_return outcome.index() == 0;
}

}  // namespace plugind::plugin
