#include "daemon/forward/call.h"

#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include "daemon/forward/control_link.h"
#include "daemon/forward/downstream.h"
#include "daemon/forward/status_reply.h"
#include "proto/wire/grpc_timeout.h"

namespace plugind::forward {

namespace {

using Clock = std::chrono::steady_clock;

// A request body up to this size is kept until the plugin begins to answer, so that a call which an
// instance refused can be sent to another one.
constexpr std::size_t kReplayBound = 64 << 10;
// An instance may refuse a call, or end before it took it, this often.
constexpr std::uint32_t kMaxAttempts = 3;

}  // namespace

Call::Call(Context& context, Downstream& downstream, wire::StreamId stream)
    : context_(context),
      downstream_(&downstream),
      down_transport_(downstream.transport()),
      down_stream_(stream),
      id_(++context.counters.calls * context.lane.count + context.lane.index),
      request_(context.header_pool.take()),
      trailers_(context.header_pool.take()),
      arrived_(Clock::now()) {}

Call::~Call() {
  context_.header_pool.give(std::move(request_));
  context_.header_pool.give(std::move(trailers_));
  if (deadline_entry_) context_.deadlines.remove(*deadline_entry_);
  if (counted_) plugin_->end_call();
}

// -- the host's side --------------------------------------------------------------------------

void Call::on_request(wire::HeaderList& headers, bool end_stream) {
  request_.swap(headers);
  request_ended_ = end_stream;
  if (request_.get(":method") != "POST") return answer_http("405");
  if (!request_.get("content-type").starts_with("application/grpc")) return answer_http("415");
  if (context_.draining) {
    return answer(make_error(Reason::kDraining, "plugind is shutting down; call again later"));
  }
  route();
}

void Call::route() {
  auto target =
      context_.router.route(downstream_->bound_plugin(), request_, downstream_->go_plugin_use());
  if (!target) return answer(target.error());
  plugin_ = std::move(target->plugin);
  const platform::PeerIdentity& peer = downstream_->host().peer;
  const AccessPolicy& access = context_.policy.access;
  const auto refusal = plugin_ ? access.refuse_call(peer, plugin_->manifest())
                               : access.refuse_control(peer, request_.get(":path"));
  if (refusal) {
    const std::string what = plugin_ ? plugin_->name() : std::string("the control service");
    const auto line = context_.refusals.note(what, refusal->message.substr(0, 512), arrived_);
    if (line) context_.report("call-refused", *line);
    return answer(*refusal);
  }
  set_deadline();
  if (response_ended_) return;
  if (!plugin_) return forward_to_control();
  plugin_->count_call();
  downstream_->note_plugin_call();
  if (plugin_->manifest().dialect == plugin::DialectKind::kGoPlugin) {
    downstream_->go_plugin_use().calls(plugin_->name());
    if (answer_lifecycle_call()) return;
  }
  if (const auto begun = plugin_->begin_call(); !begun) return answer(begun.error());
  counted_ = true;
  if (plugin::CallInstance* instance = plugin_->ready_instance(host_id())) {
    forward_to_plugin(instance->shared_from_this());
  } else {
    wait_for_instance();
  }
}

plugin::HostId Call::host_id() const { return downstream_->host().id(plugin_->manifest().scope); }

void Call::wait_for_instance() {
  place_.reset();
  waiting_ = plugin_->wait_instance(
      host_id(), downstream_->host().peer.pid,
      [this](const std::expected<std::shared_ptr<plugin::CallInstance>, Error>& instance) {
        const FlushQueue::Turn turn(context_.queue);
        const auto ticket = std::exchange(waiting_, nullptr);
        if (instance) {
          place_ = ticket;
          forward_to_plugin(*instance);
        } else {
          answer(instance.error());
        }
      });
}

void Call::forward_to_plugin(const std::shared_ptr<plugin::CallInstance>& instance) {
  // Between the news that it is ready and now it may have ended.
  if (!instance->ready()) return wait_for_instance();
  UpstreamCore& core = static_cast<Upstream&>(instance->connection()).core();
  if (core.has_place()) return open_at_plugin(instance);
  waiting_ = core.wait_place([this, instance] {
    const FlushQueue::Turn turn(context_.queue);
    const auto ticket = std::exchange(waiting_, nullptr);
    open_at_plugin(instance);
  });
}

void Call::open_at_plugin(const std::shared_ptr<plugin::CallInstance>& instance) {
  if (!instance->ready()) return wait_for_instance();
  if (!open_upstream(static_cast<Upstream&>(instance->connection()).core())) {
    if (++attempts_ < kMaxAttempts) return wait_for_instance();
    return answer(Error{Reason::kPluginProtocolError,
                        "plugin '" + plugin_->name() + "' takes no more calls on its connection",
                        {{"plugin", plugin_->name()}}});
  }
  instance_ = instance;
  instance_->call_started();
  context_.counters.calls_at_plugins.begin(at_plugin_);
}

void Call::forward_to_control() {
  if (UpstreamCore* core = context_.control.ready()) {
    if (open_upstream(*core)) return;
  }
  // Lives as long as the call waits.
  const auto ticket = std::make_shared<int>(0);
  waiting_ = ticket;
  context_.control.wait([this, weak = std::weak_ptr<int>(ticket)](
                            const std::expected<std::shared_ptr<UpstreamCore>, Error>& core) {
    if (weak.expired()) return;
    const FlushQueue::Turn turn(context_.queue);
    waiting_.reset();
    if (!core) {
      answer(make_error(Reason::kInternal,
                        "the control service does not answer: " + core.error().message));
    } else if (!open_upstream(**core)) {
      answer(make_error(Reason::kDraining, "plugind is shutting down"));
    }
  });
}

bool Call::open_upstream(UpstreamCore& core) {
  const Host& host = downstream_->host();
  wire::HeaderList headers = context_.header_pool.take();
  const auto add_timeout = [&] {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(*deadline_ - arrived_) -
                      (Clock::now() - arrived_);
    headers.add("grpc-timeout", wire::format_grpc_timeout(left.count()).view());
  };
  for (std::size_t i = 0; i < request_.count(); ++i) {
    const wire::HeaderField field = request_[i];
    // What begins with plugind- is between host and daemon, or what only the daemon may say.
    if (field.name.starts_with("plugind-")) continue;
    if (field.name == ":authority") {
      // tonic refuses an authority that is a socket path, which is what many hosts send.
      headers.add(field.name, "localhost");
    } else if (field.name == "grpc-timeout" && deadline_) {
      add_timeout();
    } else {
      headers.add(field.name, field.value, field.never_index);
    }
  }
  if (deadline_ && !request_.has("grpc-timeout")) add_timeout();
  char number[24];
  if (host.peer.known) {
    const auto end = std::to_chars(number, number + sizeof number, host.peer.uid).ptr;
    headers.add("plugind-peer-uid", {number, end});
  }
  // Different in every call: kept out of HPACK's table, where it would only push others out.  The
  // first one goes in, so that the others can refer to its name.
  const auto end = std::to_chars(number, number + sizeof number, id_).ptr;
  headers.add("plugind-call-id", {number, end}, !core.fresh());

  const bool has_body = !request_ended_ || !up_body_.bytes.empty();
  up_body_.finished = request_ended_;
  up_body_.deferred = false;
  up_stream_ = core.open(headers, has_body ? &up_body_ : nullptr, *this);
  context_.header_pool.give(std::move(headers));
  if (up_stream_ < 0) return false;
  up_transport_ = core.transport();
  up_open_ = true;
  up_reset_ = false;
  return true;
}

void Call::on_request_data(const std::uint8_t* data, std::size_t size) {
  request_received_ += size;
  if (response_ended_ || (!up_open_ && !waiting_)) return consume_request(size);
  scan_request(data, size);
  if (response_ended_) return consume_request(size);
  if (!up_body_.bytes.append(data, size)) {
    return answer(make_error(Reason::kInternal, "out of memory"));
  }
  if (replayable_ && (replay_.size() + size > kReplayBound || !replay_.append(data, size))) {
    replayable_ = false;
    replay_.clear();
  }
  if (up_open_) {
    up().resume(up_stream_, up_body_);
    up_transport_->touch();
  }
}

void Call::scan_request(const std::uint8_t* data, std::size_t size) {
  if (!plugin_) return;
  const std::uint64_t most = plugin_->manifest().calls_max_message;
  while (true) {
    const wire::MessageScanner::Step step = scanner_.next(data, size);
    using Event = wire::MessageScanner::Event;
    if (step.event == Event::kNeedMore || step.event == Event::kInvalid) return;
    if (step.event == Event::kBegin && step.size > most) {
      return answer(message_too_large(Reason::kRequestTooLarge, step.size));
    }
  }
}

Error Call::message_too_large(Reason reason, std::uint64_t size) const {
  return {reason,
          std::string(reason == Reason::kRequestTooLarge ? "a request" : "a reply") +
              " message has " + std::to_string(size) + " bytes; plugin '" + plugin_->name() +
              (reason == Reason::kRequestTooLarge ? "' takes " : "' may send ") +
              std::to_string(plugin_->manifest().calls_max_message) + " (calls.max_message)",
          {{"plugin", plugin_->name()}}};
}

// Takes bytes of the reply into what goes to the host, up to the beginning of a message that is
// over the bound: the answer to that must not follow an unfinished prefix, which clients take for a
// broken reply whatever the status says.  So a prefix that comes in pieces is held until it is
// complete; the scanner has its bytes.  False: out of memory.
bool Call::pass_reply(const std::uint8_t* data, std::size_t size) {
  if (!scans_reply_) return down_body_.bytes.append(data, size);
  std::uint8_t head[wire::kMessagePrefixSize];  // What was held of a prefix that goes on in `data`.
  const std::size_t head_size = held_;
  std::memcpy(head, reply_scanner_.partial_prefix(), head_size);
  const std::uint64_t most = plugin_->manifest().calls_max_message;
  const std::uint8_t* at = data;
  std::size_t left = size;
  while (true) {
    const wire::MessageScanner::Step step = reply_scanner_.next(at, left);
    using Event = wire::MessageScanner::Event;
    if (step.event == Event::kNeedMore || step.event == Event::kInvalid) break;
    if (step.event != Event::kBegin || step.size <= most) continue;
    // It is the first message of these bytes if so few of them have been read.
    const auto read = static_cast<std::size_t>(at - data);
    const std::size_t passed =
        read < wire::kMessagePrefixSize ? 0 : read - wire::kMessagePrefixSize;
    if (read >= wire::kMessagePrefixSize) {
      held_ = 0;
      if (!down_body_.bytes.append(head, head_size)) return false;
    }
    if (!down_body_.bytes.append(data, passed)) return false;
    consume_response(size - passed);
    answer(message_too_large(Reason::kReplyTooLarge, step.size));
    return true;
  }
  held_ = static_cast<std::uint8_t>(reply_scanner_.partial_prefix_size());
  if (held_ == head_size + size) return true;  // Nothing but a prefix that is still incomplete.
  return down_body_.bytes.append(head, head_size) && down_body_.bytes.append(data, size - held_);
}

// The reply ends within a prefix; that is for the host to see.
void Call::pass_held_prefix() {
  const std::size_t size = std::exchange(held_, 0);
  if (!down_body_.bytes.append(reply_scanner_.partial_prefix(), size)) consume_response(size);
}

void Call::on_request_end() {
  if (request_ended_) return;
  request_ended_ = true;
  if (up_open_ && !response_ended_) {
    up().finish(up_stream_, up_body_);
    up_transport_->touch();
  }
}

void Call::on_request_headers_too_large() {
  answer(make_error(Reason::kHeadersTooLarge, "the call's metadata is larger than " +
                                                  std::to_string(context_.limits.max_header_block) +
                                                  " bytes. Send large values in the message."));
}

void Call::on_response_body_sent(std::size_t size) { consume_response(size); }

void Call::on_downstream_closed() {
  downstream_ = nullptr;
  waiting_.reset();
  output_subscription_.reset();
  // What the host will not read any more must not hold the instance's window.
  consume_response(down_body_.bytes.size() + std::exchange(held_, 0));
  down_body_.bytes.clear();
  if (up_open_) {
    reset_upstream(wire::kCancel);
  } else {
    drop_request_body();  // No instance is going to take it.
  }
  delete_if_done();
}

void Call::on_downstream_lost() { on_downstream_closed(); }

// -- the instance's side ----------------------------------------------------------------------

void Call::on_headers(wire::SessionHandler::Block block, wire::HeaderList& headers,
                      bool end_stream) {
  if (downstream_ == nullptr || response_ended_) return;
  using Block = wire::SessionHandler::Block;
  replayable_ = false;
  replay_.clear();
  down_transport_->touch();
  if (block == Block::kInformational) {
    down().submit_informational(down_stream_, headers);
  } else if (block == Block::kResponse) {
    response_started_ = true;
    scans_reply_ = plugin_ && headers.get("content-type").starts_with("application/grpc");
    down().submit_response(down_stream_, headers, end_stream ? nullptr : &down_body_);
    if (end_stream) response_ended();
  } else {
    trailers_.swap(headers);
    pass_held_prefix();
    down().finish_with_trailers(down_stream_, down_body_, trailers_);
    response_ended();
  }
}

void Call::on_data(const std::uint8_t* data, std::size_t size) {
  if (downstream_ == nullptr || response_ended_) return consume_response(size);
  if (!pass_reply(data, size)) {
    consume_response(size);
    return answer(make_error(Reason::kInternal, "out of memory"));
  }
  if (response_ended_) return;
  down().resume(down_stream_, down_body_);
  down_transport_->touch();
}

void Call::on_end_of_data() {
  if (downstream_ == nullptr || response_ended_) return;
  pass_held_prefix();
  down().finish(down_stream_, down_body_);
  down_transport_->touch();
  response_ended();
}

void Call::on_body_sent(std::size_t size) { consume_request(size); }

void Call::on_headers_too_large() {
  const std::string who = plugin_ ? "plugin '" + plugin_->name() + "'" : "the control service";
  answer(make_error(Reason::kHeadersTooLarge, who + " answered with more metadata than " +
                                                  std::to_string(context_.limits.max_header_block) +
                                                  " bytes"));
}

void Call::on_closed(std::uint32_t error_code) {
  upstream_ended();
  if (downstream_ != nullptr && !response_ended_) {
    if (error_code == wire::kRefusedStream && may_send_again()) {
      send_again();
      return;
    }
    // Clients make the gRPC status of the HTTP/2 code, as the specification's table says.
    down().reset(down_stream_, error_code == wire::kNoError ? wire::kInternalError : error_code);
    down_transport_->touch();
    response_ended();
  }
  delete_if_done();
}

void Call::on_connection_lost(bool sent) {
  upstream_ended();
  if (downstream_ == nullptr || response_ended_) return delete_if_done();
  if (!sent && may_send_again()) return send_again();
  if (instance_ == nullptr) {
    return answer(make_error(Reason::kDraining, "the control service has ended"));
  }
  const auto ticket = std::make_shared<int>(0);
  waiting_ = ticket;
  using Lost = plugin::LostCall;
  Lost lost{std::string(request_.get(":path").substr(0, plugin::CrashReport::kMaxMethod)),
            downstream_->host().peer.pid,
            std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - arrived_)};
  instance_->explain_loss(std::move(lost),
                          [this, weak = std::weak_ptr<int>(ticket)](const Error& error) {
                            if (weak.expired()) return;
                            const FlushQueue::Turn turn(context_.queue);
                            waiting_.reset();
                            answer(error);
                          });
}

