#include "daemon/forward/transport.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <span>
#include <string_view>
#include <utility>

namespace plugind::forward {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kReadSize = 128 << 10;
// So many full buffers one connection may use up before the others get their turn.
constexpr int kReadsPerTurn = 4;
constexpr std::size_t kSlices = 32;

// One for all connections of a loop's thread: an idle connection owns no buffer.
std::span<std::uint8_t> read_buffer() {
  thread_local std::array<std::uint8_t, kReadSize> buffer;
  return buffer;
}

constexpr std::string_view kNotHttp2 =
    "HTTP/1.1 400 Bad Request\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Connection: close\r\n"
    "Content-Length: 84\r\n"
    "\r\n"
    "This is plugind. It speaks gRPC over HTTP/2 with prior knowledge; use a gRPC client.";

}  // namespace

Transport::Transport(FlushQueue& queue, Socket socket, wire::Role role, const wire::Limits& limits,
                     wire::SessionHandler& handler, Owner& owner)
    : queue_(queue),
      socket_(std::move(socket)),
      owner_(&owner),
      session_(role, limits, handler),
      role_(role) {}

void Transport::start() {
  boost::system::error_code ec;
  socket_.non_blocking(true, ec);
  if (ec || !session_.is_valid()) {
    asio::post(socket_.get_executor(), [self = shared_from_this(), ec] {
      self->fail(ec ? ec.message() : "out of memory");
    });
    return;
  }
  // A server speaks after the client's preface has come: a client that speaks something else then
  // gets an answer that it can read.
  if (role_ == wire::Role::kClient) touch();
  wait_readable();
}

void Transport::detach() {
  owner_ = nullptr;
  close();
}

void Transport::close() {
  if (closed_) return;
  if (session_.is_valid() && session_.pull() && !session_.output().empty()) {
    wire::Slice slices[kSlices];
    std::array<asio::const_buffer, kSlices> buffers;
    const std::size_t count = session_.output().peek(slices, kSlices);
    for (std::size_t i = 0; i < count; ++i) buffers[i] = {slices[i].data, slices[i].size};
    boost::system::error_code ignored;
    socket_.write_some(std::span(buffers).first(count), ignored);
  }
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void Transport::touch() {
  if (dirty_ || closed_) return;
  dirty_ = true;
  queue_.add(shared_from_this());
}

void Transport::fail(std::string why) {
  if (closed_) return;
  close();
  if (Owner* owner = std::exchange(owner_, nullptr)) owner->on_transport_closed(why);
}

void Transport::wait_readable() {
  socket_.async_wait(Socket::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& ec) {
                       if (!ec && !self->closed_) self->on_readable();
                     });
}

void Transport::on_readable() {
  {
    const FlushQueue::Turn turn(queue_);
    if (!read()) return;
    touch();  // For window updates and acknowledgements.
  }
  // After the turn has sent: whoever waits for the answer need not wait for this system call.
  if (!closed_) wait_readable();
}

bool Transport::read() {
  const std::span<std::uint8_t> buffer = read_buffer();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    boost::system::error_code ec;
    const std::size_t size = socket_.read_some(asio::buffer(buffer.data(), buffer.size()), ec);
    if (ec == asio::error::would_block || ec == asio::error::try_again) return true;
    if (ec) {
      fail(ec == asio::error::eof ? "the peer closed the connection" : ec.message());
      return false;
    }
    const bool first = std::exchange(read_total_, read_total_ + size) == 0;
    if (!session_.feed(buffer.data(), size)) {
      const std::string why = std::string("protocol error: ") + session_.error();
      if (role_ == wire::Role::kServer && first) refuse_http1();
      fail(why);
      return false;
    }
    if (closed_) return false;
    if (size < buffer.size()) return true;
  }
  return true;
}

void Transport::refuse_http1() {
  boost::system::error_code ignored;
  socket_.write_some(asio::buffer(kNotHttp2), ignored);
  // Nothing that the session may have to say would be understood.
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
}

void Transport::flush() {
  dirty_ = false;
  if (waits_writable_) return;
  while (!closed_) {
    if (!session_.pull()) {
      fail(std::string("protocol error: ") + session_.error());
      return;
    }
    if (session_.output().empty()) {
      if (session_.is_finished()) {
        fail(*session_.error() == '\0' ? "" : std::string("protocol error: ") + session_.error());
      }
      return;
    }
    wire::Slice slices[kSlices];
    std::array<asio::const_buffer, kSlices> buffers;
    const std::size_t count = session_.output().peek(slices, kSlices);
    for (std::size_t i = 0; i < count; ++i) buffers[i] = {slices[i].data, slices[i].size};
    boost::system::error_code ec;
    const std::size_t written = socket_.write_some(std::span(buffers).first(count), ec);
    if (ec == asio::error::would_block || ec == asio::error::try_again) {
      wait_writable();
      return;
    }
    if (ec) {
      fail(ec.message());
      return;
    }
    written_total_ += written;
    session_.output().pop(written);
  }
}

void Transport::wait_writable() {
  waits_writable_ = true;
  socket_.async_wait(Socket::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& ec) {
                       self->waits_writable_ = false;
                       if (ec || self->closed_) return;
                       const FlushQueue::Turn turn(self->queue_);
                       self->touch();
                     });
}

}  // namespace plugind::forward
