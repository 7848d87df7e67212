// The connection of a host.
#pragma once

#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/forward/call.h"
#include "daemon/forward/context.h"
#include "daemon/forward/host_table.h"
#include "daemon/forward/idle_watch.h"
#include "daemon/forward/router.h"
#include "daemon/forward/transport.h"

namespace plugind::forward {

class Downstream final : public std::enable_shared_from_this<Downstream>,
                         private wire::SessionHandler,
                         private Transport::Owner {
 public:
  using Closed = std::function<void(Downstream&, const std::string& why)>;

  /// `bound_plugin`: the plugin of the plugin socket it came in on, "" on the front socket.
  /// `closed` is called once, on the loop, when the connection is gone.
  Downstream(Context& context, Transport::Socket socket, std::string bound_plugin, Host host,
             Closed closed);

  void start() {
    transport_->start();
    idle_.start();
  }
  const std::shared_ptr<Transport>& transport() { return transport_; }
  const std::string& bound_plugin() const { return bound_plugin_; }
  const Host& host() const { return host_; }
  /// For the router.
  GoPluginUse& go_plugin_use() { return go_plugin_use_; }

  /// The daemon is to end, of which Context::draining tells calls.  Says GOAWAY: calls in flight go
  /// on, new ones are answered that it drains until those have ended.
  void drain();
  /// Whether the host may be reading the end of a call: when drain() was called, it had one, or not
  /// all had been sent.
  bool awaits_end() const { return awaits_end_; }
  /// Closes after what is pending; calls in flight are cancelled.
  void close();

  /// The host said that it needs its instance no more (GRPCController/Shutdown).
  void end_interest(plugin::CallTarget& plugin);
  /// It calls again after all.
  void note_plugin_call();

 private:
  void* on_stream_opened(wire::StreamId stream) override;
  void on_headers(wire::StreamId, void* user, Block block, wire::HeaderList& headers,
                  bool end_stream) override;
  void on_data(wire::StreamId, void* user, const std::uint8_t* data, std::size_t size) override;
  void on_end_of_data(wire::StreamId, void* user) override;
  void on_body_sent(wire::StreamId, void* user, std::size_t size) override;
  void on_headers_too_large(wire::StreamId, void* user, Block block) override;
  void on_stream_closed(wire::StreamId, void* user, std::uint32_t error_code) override;
  void on_goaway(wire::StreamId, std::uint32_t) override {}
  void on_settings() override {}
  void on_transport_closed(const std::string& why) override;
  bool on_transport_finished() override;
  void stop_timers();
  void lose_calls();
  void on_idle();
  void say_goodbye();
  void take_no_more();

  Context& context_;
  const std::string bound_plugin_;
  const Host host_;
  GoPluginUse go_plugin_use_;
  Closed closed_;
  std::shared_ptr<Transport> transport_;
  boost::intrusive::list<Call, boost::intrusive::base_hook<CallHook>,
                         boost::intrusive::constant_time_size<false>>
      calls_;
  bool interest_ended_ = false;
  IdleWatch idle_;
  std::optional<Deadlines::Entry> linger_;  // For a host that has been told all, and stays.
  bool awaits_end_ = false;
  bool drains_ = false;        // Takes no more once its calls have ended.
  bool says_goodbye_ = false;  // It has been idle, and its host was asked to open no more calls.
};

}  // namespace plugind::forward