// -- ends -------------------------------------------------------------------------------------

bool Call::may_send_again() const {
  return plugin_ != nullptr && replayable_ && !response_started_ && attempts_ + 1 < kMaxAttempts;
}

void Call::send_again() {
  ++attempts_;
  instance_.reset();
  up_transport_.reset();
  up_body_.bytes.clear();
  // replay_ keeps its bytes: this attempt may fail, too.
  wire::Slice slices[16];
  wire::ByteQueue copy;
  while (!replay_.empty()) {
    const std::size_t count = replay_.peek(slices, 1);
    if (count == 0) break;
    const std::size_t size = slices[0].size;
    up_body_.bytes.append(slices[0].data, size);
    replay_.move_to(copy, size);
  }
  replay_ = std::move(copy);
  wait_for_instance();
}

void Call::answer(const Error& error) {
  if (downstream_ == nullptr || response_ended_) return;
  if (!response_started_) {
    wire::HeaderList headers;
    add_response_start(headers);
    add_status(headers, error);
    down().submit_response(down_stream_, headers, nullptr);
  } else {
    trailers_.clear();
    add_status(trailers_, error);
    down().finish_with_trailers(down_stream_, down_body_, trailers_);
  }
  down_transport_->touch();
  if (up_open_) reset_upstream(wire::kCancel);
  response_ended();
}

