// Forwards calls between a host and a plugin that are played in the same process, so that callgrind
// can count what the daemon's part of it takes: everything below daemon_share(), and nothing else.
// Hosts and plugins have an event loop of their own; the two loops take turns.
//
//   forward_instructions LOAD CALLS      prints the allocations of the daemon's part
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/app/steady_clock.h"
#include "tests/unit/forward/forward_fixture.h"

namespace {
bool counts_allocations = false;
std::uint64_t allocations = 0;
}  // namespace

// glibc's allocator under its other names.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void __libc_free(void* memory);

void* malloc(std::size_t size) noexcept {
  allocations += counts_allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) noexcept {
  allocations += counts_allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) noexcept {
  allocations += counts_allocations;
  return __libc_realloc(memory, size);
}
void free(void* memory) noexcept { __libc_free(memory); }

/// The name that callgrind is told (--toggle-collect).
[[gnu::noipa]] void daemon_share(boost::asio::io_context& loop) {
  counts_allocations = true;
  loop.restart();
  loop.poll();
  counts_allocations = false;
}
}

namespace plugind::forward::testing {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "forward_instructions: %s\n", why.c_str());
  std::exit(1);
}

class Bench final : private plugin::Dialect {
 public:
  Bench() {
    char pattern[] = "/tmp/plugind-instructions-XXXXXX";
    if (::mkdtemp(pattern) == nullptr) fail("no temporary directory");
    directory_ = pattern;
    std::filesystem::create_directories(directory_ / "plugins");
    supervisor_ = std::make_unique<plugin::Supervisor>(
        plugin::Environment{.loop = loop_.get_executor(),
                            .clock = clock_,
                            .processes = processes_,
                            .connector = connector_,
                            .dialects = {{plugin::DialectKind::kNative, this}},
                            .runtime_dir = directory_});
    forwarder_ = std::make_unique<Forwarder>(
        loop_.get_executor(), queue_, connector_, *supervisor_,
        plugin::Endpoint{"unix:" + (directory_ / "control.sock").string()}, wire::Limits{},
        [](const std::string& event, const std::string& detail) { fail(event + " " + detail); });
    auto front = platform::LocalSocket::listen(directory_ / "front.sock");
    if (!front) fail(front.error().message);
    forwarder_->listen(std::move(*front));
    plugin::Manifest manifest;
    manifest.name = "echo";
    manifest.version = "1.0.0";
    manifest.command = {"/bin/true"};
    manifest.services = {"test.Echo"};
    supervisor_->apply({manifest});
    Local::socket socket(peer_loop_);
    socket.connect(Local::endpoint((directory_ / "front.sock").string()));
    host_ = std::make_shared<Peer>(peer_queue_, Transport::Socket(std::move(socket)),
                                   wire::Role::kClient);
  }
  ~Bench() {
    bool stopped = false;
    supervisor_->shutdown([&] { stopped = true; });
    for (const auto& process : processes_.spawned) {
      if (process->alive()) process->exit(0);
    }
    while (!stopped) turn();
    forwarder_->close();
    turn();
    std::filesystem::remove_all(directory_);
  }

  /// `calls` unary calls, so many at a time.
  void unary(std::uint64_t calls, std::size_t in_flight, std::size_t size) {
    const std::string message = framed(std::string(size, 'x'));
    plugin_does_ = [&](Peer& plugin, Stream& stream) {
      if (!stream.ended) return;
      plugin.respond(stream);
      plugin.send(stream, stream.data);
      plugin.trailers(stream);
    };
    std::vector<Stream*> open(in_flight, nullptr);
    std::uint64_t begun = 0;
    std::uint64_t ended = 0;
    while (ended < calls) {
      for (Stream*& stream : open) {
        if (stream != nullptr && stream->closed) {
          if (stream->data != message || stream->trailers["grpc-status"] != "0") fail("no echo");
          forget(stream->id);
          stream = nullptr;
          ++ended;
        }
        if (stream == nullptr && begun < calls) {
          stream = &host_->request("/test.Echo/Unary");
          host_->send(*stream, message);
          host_->finish(*stream);
          ++begun;
        }
      }
      turn();
    }
  }

