// A forwarder between hosts and plugins that the test plays, byte for byte, on one loop.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/app/steady_clock.h"
#include "daemon/forward/forwarder.h"
#include "daemon/forward/transport.h"
#include "daemon/plugin/supervisor.h"
#include "proto/wire/session.h"
#include "tests/support/fake_process.h"

namespace plugind::forward::testing {

/// A gRPC message with its prefix.
std::string framed(std::string_view message);

/// SETTINGS and WINDOW_UPDATE of a peer that takes 16 MiB on each stream and on the connection.
std::string wide_greeting();

/// One stream as one end of a connection sees it.
struct Stream {
  wire::StreamId id = -1;
  std::map<std::string, std::string> headers;   ///< The first block received.
  std::map<std::string, std::string> trailers;  ///< The last block, if not the first.
  std::set<std::string> never_indexed;          ///< Names in any block that came as such.
  bool trailers_only = false;
  std::string data;            ///< What arrived.
  std::size_t unconsumed = 0;  ///< Of it, not given back yet (when reading by hand).
  bool ended = false;          ///< The peer has ended its side.
  bool closed = false;
  std::uint32_t error = 0;
  std::size_t sent = 0;  ///< Bytes of `body` that left.
  wire::Body body;
  wire::HeaderList trailers_to_send;
};

/// One end of an HTTP/2 connection under the test's control.
class Peer : public std::enable_shared_from_this<Peer>,
             private wire::SessionHandler,
             private Transport::Owner {
 public:
  Peer(FlushQueue& queue, Transport::Socket socket, wire::Role role,
       const wire::Limits& limits = {});
  ~Peer();

  // -- client ----------------------------------------------------------------------------------
  using Headers = std::vector<std::pair<std::string, std::string>>;
  Stream& request(const std::string& path, const Headers& extra = {}, bool with_body = true);
  // -- server ----------------------------------------------------------------------------------
  std::function<void(Stream&)> on_request;  ///< A request's header block is there.
  void respond(Stream& stream, const Headers& headers = {}, bool with_body = true);
  void trailers(Stream& stream, const Headers& trailers = {{"grpc-status", "0"}});
  // -- both ------------------------------------------------------------------------------------
  void send(Stream& stream, std::string_view bytes);
  void finish(Stream& stream);
  void reset(Stream& stream, std::uint32_t error);
  void consume(Stream& stream, std::size_t size);
  void goaway();
  void close() { transport_->detach(); }
  bool reads_by_itself = true;  ///< Received bytes are consumed at once.
  /// Fields of these names are sent as "never indexed".
  std::set<std::string> never_index;
  std::function<void(Stream&)> on_data_hook;
  std::function<void(Stream&)> on_ended;
  std::function<void(Stream&)> on_closed;

  std::map<wire::StreamId, std::unique_ptr<Stream>> streams;
  bool lost = false;  ///< The connection is gone.
  std::string why;
  bool saw_goaway = false;
  std::uint32_t goaway_error = 0;
  wire::Session& session() { return transport_->session(); }
  Transport& transport() { return *transport_; }

 private:
  void* on_stream_opened(wire::StreamId stream) override;
  void on_headers(wire::StreamId, void* user, Block block, wire::HeaderList& headers,
                  bool end_stream) override;
  void on_data(wire::StreamId, void* user, const std::uint8_t* data, std::size_t size) override;
  void on_end_of_data(wire::StreamId, void* user) override;
  void on_body_sent(wire::StreamId, void* user, std::size_t size) override;
  void on_headers_too_large(wire::StreamId, void*, Block) override {}
  void on_stream_closed(wire::StreamId, void* user, std::uint32_t error) override;
  void on_goaway(wire::StreamId, std::uint32_t error) override {
    saw_goaway = true;
    goaway_error = error;
  }
  void on_settings() override {}
  void on_transport_closed(const std::string& reason) override;
  void add(wire::HeaderList& headers, const std::string& name, const std::string& value) const;

  FlushQueue& queue_;
  std::shared_ptr<Transport> transport_;
};

/// The real clock, which can be moved.
class MovableClock final : public plugin::Clock {
 public:
  explicit MovableClock(boost::asio::any_io_executor loop) : real_(std::move(loop)) {}
  TimePoint now() const override { return real_.now() + moved; }
  std::chrono::system_clock::time_point wall_now() const override { return real_.wall_now(); }
  boost::asio::awaitable<void> sleep(Duration duration) override {
    return real_.sleep(sleeps_end ? duration : std::chrono::hours(1));
  }

