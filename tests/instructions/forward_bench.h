// The daemon's forwarding between hosts and plugins that are played in the same process, one step
// after the other, so that what the daemon does is the same in every run.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/app/steady_clock.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {

/// Ends the program.
[[noreturn]] void fail(const std::string& why);

class LaneThread;

/// What takes part.
struct Shape {
  std::size_t hosts = 1;    ///< Connections of hosts.
  std::size_t plugins = 1;  ///< Each with one instance.
  std::size_t lanes = 1;    ///< Loops that forward; connections are spread over them.
};

/// Unary calls with a reply as long as the request.
struct UnaryLoad {
  std::size_t in_flight = 1;
  std::size_t size = 100;
  bool spreads = false;     ///< Over hosts and plugins in turns; else all by the first of each.
  bool by_service = false;  ///< The plugin is told by the service and not by metadata.
};

/// Hosts and plugins have a loop of their own; it and the daemon's loops take turns.  The daemon's
/// ones are run by daemon_share() alone.
class ForwardBench final : private plugin::Dialect {
 public:
  explicit ForwardBench(const Shape& shape);
  ~ForwardBench();

  void unary(std::uint64_t calls, const UnaryLoad& load);
  /// Calls of so many messages of 100 bytes each way, one after the other.
  void streams(std::uint64_t calls, std::size_t messages);
  /// Starts all plugins, each of which gets its plugin socket, and waits until hosts and plugins
  /// have been greeted and there is nothing more to do.
  void rest();
  /// Ends the program with all that is there, for who looks at its memory.
  [[noreturn]] void leave_memory();

 private:
  struct Open;

  void turn();
  void connect_host();
  void accept(const std::shared_ptr<boost::asio::local::stream_protocol::acceptor>& acceptor);

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

  boost::asio::io_context loop_{1};  // The daemon's first one.
  boost::asio::io_context peer_loop_{1};
  FlushQueue queue_{loop_.get_executor()};
  FlushQueue peer_queue_{peer_loop_.get_executor()};
  UpstreamConnector connector_{loop_.get_executor(), queue_, wire::Limits{}};
  app::SteadyClock clock_{loop_.get_executor()};
  plugind::testing::FakeProcessFactory processes_;
  std::filesystem::path directory_;
  std::unique_ptr<plugin::Supervisor> supervisor_;
  std::vector<std::unique_ptr<LaneThread>> lanes_;  // Beside the first one.
  std::unique_ptr<Forwarder> forwarder_;
  std::function<void(Peer&, Stream&)> plugin_does_;
  std::size_t plugin_count_;
  std::vector<std::shared_ptr<Peer>> hosts_;
  std::vector<std::shared_ptr<Peer>> plugins_;  // One for each connection of the daemon.
  std::vector<std::pair<Peer*, wire::StreamId>> answered_;
};

}  // namespace plugind::forward::testing
