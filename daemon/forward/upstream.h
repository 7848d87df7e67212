// A connection to an instance (or to the control service).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>
#include <string>

#include "daemon/forward/stream_sink.h"
#include "daemon/forward/transport.h"
#include "daemon/plugin/connection.h"
#include "proto/wire/session.h"

namespace plugind::forward {

/// Lives until its connection has closed: after a GOAWAY that is later than the Upstream's end.
class UpstreamCore final : public std::enable_shared_from_this<UpstreamCore>,
                           private wire::SessionHandler,
                           private Transport::Owner {
 public:
  UpstreamCore(FlushQueue& queue, boost::asio::any_io_executor loop, Transport::Socket socket,
               const wire::Limits& limits);
  void start();

  /// Opens a stream; -1 when the connection takes none any more.  `body` null: no request body.
  /// `sink` must live until on_closed or on_connection_lost.
  wire::StreamId open(const wire::HeaderList& headers, wire::Body* body, StreamSink& sink);
  const std::shared_ptr<Transport>& transport() { return transport_; }

  /// A stream opened now goes out.  Over the bound that the peer has set it would wait in nghttp2,
  /// which keeps it there also when it is reset: a host could pile up any number of them.
  bool has_place() const {
    wire::Session& session = transport_->session();
    return session.open_streams() < session.peer_max_concurrent_streams();
  }
  /// `callback` is called once in its turn: when a stream may be opened, or when the connection
  /// takes none any more.  Never from inside this function, and not after the ticket's end.
  std::shared_ptr<void> wait_place(std::function<void()> callback);

  /// No stream has been opened yet.
  bool fresh() const { return fresh_; }
  bool accepts_streams() const { return !closed_ && !going_away_; }
  bool closed() const { return closed_; }
  bool settings_seen() const { return settings_seen_; }
  /// The peer takes no more streams and has not called that an error.
  bool said_goodbye() const { return said_goodbye_; }
  /// Once it has closed: how the peer broke the protocol; "" if it did not.
  const std::string& broken_by() const { return broken_by_; }
  /// Cancelled on every change of the above, and by later settings.
  boost::asio::steady_timer& changed() { return changed_; }

  /// Ends the connection; streams on it get on_connection_lost.
  void close();
  /// Ends it once the streams on it have ended.
  void release();

 private:
  void* on_stream_opened(wire::StreamId) override { return nullptr; }  // Push is switched off.
  void on_headers(wire::StreamId, void* user, Block block, wire::HeaderList& headers,
                  bool end_stream) override;
  void on_data(wire::StreamId stream, void* user, const std::uint8_t* data,
               std::size_t size) override;
  void on_end_of_data(wire::StreamId, void* user) override;
  void on_body_sent(wire::StreamId, void* user, std::size_t size) override;
  void on_headers_too_large(wire::StreamId, void* user, Block block) override;
  void on_stream_closed(wire::StreamId, void* user, std::uint32_t error_code) override;
  void on_goaway(wire::StreamId last_stream, std::uint32_t error_code) override;
  void on_settings() override;
  void on_request_headers_sent(wire::StreamId stream, void* user) override;
  void on_transport_closed(const std::string& why) override;
  void give_places();
  void lose_streams();
  void close_if_released();

  std::shared_ptr<Transport> transport_;
  boost::asio::steady_timer changed_;
  boost::intrusive::list<StreamSink, boost::intrusive::constant_time_size<false>> sinks_;
  struct PlaceWait : boost::intrusive::list_base_hook<
                         boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
    std::function<void()> callback;
  };
  boost::intrusive::list<PlaceWait, boost::intrusive::constant_time_size<false>> places_;
  std::shared_ptr<UpstreamCore> self_;  // Keeps a released core until its last stream has ended.
  std::string broken_by_;
  bool fresh_ = true;
  bool closed_ = false;
  bool going_away_ = false;
  bool said_goodbye_ = false;
  bool settings_seen_ = false;
};

/// The plugin::Connection on it.
class Upstream final : public plugin::Connection {
 public:
  Upstream(std::shared_ptr<UpstreamCore> core, boost::asio::any_io_executor loop);
  ~Upstream() override;

  UpstreamCore& core() { return *core_; }

  boost::asio::awaitable<std::expected<plugin::CallResult, Error>> unary(
      std::string method, std::string request, std::chrono::milliseconds timeout) override;
  void server_stream(std::string method, std::string request,
                     std::function<void(std::string_view)> on_message,
                     std::function<void(plugin::CallResult)> on_end) override;
  bool alive() const override { return core_->accepts_streams(); }
  std::string broken_by() const override { return core_->broken_by(); }
  bool said_goodbye() const override { return core_->said_goodbye(); }
  boost::asio::awaitable<void> wait_closed() override;

 private:
  std::shared_ptr<UpstreamCore> core_;
  boost::asio::any_io_executor loop_;
  std::shared_ptr<void> alive_;  // Own calls make no callback once this is gone.
};

}  // namespace plugind::forward
