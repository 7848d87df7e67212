#include "daemon/forward/transport.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "daemon/platform/socket_waits.h"

namespace plugind::forward {

namespace asio = boost::asio;

namespace {

// More than a Unix socket holds by default, so that one read takes all that is there.
constexpr std::size_t kReadSize = 256 << 10;
// So many full buffers one connection may use up before the others get their turn.
constexpr int kReadsPerTurn = 2;
constexpr std::size_t kSlices = 64;
// So many waits without one for room to write, until the kernel is told that there is none any
// more.
constexpr int kCalmWaits = 16;

// One for all connections of a loop's thread.  Not an array that is thread_local itself: glibc
// clears that for each thread that starts, gRPC's as well, whose memory it then takes.
std::span<std::uint8_t> read_buffer() {
  thread_local const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(kReadSize);
  return {buffer.get(), kReadSize};
}

// Pings are answered by answer_pings().
wire::Limits with_held_pings(wire::Limits limits) {
  limits.holds_pings = true;
  return limits;
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
      session_(role, with_held_pings(limits), handler),
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
  receive();
}

void Transport::detach() {
  owner_ = nullptr;
  close();
}

void Transport::close() {
  if (closed_) return;
  if (!finished_ && session_.is_valid() && session_.pull() && !session_.output().empty()) {
    wire::Slice slices[kSlices];
    std::array<asio::const_buffer, kSlices> buffers;
    const std::size_t count = session_.output().peek(slices, kSlices);
    for (std::size_t i = 0; i < count; ++i) buffers[i] = {slices[i].data, slices[i].size};
    boost::system::error_code ignored;
    // Counted: a request that leaves here must not be taken for one that was never sent.
    const std::size_t written = socket_.write_some(std::span(buffers).first(count), ignored);
    written_total_ += written;
    session_.output().pop(written);
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

// A peer that is just writing when the socket is closed gets an error, and some then throw away
// what they have not read yet, such as the status of a call: gRPC's C core does.
void Transport::finish() {
  if (owner_ == nullptr || !owner_->on_transport_finished()) return fail("");
  finished_ = true;
  boost::system::error_code ignored;
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
}

// A wait and then a read: a pending read would need a buffer for each idle connection.  It costs as
// many system calls: Asio tells the kernel of every wait anew, and begins every read by trying it.
void Transport::receive() {
  if (told_of_room_ && !waits_writable_ && ++calm_waits_ >= kCalmWaits && !forget_room()) return;
  socket_.async_wait(Socket::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& ec) {
                       if (!self->closed_) self->on_readable(ec);
                     });
}

bool Transport::forget_room() {
  told_of_room_ = false;
  const boost::system::error_code ec = platform::forget_waits(socket_);
  if (!ec) return true;
  // Not from here: the owner may be in the middle of something.
  asio::post(socket_.get_executor(), [self = shared_from_this(), ec] { self->fail(ec.message()); });
  return false;
}

void Transport::on_readable(const boost::system::error_code& ec) {
  {
    const FlushQueue::Turn turn(queue_);
    if (ec) return fail(ec.message());
    if (!read()) return;
    touch();  // For window updates and acknowledgements.
    if (session_.has_pings() && !std::exchange(awaits_pings_, true)) {
      queue_.answer_pings(shared_from_this());
    }
  }
  // After the turn has sent: whoever waits for the answer need not wait for this.
  if (!closed_) receive();
}

bool Transport::read() {
  const std::span<std::uint8_t> buffer = read_buffer();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    boost::system::error_code ec;
    const std::size_t size = socket_.read_some(asio::buffer(buffer.data(), buffer.size()), ec);
    if (ec == asio::error::would_block || ec == asio::error::try_again) return true;
    // What came before the end is answered first; the next wait is over at once.
    if (ec && i > 0) return true;
    if (ec) {
      fail(ec == asio::error::eof ? "the peer closed the connection" : ec.message());
      return false;
    }
    if (!finished_ && !feed(buffer.first(size))) return false;
    if (size < buffer.size()) return true;
  }
  return true;
}

bool Transport::feed(std::span<const std::uint8_t> data) {
  const bool first = std::exchange(read_total_, read_total_ + data.size()) == 0;
  if (!session_.feed(data.data(), data.size())) {
    const std::string why = std::string("protocol error: ") + session_.error();
    if (role_ == wire::Role::kServer && first) refuse_http1();
    fail(why);
    return false;
  }
  return !closed_;
}

void Transport::refuse_http1() {
  boost::system::error_code ignored;
  socket_.write_some(asio::buffer(kNotHttp2), ignored);
  // Nothing that the session may have to say would be understood.
  socket_.shutdown(asio::socket_base::shutdown_send, ignored);
}

void Transport::answer_pings() {
  awaits_pings_ = false;
  if (closed_) return;
  session_.answer_pings();
  touch();
}

void Transport::flush() {
  dirty_ = false;
  if (waits_writable_ || finished_) return;
  while (!closed_) {
    if (!session_.pull()) {
      fail(std::string("protocol error: ") + session_.error());
      return;
    }
    if (session_.output().empty()) {
      if (!session_.is_finished()) return;
      if (*session_.error() == '\0') return finish();
      return fail(std::string("protocol error: ") + session_.error());
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
  waits_writable_ = told_of_room_ = true;
  calm_waits_ = 0;
  socket_.async_wait(Socket::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& ec) {
                       self->waits_writable_ = false;
                       if (ec || self->closed_) return;
                       const FlushQueue::Turn turn(self->queue_);
                       self->touch();
                     });
}

}  // namespace plugind::forward
