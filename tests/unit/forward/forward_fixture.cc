#include "tests/unit/forward/forward_fixture.h"

#include <stdlib.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "proto/wire/base64.h"
#include "proto/wire/framing.h"
#include "proto/wire/status_details.h"
#include "tests/support/raw_http2.h"

namespace plugind::forward::testing {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;

namespace {

Stream& stream_of(void* user) { return *static_cast<Stream*>(user); }

std::map<std::string, std::string> to_map(const wire::HeaderList& headers) {
  std::map<std::string, std::string> map;
  for (std::size_t i = 0; i < headers.count(); ++i) {
    map[std::string(headers[i].name)] = std::string(headers[i].value);
  }
  return map;
}

void note_never_indexed(const wire::HeaderList& headers, std::set<std::string>& names) {
  for (std::size_t i = 0; i < headers.count(); ++i) {
    if (headers[i].never_index) names.emplace(headers[i].name);
  }
}

}  // namespace

std::string wide_greeting() {
  using plugind::testing::frame;
  using plugind::testing::FrameType;
  const std::string size("\x01\x00\x00\x00", 4);
  return frame(FrameType::kSettings, 0, 0, std::string("\x00\x04", 2) + size) +
         frame(FrameType::kWindowUpdate, 0, 0, size);
}

std::string framed(std::string_view message) {
  std::string bytes(wire::kMessagePrefixSize, '\0');
  wire::write_message_prefix(reinterpret_cast<std::uint8_t*>(bytes.data()),
                             static_cast<std::uint32_t>(message.size()));
  return bytes.append(message);
}

Peer::Peer(FlushQueue& queue, Transport::Socket socket, wire::Role role, const wire::Limits& limits)
    : queue_(queue),
      transport_(std::make_shared<Transport>(queue, std::move(socket), role, limits,
                                             static_cast<wire::SessionHandler&>(*this),
                                             static_cast<Transport::Owner&>(*this))) {
  transport_->start();
}

Peer::~Peer() { transport_->detach(); }

Stream& Peer::request(const std::string& path, const Headers& extra, bool with_body) {
  auto stream = std::make_unique<Stream>();
  wire::HeaderList headers;
  std::map<std::string, std::string> fields = {
      {":method", "POST"}, {":scheme", "http"},
      {":path", path},     {":authority", "/run/some/socket"},
      {"te", "trailers"},  {"content-type", "application/grpc"}};
  std::vector<std::pair<std::string, std::string>> others;
  for (const auto& [name, value] : extra) {
    if (fields.contains(name)) {
      fields[name] = value;
    } else {
      others.emplace_back(name, value);
    }
  }
  for (const auto& [name, value] : fields) add(headers, name, value);
  for (const auto& [name, value] : others) add(headers, name, value);
  stream->id = session().submit_request(headers, with_body ? &stream->body : nullptr, stream.get());
  transport_->touch();
  const wire::StreamId id = stream->id;
  return *(streams[id] = std::move(stream));
}

void Peer::add(wire::HeaderList& headers, const std::string& name, const std::string& value) const {
  headers.add(name, value, never_index.contains(name));
}

void Peer::respond(Stream& stream, const Headers& extra, bool with_body) {
  wire::HeaderList headers;
  headers.add(":status", "200");
  headers.add("content-type", "application/grpc");
  for (const auto& [name, value] : extra) add(headers, name, value);
  session().submit_response(stream.id, headers, with_body ? &stream.body : nullptr);
  transport_->touch();
}

void Peer::trailers(Stream& stream, const Headers& trailers) {
  for (const auto& [name, value] : trailers) add(stream.trailers_to_send, name, value);
  session().finish_with_trailers(stream.id, stream.body, stream.trailers_to_send);
  transport_->touch();
}

void Peer::send(Stream& stream, std::string_view bytes) {
  stream.body.bytes.append(bytes.data(), bytes.size());
  session().resume(stream.id, stream.body);
  transport_->touch();
}

void Peer::finish(Stream& stream) {
  session().finish(stream.id, stream.body);
  transport_->touch();
}

void Peer::reset(Stream& stream, std::uint32_t error) {
  session().reset(stream.id, error);
  transport_->touch();
}

void Peer::consume(Stream& stream, std::size_t size) {
  stream.unconsumed -= size;
  session().consume(stream.id, size);
  transport_->touch();
}

void Peer::goaway() {
  session().submit_goaway();
  transport_->touch();
}

void* Peer::on_stream_opened(wire::StreamId id) {
  auto stream = std::make_unique<Stream>();
  stream->id = id;
  void* user = stream.get();
  streams[id] = std::move(stream);
  return user;
}

void Peer::on_headers(wire::StreamId, void* user, Block block, wire::HeaderList& headers,
                      bool end_stream) {
  Stream& stream = stream_of(user);
  note_never_indexed(headers, stream.never_indexed);
  if (block == Block::kTrailers) {
    stream.trailers = to_map(headers);
  } else {
    stream.headers = to_map(headers);
    stream.trailers_only = end_stream && block == Block::kResponse;
    if (stream.trailers_only) stream.trailers = stream.headers;
  }
  if (end_stream) stream.ended = true;
  if (block == Block::kRequest && on_request) on_request(stream);
  if (end_stream && on_ended) on_ended(stream);
}

void Peer::on_data(wire::StreamId id, void* user, const std::uint8_t* data, std::size_t size) {
  Stream& stream = stream_of(user);
  stream.data.append(reinterpret_cast<const char*>(data), size);
  if (reads_by_itself) {
    session().consume(id, size);
  } else {
    stream.unconsumed += size;
  }
  if (on_data_hook) on_data_hook(stream);
}

void Peer::on_end_of_data(wire::StreamId, void* user) {
  stream_of(user).ended = true;
  if (on_ended) on_ended(stream_of(user));
}

void Peer::on_body_sent(wire::StreamId, void* user, std::size_t size) {
  stream_of(user).sent += size;
}

void Peer::on_stream_closed(wire::StreamId, void* user, std::uint32_t error) {
  if (user == nullptr) return;
  stream_of(user).closed = true;
  stream_of(user).error = error;
  if (on_closed) on_closed(stream_of(user));
}

void Peer::on_transport_closed(const std::string& reason) {
  lost = true;
  why = reason;
}

ForwardTest::ForwardTest(const wire::Limits& limits)
    : limits_(limits), connector_(loop_.get_executor(), queue_, limits_), plugin_limits_(limits) {
  char pattern[] = "/tmp/plugind-forward-XXXXXX";
  directory_ = ::mkdtemp(pattern);
  std::filesystem::create_directories(directory_ / "plugins");
  supervisor_ = std::make_unique<plugin::Supervisor>(plugin::Environment{
      .loop = loop_.get_executor(),
      .clock = clock_,
      .processes = processes_,
      .connector = connector_,
      .dialects = {{plugin::DialectKind::kNative, this}, {plugin::DialectKind::kGoPlugin, this}},
      .runtime_dir = directory_,
      .lanes = workers_});
}

ForwardTest::~ForwardTest() {
  bool stopped = false;
  supervisor_->shutdown([&] { stopped = true; });
  for (const auto& process : processes_.spawned) {
    if (process->alive()) process->exit(0);
  }
  run_until([&] { return stopped; }, "everything to stop");
  if (forwarder_) forwarder_->close();
  run_idle();
  std::filesystem::remove_all(directory_);
}

plugin::Manifest ForwardTest::manifest(const std::string& name) {
  plugin::Manifest m;
  m.name = name;
  m.version = "1.0.0";
  m.command = {"/bin/true"};
  m.services = {"test." + name};
  m.restart_limit = 0;
  m.restart_backoff = std::chrono::milliseconds(0);
  return m;
}

void ForwardTest::apply(std::vector<plugin::Manifest> manifests) {
  if (!forwarder_) {
    policy_.identify = [this, identify = policy_.identify](int socket) {
      ++accepted_;
      return identify(socket);
    };
    forwarder_ = std::make_unique<Forwarder>(
        loop_.get_executor(), queue_, connector_, *supervisor_,
        plugin::Endpoint{"unix:" + (directory_ / "control.sock").string()}, limits_,
        [this](const std::string& event, const std::string& detail) {
          reports_.push_back(event + " " + detail);
        },
        policy_, WorkerOptions{.count = workers_});
    forwarder_->open_plugin_sockets();
    auto front = platform::LocalSocket::listen(directory_ / "front.sock");
    ASSERT_TRUE(front) << front.error().message;
    forwarder_->listen(std::move(*front));
  }
  supervisor_->apply(std::move(manifests));
  forwarder_->plugins_changed();
}

Transport::Socket ForwardTest::connect_raw(const std::string& plugin) {
  if (workers_ == 1) return open_socket(plugin);
  // A connection goes to the loop that has the fewest, and to the fixture's if both have as many.
  const int before = accepted_;
  others_.push_back(open_socket(""));
  run_until([&] { return accepted_ == before + 1; }, "a connection");
  Transport::Socket socket = open_socket(plugin);
  run_until([&] { return accepted_ == before + 2; }, "a connection");
  return socket;
}

Transport::Socket ForwardTest::open_socket(const std::string& plugin) {
  Local::socket socket(loop_);
  socket.connect(Local::endpoint(
      (plugin.empty() ? directory_ / "front.sock" : directory_ / "plugins" / (plugin + ".sock"))
          .string()));
  return Transport::Socket(std::move(socket));
}

std::shared_ptr<Peer> ForwardTest::connect(const std::string& plugin, const wire::Limits& limits) {
  return std::make_shared<Peer>(queue_, connect_raw(plugin), wire::Role::kClient, limits);
}

void ForwardTest::run_until(const std::function<bool()>& done, const char* what) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  loop_.restart();
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) {
      FAIL() << "waited ten seconds for " << what;
    }
    loop_.run_one_for(std::chrono::milliseconds(100));
    loop_.restart();
  }
}

