#include "tests/abi/test_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>

#include "proto/wire/base64.h"
#include "proto/wire/framing.h"
#include "proto/wire/percent.h"
#include "proto/wire/session.h"
#include "proto/wire/status_details.h"

namespace plugind::test {
namespace {

using wire::HeaderList;
using wire::StreamId;

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

std::string framed(std::string_view message, bool compressed = false) {
  std::string result(wire::kMessagePrefixSize, '\0');
  wire::write_message_prefix(reinterpret_cast<std::uint8_t*>(result.data()),
                             static_cast<std::uint32_t>(message.size()), compressed);
  return result.append(message);
}

std::string encoded_details() {
  const wire::ErrorInfoEntry metadata[] = {{"plugin", "kv"}};
  wire::StatusDetails details;
  details.code = 14;
  details.message = "it ended";
  details.reason = "PLUGIN_CRASHED";
  details.domain = "plugind";
  details.metadata = metadata;
  details.metadata_count = 1;
  std::string bytes(wire::encoded_status_details_size(details), '\0');
  wire::encode_status_details(details, reinterpret_cast<std::uint8_t*>(bytes.data()));
  std::string text(wire::base64_encoded_size(bytes.size()), '\0');
  wire::base64_encode(bytes.data(), bytes.size(), text.data());
  return text;
}

}  // namespace

struct TestServer::Stream {
  StreamId id = 0;
  std::string method;
  std::string header_text;
  std::string request;  // With its prefix.
  bool is_held = false;
  bool is_answered = false;
  wire::Body body;
  HeaderList trailers;