  /// Calls of so many messages of 100 bytes each way, one after the other.
  void streams(std::uint64_t calls, std::size_t messages) {
    const std::string message = framed(std::string(100, 'x'));
    wire::StreamId answered = 0;
    plugin_does_ = [&](Peer& plugin, Stream& stream) {
      if (stream.id != answered) plugin.respond(stream);
      answered = stream.id;
      if (!stream.data.empty()) plugin.send(stream, stream.data);
      stream.data.clear();
      if (stream.ended) plugin.trailers(stream);
    };
    for (std::uint64_t i = 0; i < calls; ++i) {
      Stream& stream = host_->request("/test.Echo/Chat");
      for (std::size_t sent = 1; sent <= messages; ++sent) {
        host_->send(stream, message);
        while (stream.data.size() < sent * message.size()) turn();
      }
      host_->finish(stream);
      while (!stream.closed) turn();
      if (stream.trailers["grpc-status"] != "0") fail("a stream has failed");
      forget(stream.id);
    }
  }

 private:
  void turn() {
    peer_loop_.restart();
    peer_loop_.poll();
    daemon_share(loop_);
  }
  void forget(wire::StreamId id) {
    host_->streams.erase(id);
    std::erase_if(plugin_->streams, [](const auto& entry) { return entry.second->closed; });
  }

  asio::awaitable<std::expected<plugin::Started, Error>> start(
      plugin::StartContext context) override {
    plugin::ProcessSpec spec;
    spec.tree_name = context.instance;
    auto process = context.processes.spawn(std::move(spec));
    const std::string path = (context.directory / "s").string();
    acceptor_.emplace(peer_loop_, Local::endpoint(path));
    acceptor_->async_accept([this](const boost::system::error_code& ec, Local::socket socket) {
      if (ec) fail(ec.message());
      plugin_ = std::make_shared<Peer>(peer_queue_, Transport::Socket(std::move(socket)),
                                       wire::Role::kServer);
      plugin_->on_data_hook = [this](Stream& stream) { plugin_does_(*plugin_, stream); };
      plugin_->on_ended = plugin_->on_data_hook;
    });
    plugin::Started started;
    started.endpoint.address = "unix:" + path;
    auto connection = co_await context.connector.connect(started.endpoint, std::chrono::minutes(5));
    if (!connection) co_return std::unexpected(connection.error());
    started.process = std::move(*process);
    started.connection = std::move(*connection);
    co_return started;
  }
  asio::awaitable<std::vector<plugin::Finding>> examine(plugin::StartContext) override {
    co_return std::vector<plugin::Finding>{};
  }
  asio::awaitable<std::expected<std::optional<std::string>, Error>> probe(
      plugin::Started&, std::chrono::milliseconds) override {
    co_return std::nullopt;
  }
  asio::awaitable<void> request_shutdown(plugin::Started&, plugin::Clock&,
                                         std::chrono::milliseconds) override {
    co_return;
  }

  asio::io_context loop_{1};  // The daemon's.
  asio::io_context peer_loop_{1};
  FlushQueue queue_{loop_.get_executor()};
  FlushQueue peer_queue_{peer_loop_.get_executor()};
  UpstreamConnector connector_{loop_.get_executor(), queue_, wire::Limits{}};
  app::SteadyClock clock_{loop_.get_executor()};
  plugind::testing::FakeProcessFactory processes_;
  std::filesystem::path directory_;
  std::unique_ptr<plugin::Supervisor> supervisor_;
  std::unique_ptr<Forwarder> forwarder_;
  std::optional<Local::acceptor> acceptor_;
  std::function<void(Peer&, Stream&)> plugin_does_;
  std::shared_ptr<Peer> host_;
  std::shared_ptr<Peer> plugin_;
};

void run(std::string_view load, std::uint64_t calls) {
  Bench bench;
  if (load == "unary-100") return bench.unary(calls, 1, 100);
  if (load == "unary-100-32") return bench.unary(calls, 32, 100);
  if (load == "unary-64k") return bench.unary(calls, 1, 64 << 10);
  if (load == "stream-100") return bench.streams(calls, 100);
  fail("there is no load '" + std::string(load) + "'");
}

}  // namespace
}  // namespace plugind::forward::testing

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: forward_instructions LOAD CALLS\n");
    return 2;
  }
  plugind::forward::testing::run(argv[1], std::strtoull(argv[2], nullptr, 10));
  std::printf("%llu\n", static_cast<unsigned long long>(allocations));
  return 0;
}
