#include "daemon/control/log_stream.h"

#include <utility>

#include "daemon/control/convert.h"
#include "daemon/control/rpc_status.h"

namespace plugind::control {

v1::StreamLogsResponse to_response(const plugin::LogLine& line) {
  v1::StreamLogsResponse response;
  *response.mutable_line() = to_proto(line);
  return response;
}

LogFollow::LogFollow(std::shared_ptr<plugin::LoopPort> loop, PluginAdmin& admin,
                     std::weak_ptr<LogCall> call, std::string name)
    : loop_(std::move(loop)), admin_(admin), call_(std::move(call)), name_(std::move(name)) {}

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
  lines_ = log->follow([call = call_](const plugin::LogLine& line) {
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
  for (const plugin::LogLine& line : (*log)->tail(SIZE_MAX)) call->push(to_response(line));
  follow(std::move(*log));
}

}  // namespace plugind::control