  std::string_view message() const {
    if (request.size() < wire::kMessagePrefixSize) return "(no message)";
    return std::string_view(request).substr(wire::kMessagePrefixSize);
  }
};

class TestServer::Peer final : public wire::SessionHandler {
 public:
  Peer(TestServer& server, int fd) : server_(server), fd_(fd), session_(make_session()) {}
  ~Peer() { ::close(fd_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  int fd() const { return fd_; }
  bool is_closed() const { return is_closed_; }
  bool wants_write() const { return session_->wants_write(); }
  void go_away() { session_->submit_goaway(); }

  void on_readable() {
    std::uint8_t buffer[64 << 10];
    const ssize_t size = ::recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) is_closed_ = true;
    if (size > 0 && !session_->feed(buffer, static_cast<std::size_t>(size))) is_closed_ = true;
  }

  void write() {
    if (!server_.writes()) return;
    while (!is_closed_ && session_->pull() && !session_->output().empty()) {
      wire::Slice slice;
      session_->output().peek(&slice, 1);
      const ssize_t size = ::send(fd_, slice.data, slice.size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size < 0) {
        if (errno != EAGAIN) is_closed_ = true;
        return;
      }
      session_->output().pop(static_cast<std::size_t>(size));
    }
    if (session_->is_finished()) is_closed_ = true;
  }

  void release() {
    for (auto& [id, stream] : streams_) {
      if (stream->is_held && !stream->is_answered) reply(*stream, framed(stream->message()));
    }
  }

 private:
  std::unique_ptr<wire::Session> make_session() {
    wire::Limits limits;
    if (server_.manner_ == Manner::kOneStream) limits.max_concurrent_streams = 1;
    return std::make_unique<wire::Session>(wire::Role::kServer, limits, *this);
  }

  void respond(Stream& stream, std::string_view body, std::string_view status = "200",
               std::string_view type = "application/grpc") {
    stream.is_answered = true;
    HeaderList headers;
    headers.add(":status", status);
    headers.add("content-type", type);
    stream.body.bytes.append(body.data(), body.size());
    session_->submit_response(stream.id, headers, &stream.body);
  }

  void reply(Stream& stream, std::string_view body) {
    respond(stream, body);
    stream.trailers.add("grpc-status", "0");
    session_->finish_with_trailers(stream.id, stream.body, stream.trailers);
  }

  void refuse(Stream& stream, std::string_view status, std::string_view message,
              std::string_view details) {
    stream.is_answered = true;
    std::string text(wire::percent_encoded_size(message), '\0');
    wire::percent_encode(message, text.data());
    HeaderList headers;
    headers.add(":status", "200");
    headers.add("content-type", "application/grpc");
    headers.add("grpc-status", status);
    headers.add("grpc-message", text);
    if (!details.empty()) headers.add("grpc-status-details-bin", details);
    session_->submit_response(stream.id, headers, nullptr);
  }

  void answer(Stream& s) {
    if (s.method == "Echo") return reply(s, framed(s.message()));
    if (s.method == "Metadata") return reply(s, framed(s.header_text));
    if (s.method == "Size")
      return reply(s, framed(std::string(std::stoul(std::string(s.message())), 'r')));
    if (s.method == "Hold") {
      s.is_held = true;
      return server_.count(server_.held_, 1);
    }
    if (s.method == "Fail") return refuse(s, "14", "it ended: 100%\n", encoded_details());
    if (s.method == "BadDetails") return refuse(s, "5", "not here", "!!!");
    if (s.method == "NoMessage") return reply(s, "");
    if (s.method == "TwoMessages") return reply(s, framed("one") + framed("two"));
    if (s.method == "Compressed") return reply(s, framed("x", true));
    if (s.method == "OverSize") return respond(s, std::string("\0\x80\0\0\0", 5));
    if (s.method == "BadFlag") return respond(s, "<html>");
    if (s.method == "CutShort") return reply(s, framed("hello").substr(0, 8));
    if (s.method == "Http503" || s.method == "NotGrpc" || s.method == "NoStatus") {
      respond(s, framed("x"), s.method == "Http503" ? "503" : "200",
              s.method == "NoStatus" ? "application/grpc" : "text/html");
      return session_->finish(s.id, s.body);
    }
    if (s.method == "BigTrailers") {
      respond(s, framed("x"));
      s.trailers.add("grpc-status", "0");
      for (int i = 0; i < 80; ++i) s.trailers.add("x-" + std::to_string(i), std::string(1000, 'v'));
      return session_->finish_with_trailers(s.id, s.body, s.trailers);
    }
    if (s.method == "Reset") return session_->reset(s.id, wire::kEnhanceYourCalm);
    if (s.method == "Quit") server_.stopping_ = true;
    if (s.method == "Die" || s.method == "Quit") {
      is_closed_ = true;
      return;
    }
    refuse(s, "12", "no such method", "");
  }

  void* on_stream_opened(StreamId id) override {
    auto stream = std::make_unique<Stream>();
    stream->id = id;
    return (streams_[id] = std::move(stream)).get();
  }
  void on_headers(StreamId, void* user, Block, HeaderList& headers, bool end_stream) override {
    Stream& stream = *static_cast<Stream*>(user);
    for (std::size_t i = 0; i < headers.count(); ++i) {
      stream.header_text.append(headers[i].name).append(": ").append(headers[i].value);
      stream.header_text += '\n';
    }
    const std::string path(headers.get(":path"));
    stream.method = path.substr(path.rfind('/') + 1);
    ++server_.calls_;
    if (stream.method == "FailEarly") refuse(stream, "3", "no", "");
    if (end_stream) answer(stream);
  }
  void on_data(StreamId id, void* user, const std::uint8_t* data, std::size_t size) override {
    session_->consume(id, size);
    static_cast<Stream*>(user)->request.append(reinterpret_cast<const char*>(data), size);
  }
  void on_end_of_data(StreamId, void* user) override {
    Stream& stream = *static_cast<Stream*>(user);
    if (!stream.is_answered) answer(stream);
  }
  void on_body_sent(StreamId, void*, std::size_t) override {}
  void on_headers_too_large(StreamId, void*, Block) override {}
  void on_stream_closed(StreamId id, void* user, std::uint32_t error_code) override {
    const Stream& stream = *static_cast<Stream*>(user);
    if (stream.is_held && !stream.is_answered) server_.count(server_.held_, -1);
    if (error_code == wire::kCancel) server_.count(server_.cancelled_, 1);
    streams_.erase(id);
  }
  void on_goaway(StreamId, std::uint32_t) override {}
  void on_settings() override {}

  TestServer& server_;
  int fd_;
  bool is_closed_ = false;
  std::unique_ptr<wire::Session> session_;
  std::map<StreamId, std::unique_ptr<Stream>> streams_;
};

TestServer::TestServer(Manner manner, Transport transport) : manner_(manner) {
  if (transport == Transport::kUnix) {
    char name[] = "/tmp/plugind-abi-XXXXXX";
    if (::mkdtemp(name) == nullptr) fail("mkdtemp");
    directory_ = name;
    owns_directory_ = true;
    address_ = "unix:" + directory_ + "/test.sock";
    listen_unix();
  } else {
    listen_tcp();
  }
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  thread_ = std::thread([this] { run(); });
}

TestServer::TestServer(Manner manner, std::string address)
    : manner_(manner), address_(std::move(address)), owns_directory_(true) {
  directory_ = address_.substr(5, address_.rfind('/') - 5);
  listen_unix();
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  thread_ = std::thread([this] { run(); });
}

TestServer::~TestServer() {
  stop();
  ::close(wake_);
  if (owns_directory_) {
    ::unlink(address_.c_str() + 5);
    ::rmdir(directory_.c_str());
  }
}

void TestServer::listen_unix() {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strcpy(name.sun_path, address_.c_str() + 5);
  ::unlink(name.sun_path);
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) fail("bind");
  if (::listen(listener_, 64) != 0) fail("listen");
}

void TestServer::listen_tcp() {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) fail("bind");
  if (::listen(listener_, 64) != 0) fail("listen");
  socklen_t size = sizeof(name);
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&name), &size);
  address_ = "tcp:127.0.0.1:" + std::to_string(ntohs(name.sin_port));
}