  Duration moved{0};
  bool sleeps_end = true;  ///< If not: no pause that begins from now on ends.

 private:
  app::SteadyClock real_;
};

/// With $PLUGIND_TEST_WORKERS = 2 every connection of a host is on a loop beside the fixture's.
/// Plugins of the fixture are played by `plugin`; each start of an instance is one connection.
class ForwardTest : public ::testing::Test, private plugin::Dialect {
 protected:
  explicit ForwardTest(const wire::Limits& limits = {});
  ~ForwardTest() override;

  plugin::Manifest manifest(const std::string& name);
  void apply(std::vector<plugin::Manifest> manifests);
  /// A new connection of a host to the front socket, or to the plugin socket of `plugin`.
  std::shared_ptr<Peer> connect(const std::string& plugin = "", const wire::Limits& limits = {});
  Transport::Socket connect_raw(const std::string& plugin = "");
  /// How many of them are open.
  std::size_t connections() const { return forwarder_->connections() - others_.size(); }
  /// Runs the loop until `done` holds; fails the test after ten seconds.
  void run_until(const std::function<bool()>& done, const char* what);
  /// Runs the loop until nothing has happened for a moment.
  void run_idle();
  void wait_closed(Stream& stream) {
    run_until([&] { return stream.closed; }, "the stream to close");
  }
  /// Of a call that the daemon has ended itself; "" if it tells none.
  static std::string reason_of(const std::map<std::string, std::string>& trailers);
  testing::Peer& plugin() { return *plugins_.back(); }

  boost::asio::io_context loop_;
  FlushQueue queue_{loop_.get_executor()};
  wire::Limits limits_;
  const std::size_t workers_ = std::getenv("PLUGIND_TEST_WORKERS") != nullptr ? 2 : 1;
  HostPolicy policy_;                 ///< Set before apply().
  std::vector<std::string> reports_;  ///< The forwarder's log.
  UpstreamConnector connector_;
  plugind::testing::FakeProcessFactory processes_;
  MovableClock clock_{loop_.get_executor()};
  std::filesystem::path directory_;
  std::unique_ptr<plugin::Supervisor> supervisor_;
  std::unique_ptr<Forwarder> forwarder_;

  /// What a plugin does with a request; set before the first call.
  std::function<void(Peer&, Stream&)> serve_;
  wire::Limits plugin_limits_;
  int starts_ = 0;
  std::optional<Error> next_start_error_;
  /// While it is set no instance becomes ready.
  bool holds_starts_ = false;
  void release_starts() {
    holds_starts_ = false;
    starts_released_.cancel();
  }
  std::vector<std::shared_ptr<Peer>> plugins_;  ///< Connections of plugins, in order of start.
  /// While it is set, a plugin sends a wide_greeting() on its connection and never reads from it.
  bool plugins_are_deaf_ = false;
  std::vector<boost::asio::local::stream_protocol::socket> deaf_plugins_;  ///< The same of those.

 private:
  boost::asio::awaitable<std::expected<plugin::Started, Error>> start(
      plugin::StartContext context) override;
  boost::asio::awaitable<std::vector<plugin::Finding>> examine(plugin::StartContext) override {
    co_return std::vector<plugin::Finding>{};
  }
  boost::asio::awaitable<std::expected<std::optional<std::string>, Error>> probe(
      plugin::Started&, std::chrono::milliseconds) override {
    co_return std::nullopt;
  }
  boost::asio::awaitable<void> request_shutdown(plugin::Started&, plugin::Clock&,
                                                std::chrono::milliseconds) override {
    co_return;
  }
  Transport::Socket open_socket(const std::string& plugin);

  int accepted_ = 0;
  std::vector<Transport::Socket> others_;  // That take the place of a host on the fixture's loop.
  void accept(const std::shared_ptr<boost::asio::local::stream_protocol::acceptor>& acceptor);
  boost::asio::steady_timer starts_released_{loop_, boost::asio::steady_timer::time_point::max()};
};

}  // namespace plugind::forward::testing
