#include "tests/instructions/forward_bench.h"

#include <semaphore.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "tests/instructions/daemon_share.h"

namespace plugind::forward::testing {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;

void fail(const std::string& why) {
  std::fprintf(stderr, "forward_instructions: %s\n", why.c_str());
  std::exit(1);
}

/// Has a worker's thread run its loop only when it is told to, and waits for it.  By semaphores
/// that do not look again and again: in a trace nobody else is seen while a loop runs.
class LaneThread {
 public:
  LaneThread() {
    ::sem_init(&go_, 0, 0);
    ::sem_init(&done_, 0, 0);
  }
  /// On the worker's thread.
  void run(asio::io_context& loop) {
    while (true) {
      ::sem_wait(&go_);
      if (free_) break;
      daemon_share(loop);
      ::sem_post(&done_);
    }
    loop.restart();
    loop.run();
  }
  void turn() {
    ::sem_post(&go_);
    ::sem_wait(&done_);
  }
  /// From now on it runs by itself.
  void let_go() {
    free_ = true;
    ::sem_post(&go_);
  }

 private:
  sem_t go_;
  sem_t done_;
  bool free_ = false;  // Written before go_ is posted for the last time.
};

namespace {
std::string name_of(std::size_t plugin) { return "echo" + std::to_string(plugin); }
}  // namespace

ForwardBench::ForwardBench(const Shape& shape) : plugin_count_(shape.plugins) {
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
                          .runtime_dir = directory_,
                          .lanes = shape.lanes});
  for (std::size_t i = 1; i < shape.lanes; ++i) lanes_.push_back(std::make_unique<LaneThread>());
  forwarder_ = std::make_unique<Forwarder>(
      loop_.get_executor(), queue_, connector_, *supervisor_,
      plugin::Endpoint{"unix:" + (directory_ / "control.sock").string()}, wire::Limits{},
      [](const std::string& event, const std::string& detail) { fail(event + " " + detail); },
      HostPolicy{},
      WorkerOptions{
          .count = shape.lanes,
          .run = [this, next = std::make_shared<std::atomic<std::size_t>>(0)](
                     asio::io_context& loop, const Counters&) { lanes_[(*next)++]->run(loop); }});
  auto front = platform::LocalSocket::listen(directory_ / "front.sock");
  if (!front) fail(front.error().message);
  forwarder_->listen(std::move(*front));
  std::vector<plugin::Manifest> manifests(shape.plugins);
  for (std::size_t i = 0; i < manifests.size(); ++i) {
    manifests[i].name = name_of(i);
    manifests[i].version = "1.0.0";
    manifests[i].command = {"/bin/true"};
    manifests[i].services = {"test." + name_of(i)};
  }
  supervisor_->apply(std::move(manifests));
  forwarder_->plugins_changed();
  for (std::size_t i = 0; i < shape.hosts; ++i) connect_host();
}

ForwardBench::~ForwardBench() {
  bool stopped = false;
  supervisor_->shutdown([&] { stopped = true; });
  for (const auto& process : processes_.spawned) {
    if (process->alive()) process->exit(0);
  }
  while (!stopped) turn();
  for (const auto& lane : lanes_) lane->let_go();
  forwarder_->close();
  loop_.restart();
  loop_.poll();
  std::filesystem::remove_all(directory_);
}

void ForwardBench::connect_host() {
  Local::socket socket(peer_loop_);
  socket.connect(Local::endpoint((directory_ / "front.sock").string()));
  hosts_.push_back(std::make_shared<Peer>(peer_queue_, Transport::Socket(std::move(socket)),
                                          wire::Role::kClient));
  const std::size_t before = forwarder_->connections();
  while (forwarder_->connections() == before) turn();
}

void ForwardBench::turn() {
  peer_loop_.restart();
  peer_loop_.poll();
  daemon_share(loop_);
  for (const auto& lane : lanes_) lane->turn();
}

/// A call in flight.
struct ForwardBench::Open {
  Peer* host = nullptr;
  Stream* stream = nullptr;
};