void Call::answer_http(std::string_view http_status) {
  wire::HeaderList headers;
  add_http_status(headers, http_status);
  down().submit_response(down_stream_, headers, nullptr);
  down_transport_->touch();
  response_ended();
}

void Call::response_ended() {
  response_ended_ = true;
  waiting_.reset();
  if (!up_open_) place_.reset();
  if (deadline_entry_) context_.deadlines.remove(*std::exchange(deadline_entry_, std::nullopt));
  // The plugin has answered; what the host still sends is of no use to it.
  if (up_open_ && !request_ended_) reset_upstream(wire::kNoError);
}

void Call::upstream_ended() {
  up_open_ = false;
  place_.reset();
  if (instance_) {
    instance_->call_finished();
    context_.counters.calls_at_plugins.end(at_plugin_);
  }
  // Request bytes that the instance never took.  Those that may be sent again stay counted.
  if (downstream_ == nullptr || response_ended_ || !may_send_again()) drop_request_body();
}

void Call::drop_request_body() {
  consume_request(up_body_.bytes.size());
  up_body_.bytes.clear();
}

void Call::reset_upstream(std::uint32_t error_code) {
  if (std::exchange(up_reset_, true)) return;
  up().reset(up_stream_, error_code);
  up_transport_->touch();
}

