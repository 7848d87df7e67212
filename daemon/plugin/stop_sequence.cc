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
  if (!process.exit_status()) {
    const std::string how = co_await end_by_steps();
    stop_cause_ += how;
  }
  process.kill_tree();
  co_await process.wait_tree_gone();
}

/// Until nothing of the tree is left, or force is what remains.  How it ended, to be added to the
/// cause; "" if that was as usual.
asio::awaitable<std::string> Instance::end_by_steps() {
  const std::string at_once = "; it was killed at once, as the daemon was told to stop at once";
  if (hurried_) co_return at_once;
  if (!manifest_->stop_steps) {
    // A process that has ended gives no answer, but a child of it may hold the connection open.
    co_await (dialect_.request_shutdown(started_, environment_.clock, kShutdownRequestBound) ||
              started_.process->wait() || wait_hurried());
    const StopStep terminate{StopSignal::kTerminate, manifest_->stop_grace};
    if (co_await take_step(terminate)) co_return "";
    if (hurried_) co_return at_once;
    co_return "; it outlived stop.grace and was killed";
  }
  if (manifest_->stop_steps->empty()) co_return "; stop.steps has none, so it was killed";
  std::size_t number = 0;
  for (const StopStep& step : *manifest_->stop_steps) {
    ++number;
    const bool ended = co_await take_step(step);
    if (ended) {
      const std::string action(step.signal ? to_string(*step.signal) : "ask");
      co_return "; step " + std::to_string(number) + " of stop.steps (" + action + ") ended it";
    }
    if (hurried_) co_return at_once;
  }
  co_return "; it outlived stop.steps and was killed";
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