void ForwardBench::unary(std::uint64_t calls, const UnaryLoad& load) {
  const std::string message = framed(std::string(load.size, 'x'));
  plugin_does_ = [&](Peer& plugin, Stream& stream) {
    if (!stream.ended) return;
    plugin.respond(stream);
    plugin.send(stream, stream.data);
    plugin.trailers(stream);
    answered_.emplace_back(&plugin, stream.id);
  };
  std::vector<Open> open(load.in_flight);
  std::uint64_t begun = 0;
  std::uint64_t ended = 0;
  while (ended < calls) {
    for (Open& one : open) {
      if (one.stream != nullptr && one.stream->closed) {
        if (one.stream->data != message || one.stream->trailers["grpc-status"] != "0") {
          fail("no echo: " + one.stream->trailers["grpc-message"]);
        }
        one.host->streams.erase(one.stream->id);
        one.stream = nullptr;
        ++ended;
      }
      if (one.stream != nullptr || begun == calls) continue;
      one.host = hosts_[load.spreads ? begun % hosts_.size() : 0].get();
      const std::string plugin = name_of(load.spreads ? begun % plugin_count_ : 0);
      Peer::Headers metadata;
      if (!load.by_service) metadata.emplace_back("plugind-plugin", plugin);
      one.stream = &one.host->request("/test." + plugin + "/Unary", metadata);
      one.host->send(*one.stream, message);
      one.host->finish(*one.stream);
      ++begun;
    }
    turn();
    std::erase_if(answered_, [](const auto& answer) {
      const auto stream = answer.first->streams.find(answer.second);
      if (!stream->second->closed) return false;
      answer.first->streams.erase(stream);
      return true;
    });
  }
}

void ForwardBench::streams(std::uint64_t calls, std::size_t messages) {
  const std::string message = framed(std::string(100, 'x'));
  wire::StreamId answered = 0;
  plugin_does_ = [&](Peer& plugin, Stream& stream) {
    if (stream.id != answered) plugin.respond(stream);
    answered = stream.id;
    if (!stream.data.empty()) plugin.send(stream, stream.data);
    stream.data.clear();
    if (stream.ended) plugin.trailers(stream);
  };
  Peer& host = *hosts_.front();
  for (std::uint64_t i = 0; i < calls; ++i) {
    Stream& stream = host.request("/test." + name_of(0) + "/Chat");
    for (std::size_t sent = 1; sent <= messages; ++sent) {
      host.send(stream, message);
      while (stream.data.size() < sent * message.size()) turn();
    }
    host.finish(stream);
    while (!stream.closed) turn();
    if (stream.trailers["grpc-status"] != "0") fail("a stream has failed");
    host.streams.erase(stream.id);
    std::erase_if(plugins_.front()->streams, [](const auto& one) { return one.second->closed; });
  }
}

void ForwardBench::rest() {
  forwarder_->open_plugin_sockets();
  std::size_t ready = 0;
  for (std::size_t i = 0; i < plugin_count_; ++i) {
    supervisor_->start(name_of(i), [&](const auto& status) {
      if (!status) fail(status.error().message);
      ++ready;
    });
    while (ready == i) turn();
  }
  const auto moved = [&] {
    std::uint64_t bytes = 0;
    for (const auto& host : hosts_) bytes += host->transport().read_total();
    for (const auto& plugin : plugins_) bytes += plugin->transport().read_total();
    return bytes;
  };
  std::uint64_t before = 0;
  do {
    before = moved();
    turn();
    turn();
  } while (moved() != before);
}

void ForwardBench::leave_memory() {
  std::filesystem::remove_all(directory_);
  std::_Exit(0);
}

asio::awaitable<std::expected<plugin::Started, Error>> ForwardBench::start(
    plugin::StartContext context) {
  plugin::ProcessSpec spec;
  spec.tree_name = context.instance;
  auto process = context.processes.spawn(std::move(spec));
  const std::string path = (context.directory / "s").string();
  accept(std::make_shared<Local::acceptor>(peer_loop_, Local::endpoint(path)));
  plugin::Started started;
  started.endpoint.address = "unix:" + path;
  auto connection = co_await context.connector.connect(started.endpoint, std::chrono::minutes(5));
  if (!connection) co_return std::unexpected(connection.error());
  started.process = std::move(*process);
  started.connection = std::move(*connection);
  co_return started;
}

void ForwardBench::accept(const std::shared_ptr<Local::acceptor>& acceptor) {
  acceptor->async_accept(
      [this, acceptor](const boost::system::error_code& ec, Local::socket socket) {
        if (ec) fail(ec.message());
        plugins_.push_back(std::make_shared<Peer>(peer_queue_, Transport::Socket(std::move(socket)),
                                                  wire::Role::kServer));
        Peer* plugin = plugins_.back().get();
        plugin->on_data_hook = [this, plugin](Stream& stream) { plugin_does_(*plugin, stream); };
        plugin->on_ended = plugin->on_data_hook;
        accept(acceptor);  // Each of the daemon's loops connects.
      });
}

}  // namespace plugind::forward::testing
