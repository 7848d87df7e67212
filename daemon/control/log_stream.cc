#include "daemon/control/log_stream.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "daemon/control/convert.h"
#include "daemon/control/rpc_status.h"

namespace plugind::control {

v1::StreamLogsResponse to_response(const plugin::LogLine& line) {
  v1::StreamLogsResponse response;
  *response.mutable_line() = to_proto(line);
  return response;
}

plugin::LogSelection to_selection(const v1::StreamLogsRequest& request) {
  using Time = std::chrono::system_clock::time_point;
  plugin::LogSelection selection;
  if (request.has_tail()) selection.lines = request.tail();
  if (request.has_since()) {
    const auto bound = [](Time time) {
      return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
    };
    const std::chrono::seconds seconds(request.since().seconds());
    const std::chrono::nanoseconds rest(std::clamp(request.since().nanos(), 0, 999'999'999));
    if (seconds >= bound(Time::max())) {
      selection.since = Time::max();
    } else if (seconds > bound(Time::min())) {
      selection.since = Time(seconds + std::chrono::duration_cast<Time::duration>(rest));
    }
  }
  selection.lowest = static_cast<plugin::LogLevel>(
      std::clamp<int>(request.min_level(), static_cast<int>(plugin::LogLevel::kNone),
                      static_cast<int>(plugin::LogLevel::kFatal)));
  return selection;
}

LogFollow::LogFollow(std::shared_ptr<plugin::LoopPort> loop, PluginAdmin& admin,
                     std::weak_ptr<LogCall> call, std::string name, plugin::LogSelection selection)
    : loop_(std::move(loop)),
      admin_(admin),
      call_(std::move(call)),
      name_(std::move(name)),
      selection_(selection) {}

void LogFollow::start(std::shared_ptr<plugin::OutputLog> log) {
  follow(std::move(log));
  events_ = admin_.events().watch([weak = weak_from_this()](const plugin::Event& event) {
    if (event.kind == plugin::Event::Kind::kState) return;
    const auto self = weak.lock();
    if (!self) return;
    // Events are published in the middle of a reload; look when it is over.
    self->loop_->post([weak] {
      if (const auto self = weak.lock()) self->look_again();
    });
  });
}

void LogFollow::follow(std::shared_ptr<plugin::OutputLog> log) {
  lines_ = log->follow([call = call_, selection = selection_](const plugin::LogLine& line) {
    if (!selection.wants(line)) return;
    if (const auto open = call.lock()) open->push(to_response(line));
  });
  log_ = std::move(log);
}

void LogFollow::look_again() {
  const auto call = call_.lock();
  if (!call || call->ended()) return;
  auto log = admin_.log(name_);
  if (!log) {
    lines_.reset();
    events_.reset();
    call->close(to_rpc_status(
        make_error(Reason::kPluginNotFound, "the plugin '" + name_ + "' has been removed"), name_));
    return;
  }
  if (*log == log_) return;
  plugin::LogSelection all = selection_;
  all.lines = SIZE_MAX;
  for (const plugin::LogLine& line : (*log)->select(all)) call->push(to_response(line));
  follow(std::move(*log));
}

}  // namespace plugind::control
