#include "client-lib/src/connection.h"

#include "client-lib/src/memory.h"

namespace plugind::client {
namespace {

constexpr wire::Limits kLimits = [] {
  wire::Limits limits;
  // Replies are kept in memory until they are whole, so a window only saves round trips.
  limits.stream_window = 4u << 20;
  limits.connection_window = 64u << 20;
  return limits;
}();
// The answer may come before the whole request has been sent, and the thread that receives cannot
// wake one that waits to send: so it looks up this often.
constexpr Time kSendLookUp = 20 * kMillisecond;
constexpr std::size_t kMaxSlices = 64;

}  // namespace

Connection::Connection(Mutex& mutex, const Address& address, Socket&& socket)
    : mutex_(mutex),
      address_(address),
      socket_(std::move(socket)),
      session_(wire::Role::kClient, kLimits, *this) {}

Connection::~Connection() {
  while (Call* call = calls_.front()) drop(call);
}

bool Connection::has_free_stream() const {
  return session_.open_streams() < session_.peer_max_concurrent_streams();
}

// Removes the call from the connection, which gives up its reference.
void Connection::drop(Call* call) {
  calls_.remove(call);
  call->stream = 0;
  if (--call->references == 0) destroy(call);
}

bool Connection::submit(Call& call, const wire::HeaderList& headers) {
  call.position = sent_ + session_.output().size();
  if (!call.fill_body()) {
    call.fail(out_of_memory());
    return true;
  }
  const wire::StreamId stream = session_.submit_request(headers, &call.body(), &call);
  if (stream < 0) return false;
  call.stream = stream;
  ++call.references;
  calls_.push_back(&call);
  flush();
  return true;
}

void Connection::cancel(Call& call) {
  call.abandon();
  if (call.stream == 0 || is_broken_) return;
  session_.reset(call.stream, wire::kCancel);
  flush();
}

bool Connection::wait(Waiter& waiter, Time deadline) {
  waiters_.push_back(&waiter);
  while (!waiter.is_done) {
    if (deadline != kNever && now() >= deadline) break;
    if (!has_leader_) {
      has_leader_ = true;
      lead(deadline);
      has_leader_ = false;
    } else if (!has_sender_ && has_output()) {
      has_sender_ = true;
      help_sending(deadline);
      has_sender_ = false;
    } else {
      waiter.is_asleep = true;
      waiter.condition.wait(mutex_, deadline);
      waiter.is_asleep = false;
    }
  }
  waiters_.remove(&waiter);
  if (!has_leader_ || (!has_sender_ && has_output())) wake_one();
  return waiter.is_done;
}

void Connection::wake_one() {
  for (Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = waiters_.after(waiter)) {
    if (!waiter->is_asleep || waiter->is_done) continue;
    waiter->condition.signal();
    return;
  }
}

void Connection::finish_waiters(Waiter::Purpose purpose) {
  for (Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = waiters_.after(waiter)) {
    if (waiter->purpose == purpose) waiter->finish();
  }
}

// One round of the leader: send what waits, receive what comes.
void Connection::lead(Time deadline) {
  flush();
  if (is_broken_) return;
  const bool has_more = has_output();
  const bool may_write = !is_unwritable_;
  Socket::Received received{};
  {
    Unlock unlock(mutex_);
    if (may_write) socket_.wait(true, has_more, deadline);
    received = socket_.receive(buffer_, kReceiveSize);
  }
  if (!may_write && received.state == Socket::Received::State::kNothing) {
    // The daemon cannot be talked to and has said all it had to say.
    received.state = Socket::Received::State::kClosed;
  }
  take(received);
}

void Connection::help_sending(Time deadline) {
  {
    Unlock unlock(mutex_);
    const Time look_up = now() + kSendLookUp;
    socket_.wait(false, true, deadline < look_up ? deadline : look_up);
  }
  flush();
}

void Connection::take(const Socket::Received& received) {
  if (is_broken_) return;
  switch (received.state) {
    case Socket::Received::State::kNothing:
      break;
    case Socket::Received::State::kClosed:
      return fail(kUnavailable, kReasonGone, "it closed the connection");
    case Socket::Received::State::kData: {
      const bool good = session_.feed(buffer_, received.size);
      flush();
      if (is_broken_) return;
      if (!good) return fail(kUnavailable, kReasonGone, session_.error());
      break;
    }
  }
  // After a protocol error the session only wants to say goodbye.
  if (session_.is_finished()) {
    fail(kUnavailable, kReasonGone,
         is_going_away_ ? "it is shutting down" : "what it sent is not HTTP/2");
  }
}

void Connection::flush() {
  while (!is_broken_ && !is_unwritable_) {
    if (!session_.pull()) return fail(kInternal, kReasonGone, session_.error());
    if (session_.output().empty()) return;
    wire::Slice slices[kMaxSlices];
    const std::size_t count = session_.output().peek(slices, kMaxSlices);
    const std::int64_t sent = socket_.send(slices, count);
    if (sent == 0) return;
    if (sent < 0) {
      // What the daemon said before it went away is still to be read.
      is_unwritable_ = true;
      return;
    }
    sent_ += static_cast<std::uint64_t>(sent);
    session_.output().pop(static_cast<std::size_t>(sent));
  }
}

void Connection::look() {
  // A Unix socket says at once, and reliably, that nobody is there any more: when we send.
  if (address_.kind == Address::Kind::kUnix) return;
  if (is_broken_ || has_leader_ || calls_.front() != nullptr) return;
  take(socket_.receive(buffer_, kReceiveSize));
}

void Connection::fail(int code, const char* reason, const char* why) {
  if (is_broken_) return;
  is_broken_ = true;
  for (Call* call = calls_.front(); call != nullptr; call = calls_.after(call)) {
    if (sent_ <= call->position) {
      call->refuse();
    } else if (!call->is_done()) {
      call->fail(make_error(code, reason, "the connection to plugind at %s ended: %s",
                            address_.text, why));
    }
  }
  finish_waiters(Waiter::Purpose::kGreeting);
  finish_waiters(Waiter::Purpose::kFreeStream);
  socket_.shutdown();  // Wakes a leader.
}

void* Connection::on_stream_opened(wire::StreamId) { return nullptr; }

void Connection::on_headers(wire::StreamId, void* user, Block block, wire::HeaderList& headers,
                            bool end_stream) {
  if (user != nullptr) static_cast<Call*>(user)->on_headers(block, headers, end_stream);
}

void Connection::on_data(wire::StreamId stream, void* user, const std::uint8_t* data,
                         std::size_t size) {
  if (user != nullptr) static_cast<Call*>(user)->on_data(data, size);
  session_.consume(stream, size);
}

void Connection::on_end_of_data(wire::StreamId, void* user) {
  if (user != nullptr) static_cast<Call*>(user)->on_end_of_data();
}

void Connection::on_body_sent(wire::StreamId, void* user, std::size_t) {
  if (user == nullptr) return;
  auto* call = static_cast<Call*>(user);
  if (!call->fill_body()) call->fail(out_of_memory());
}

void Connection::on_headers_too_large(wire::StreamId, void* user, Block) {
  if (user == nullptr) return;
  static_cast<Call*>(user)->fail(make_error(kResourceExhausted, "",
                                            "the answer's metadata is larger than %u bytes",
                                            static_cast<unsigned>(kLimits.max_header_block)));
}

void Connection::on_stream_closed(wire::StreamId, void* user, std::uint32_t error_code) {
  if (user == nullptr) return;
  auto* call = static_cast<Call*>(user);
  call->on_stream_closed(error_code);
  drop(call);
  finish_waiters(Waiter::Purpose::kFreeStream);
}

void Connection::on_goaway(wire::StreamId, std::uint32_t) {
  is_going_away_ = true;
  finish_waiters(Waiter::Purpose::kFreeStream);
}

void Connection::on_settings() {
  is_greeted_ = true;
  finish_waiters(Waiter::Purpose::kGreeting);
}

}  // namespace plugind::client