void TestServer::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  wake();
  thread_.join();
}

void TestServer::release() {
  release_ = true;
  wake();
}

void TestServer::go_away() {
  go_away_ = true;
  wake();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return gone_away_ > 0; });
}

void TestServer::become(Manner manner) {
  manner_ = manner;
  wake();
}

bool TestServer::reads() const { return manner_ != Manner::kSilent && manner_ != Manner::kDeaf; }

bool TestServer::writes() const {
  return manner_ != Manner::kSilent && manner_ != Manner::kGarbage;
}

void TestServer::wake() { ::eventfd_write(wake_, 1); }

void TestServer::count(int& counter, int by) {
  const std::lock_guard lock(mutex_);
  counter += by;
  changed_.notify_all();
}

void TestServer::wait_for_held(int count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return held_ >= count; });
}

void TestServer::wait_for_cancelled(int count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return cancelled_ >= count; });
}

void TestServer::run() {
  while (!stopping_) {
    std::vector<pollfd> entries = {{listener_, POLLIN, 0}, {wake_, POLLIN, 0}};
    for (const auto& peer : peers_) {
      const int events = (reads() ? POLLIN : 0) | (writes() && peer->wants_write() ? POLLOUT : 0);
      entries.push_back({peer->fd(), static_cast<short>(events), 0});
    }
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    eventfd_t ignored;
    ::eventfd_read(wake_, &ignored);
    const bool releasing = release_.exchange(false);
    const bool going_away = go_away_.exchange(false);
    for (std::size_t i = 0; i < peers_.size(); ++i) {
      if (entries[i + 2].revents != 0 && reads()) peers_[i]->on_readable();
      if (releasing) peers_[i]->release();
      if (going_away) peers_[i]->go_away();
      peers_[i]->write();
    }
    if (going_away) count(gone_away_, 1);
    std::erase_if(peers_, [](const auto& peer) { return peer->is_closed(); });
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++connections_;
    auto peer = std::make_unique<Peer>(*this, fd);
    if (manner_ == Manner::kGarbage) {
      constexpr char kText[] = "220 mail.example.org ESMTP\r\n";
      ::send(fd, kText, sizeof(kText) - 1, MSG_NOSIGNAL);
    }
    if (manner_ != Manner::kCloseAtOnce) {
      peer->write();
      peers_.push_back(std::move(peer));
    }
  }
  peers_.clear();
  ::close(listener_);
}

}  // namespace plugind::test