void Call::consume_request(std::size_t size) {
  // What is sent a second time was consumed the first time.
  const std::uint64_t left = request_received_ - request_consumed_;
  if (size > left) size = left;
  if (size == 0) return;
  request_consumed_ += size;
  down().consume(down_stream_, size);
  down_transport_->touch();
}

void Call::consume_response(std::size_t size) {
  if (size == 0 || up_transport_ == nullptr) return;
  up().consume(up_stream_, size);
  up_transport_->touch();
}

void Call::delete_if_done() {
  if (downstream_ == nullptr && !up_open_) delete this;
}

void Call::set_deadline() {
  std::optional<std::chrono::nanoseconds> asked;
  if (const std::string_view text = request_.get("grpc-timeout"); !text.empty()) {
    const auto timeout = wire::parse_grpc_timeout(text);
    if (!timeout) {
      return answer(make_error(Reason::kRequestInvalid,
                               "the grpc-timeout '" + std::string(text) + "' is not a timeout"));
    }
    asked = std::chrono::nanoseconds(*timeout);
  }
  using std::chrono::milliseconds;
  const auto timeout =
      call_timeout(asked, plugin_ ? plugin_->manifest().calls_timeout : milliseconds(0),
                   plugin_ ? plugin_->manifest().calls_timeout_max : milliseconds(0));
  if (!timeout) return;
  deadline_ = arrived_ + timeout->length;
  deadline_setting_ = timeout->setting;
  deadline_entry_ = context_.deadlines.add(*deadline_, [this] {
    deadline_entry_.reset();
    const FlushQueue::Turn turn(context_.queue);
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(*deadline_ - arrived_).count();
    std::string message = "no answer within " + std::to_string(ms) + " ms";
    if (plugin_) {
      message += " from plugin '" + plugin_->name() + "'";
      if (up_stream_ < 0) {
        const bool found = place_ != nullptr || plugin_->ready_instance(host_id()) != nullptr;
        message += found ? ", which takes no more calls at a time"
                   : plugin::spreads_calls(plugin_->manifest())
                       ? ", of which no instance has become free"
                       : ", which has not become ready";
      }
    }
    if (!deadline_setting_.empty()) message += " (" + std::string(deadline_setting_) + ")";
    answer(make_error(Reason::kCallTimeout, message));
  });
}

}  // namespace plugind::forward
