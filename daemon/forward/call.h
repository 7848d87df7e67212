// One call of a host: from its request's header block until both sides of it have ended.
#pragma once

#include <boost/intrusive/list_hook.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daemon/forward/call_timeout.h"
#include "daemon/forward/context.h"
#include "daemon/forward/stream_sink.h"
#include "daemon/forward/transport.h"
#include "daemon/forward/upstream.h"
#include "daemon/plugin/call_target.h"
#include "proto/wire/framing.h"
#include "proto/wire/session.h"

namespace plugind::forward {

class Downstream;

using CallHook = boost::intrusive::list_base_hook<boost::intrusive::tag<class DownstreamCalls>>;

/// Owns itself: exists while its stream to the host, its stream to the instance, or both are open.
/// Bytes are taken off one side's window only when the other side has taken them.
class Call final : public StreamSink, public CallHook {
 public:
  Call(Context& context, Downstream& downstream, wire::StreamId stream);

  // -- events of the host's stream -----------------------------------------------------------
  void on_request(wire::HeaderList& headers, bool end_stream);
  void on_request_data(const std::uint8_t* data, std::size_t size);
  void on_request_end();
  void on_request_headers_too_large();
  void on_response_body_sent(std::size_t size);
  void on_downstream_closed();
  /// The whole connection is gone.
  void on_downstream_lost();

  /// Ends the call with a status of the daemon's, unless its end is on the way already.
  void answer(const Error& error);

 private:
  ~Call();

  // -- events of the instance's stream (StreamSink) ------------------------------------------
  void on_headers(wire::SessionHandler::Block block, wire::HeaderList& headers,
                  bool end_stream) override;
  void on_data(const std::uint8_t* data, std::size_t size) override;
  void on_end_of_data() override;
  void on_body_sent(std::size_t size) override;
  void on_headers_too_large() override;
  void on_closed(std::uint32_t error_code) override;
  void on_connection_lost(bool sent) override;

  void route();
  /// For whom the plugin's instance is.
  plugin::HostId host_id() const;
  void wait_for_instance();
  void forward_to_plugin(const std::shared_ptr<plugin::CallInstance>& instance);
  void open_at_plugin(const std::shared_ptr<plugin::CallInstance>& instance);
  void forward_to_control();
  bool open_upstream(UpstreamCore& core);
  bool may_send_again() const;
  void send_again();
  void answer_http(std::string_view http_status);
  void set_deadline();
  void scan_request(const std::uint8_t* data, std::size_t size);
  bool pass_reply(const std::uint8_t* data, std::size_t size);
  Error message_too_large(Reason reason, std::uint64_t size) const;
  // go-plugin's services that the daemon answers itself (lifecycle_calls.cc).
  bool answer_lifecycle_call();
  void follow_output();

  void response_ended();
  void upstream_ended();
  void drop_request_body();
  void pass_held_prefix();
  void reset_upstream(std::uint32_t error_code);
  void consume_request(std::size_t size);
  void consume_response(std::size_t size);
  void delete_if_done();
  wire::Session& down() { return down_transport_->session(); }
  wire::Session& up() { return up_transport_->session(); }

  Context& context_;
  Downstream* downstream_;  // Null once its stream or connection has ended.
  std::shared_ptr<Transport> down_transport_;
  const wire::StreamId down_stream_;
  const std::uint64_t id_;  // What the plugin is told; no other call of this daemon has it.
  std::shared_ptr<Transport> up_transport_;  // Null until forwarded.
  wire::StreamId up_stream_ = -1;
  bool up_open_ = false;
  bool up_reset_ = false;

  std::shared_ptr<plugin::CallTarget> plugin_;  // Null: the control service.
  CallsAtPlugins::Entry at_plugin_;
  bool counted_ = false;                            // Has one of the plugin's calls.max_concurrent.
  std::shared_ptr<plugin::CallInstance> instance_;  // The one the call was sent to.
  std::shared_ptr<void> place_;                     // There, until it has left it.
  std::shared_ptr<void> waiting_;  // A wait for an instance, a place, an explanation.

  wire::HeaderList request_;
  wire::HeaderList trailers_;
  wire::Body up_body_;
  wire::Body down_body_;
  wire::ByteQueue replay_;  // The whole request body so far, while it may have to be sent again.
  bool replayable_ = true;
  wire::MessageScanner scanner_;
  wire::MessageScanner reply_scanner_;
  bool scans_reply_ = false;
  std::uint8_t held_ = 0;  // Bytes of a reply's message prefix, see pass_reply(); not consumed yet.
  std::uint64_t request_received_ = 0;
  std::uint64_t request_consumed_ = 0;
  std::uint32_t attempts_ = 0;
  bool request_ended_ = false;
  bool response_started_ = false;
  bool response_ended_ = false;  // Its end has been submitted to the host's connection.

  std::chrono::steady_clock::time_point arrived_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  std::string_view deadline_setting_;  // Which setting gave it; "" if the host did.
  std::optional<Deadlines::Entry> deadline_entry_;
  std::shared_ptr<void> output_subscription_;
};

}  // namespace plugind::forward