std::string ForwardTest::reason_of(const std::map<std::string, std::string>& trailers) {
  const auto text = trailers.find("grpc-status-details-bin");
  if (text == trailers.end()) return "";
  std::vector<std::uint8_t> bytes(wire::base64_decoded_bound(text->second.size()));
  const auto size = wire::base64_decode(text->second, bytes.data());
  if (!size) return "";
  const auto details = wire::decode_status_details(bytes.data(), *size, "plugind");
  return details && details->domain == "plugind" ? std::string(details->reason) : "";
}

void ForwardTest::run_idle() {
  loop_.restart();
  while (loop_.run_one_for(std::chrono::milliseconds(20)) > 0) {
  }
}

asio::awaitable<std::expected<plugin::Started, Error>> ForwardTest::start(
    plugin::StartContext context) {
  ++starts_;
  if (holds_starts_) {
    boost::system::error_code ignored;
    co_await starts_released_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  if (next_start_error_) co_return std::unexpected(*std::exchange(next_start_error_, {}));
  plugin::ProcessSpec spec;
  spec.tree_name = context.instance;
  auto process = context.processes.spawn(std::move(spec));
  const std::string path = (context.directory / "s").string();
  auto acceptor = std::make_shared<Local::acceptor>(loop_, Local::endpoint(path));
  accept(acceptor);
  plugin::Started started;
  started.endpoint.address = "unix:" + path;
  auto connection = co_await context.connector.connect(started.endpoint, std::chrono::seconds(5));
  if (!connection) co_return std::unexpected(connection.error());
  started.process = std::move(*process);
  started.connection = std::move(*connection);
  co_return started;
}

void ForwardTest::accept(const std::shared_ptr<Local::acceptor>& acceptor) {
  acceptor->async_accept(
      [this, acceptor](const boost::system::error_code& ec, Local::socket socket) {
        if (ec) return;
        if (plugins_are_deaf_) {
          asio::write(socket, asio::buffer(wide_greeting()));
          deaf_plugins_.push_back(std::move(socket));
          return accept(acceptor);
        }
        auto peer = std::make_shared<Peer>(queue_, Transport::Socket(std::move(socket)),
                                           wire::Role::kServer, plugin_limits_);
        peer->on_request = [this, raw = peer.get()](Stream& stream) {
          if (serve_) serve_(*raw, stream);
        };
        plugins_.push_back(std::move(peer));
        accept(acceptor);  // The daemon may connect again.
      });
}

}  // namespace plugind::forward::testing
