#include "client-lib/src/connection.h"

#include <utility>

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
// So many times a thread sends what others have queued while it sent.
constexpr int kMaxRounds = 8;

}  // namespace

Connection::Connection(Mutex& mutex, const Address& address, Socket&& socket)
    : address_(address),
      socket_(std::move(socket)),
      session_(wire::Role::kClient, kLimits, *this),
      waiters_(mutex) {}

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
  return true;
}

void Connection::cancel(Call& call) {
  call.abandon();
  if (call.stream == 0 || is_broken_ || std::exchange(call.is_reset, true)) return;
  session_.reset(call.stream, wire::kCancel);
  flush();
  hand_over();
}

bool Connection::wait(Waiter& waiter, Time deadline) {
  waiters_.add(waiter);
  while (!waiter.is_done) {
    if (is_broken_) {
      // Its call is being sent just now; who sends it tells what became of it.
      waiters_.sleep(waiter, deadline);
    } else if (leader_ == nullptr) {
      leader_ = &waiter;
      lead(deadline);
      leader_ = nullptr;
    } else if (!has_sender_ && has_blocked_output()) {
      help_sending(deadline);
    } else {
      waiters_.sleep(waiter, deadline);
    }
    // Not before: who has no time at all shall yet get what is there.
    if (deadline != kNever && now() >= deadline) break;
  }
  waiters_.remove(waiter);
  waiters_.wake_finished();
  hand_over();
  return waiter.is_done;
}

// Leaves no duty undone.  Threads that are waking up look here by themselves.
void Connection::hand_over() {
  if (waiters_.is_anybody_waking()) return;
  if (leader_ == nullptr || (!has_sender_ && has_blocked_output())) waiters_.wake_one();
}

// One round of the leader: send what waits, receive what comes.
void Connection::lead(Time deadline) {
  flush();
  if (is_broken_) return;
  const bool may_write = !is_unwritable_;
  const bool sends = !has_sender_ && has_blocked_output();
  Socket::Received received{};
  is_leader_polling_ = true;
  const std::intptr_t wakeup = wakeup_.handle();  // Another thread may open it meanwhile.
  {
    const WaitQueue::Unlocked unlocked(waiters_);
    if (may_write) socket_.wait(true, sends, wakeup, deadline);
    received = socket_.receive(buffer_, kReceiveSize);
  }
  is_leader_polling_ = false;
  if (std::exchange(is_wakeup_set_, false)) wakeup_.clear();
  if (!may_write && received.state == Socket::Received::State::kNothing) {
    // The daemon cannot be talked to and has said all it had to say.
    received.state = Socket::Received::State::kClosed;
  }
  take(received);
}

void Connection::help_sending(Time deadline) {
  has_sender_ = true;
  {
    const WaitQueue::Unlocked unlocked(waiters_);
    const Time look_up = now() + kSendLookUp;
    socket_.wait(false, true, -1, deadline < look_up ? deadline : look_up);
  }
  has_sender_ = false;
  flush();
}

void Connection::take(const Socket::Received& received) {
  if (is_broken_) return;
  switch (received.state) {
    case Socket::Received::State::kNothing:
      break;
    case Socket::Received::State::kClosed:
      return fail(kUnavailable, kReasonGone, "it closed the connection");
    case Socket::Received::State::kData:
      const bool good = session_.feed(buffer_, received.size);
      flush();
      if (!good) return fail(kUnavailable, kReasonGone, session_.error());
      break;
  }
  end_if_finished();
}

// After a protocol error the session only wants to say goodbye.
void Connection::end_if_finished() {
  if (is_broken_ || !session_.is_finished()) return;
  fail(kUnavailable, kReasonGone,
       is_going_away_ ? "it is shutting down" : "what it sent is not HTTP/2");
}

bool Connection::pull() {
  if (is_broken_ || is_unwritable_) return false;
  if (!session_.pull()) fail(kInternal, kReasonGone, session_.error());
  return !is_broken_;
}

void Connection::flush() {
  // Also if another thread sends: what the session ends here may be the call of the leader, who
  // must know before it waits for the socket.
  if (pull() && !has_sender_) send_output();  // The sender looks again before it ends.
  wake_leader();
}

void Connection::send_output() {
  has_sender_ = true;
  is_blocked_ = false;
  for (int round = 0; pull() && !session_.output().empty(); ++round) {
    is_blocked_ = round == kMaxRounds;
    if (is_blocked_) break;
    wire::Slice slices[kMaxSlices];
    const std::size_t count = session_.output().peek(slices, kMaxSlices);
    for (std::size_t i = 0; i < count; ++i) sending_ += slices[i].size;
    std::int64_t sent = 0;
    {
      // What is appended to the output meanwhile leaves these bytes where they are.
      const WaitQueue::Unlocked unlocked(waiters_);
      sent = socket_.send(slices, count);
    }
    sending_ = 0;
    if (is_broken_) {
      if (sent > 0) sent_ += static_cast<std::uint64_t>(sent);
      end_broken_calls();
      break;
    }
    is_blocked_ = sent == 0;
    if (is_blocked_) break;
    if (sent < 0) {
      // What the daemon said before it went away is still to be read.
      is_unwritable_ = true;
      break;
    }
    sent_ += static_cast<std::uint64_t>(sent);
    session_.output().pop(static_cast<std::size_t>(sent));
  }
  has_sender_ = false;
  end_if_finished();
}

// The leader waits for the socket, which does not tell it what other threads have ended.
void Connection::wake_leader() {
  if (!is_leader_polling_ || !leader_->is_done || !wakeup_.is_open() || is_wakeup_set_) return;
  is_wakeup_set_ = true;
  wakeup_.set();
}

void Connection::look() {
  // A Unix socket says at once, and reliably, that nobody is there any more: when we send.
  if (address_.kind == Address::Kind::kUnix) return;
  if (is_broken_ || leader_ != nullptr || calls_.front() != nullptr) return;
  take(socket_.receive(buffer_, kReceiveSize));
}

void Connection::fail(int code, const char* reason, const char* why) {
  if (is_broken_) return;
  is_broken_ = true;
  break_ = {code, reason, why};
  end_broken_calls();
  socket_.shutdown();  // Wakes a leader, and ends a send.
}

void Connection::end_broken_calls() {
  for (Call* call = calls_.front(); call != nullptr; call = calls_.after(call)) {
    if (sent_ + sending_ <= call->position || !call->is_request_begun) {
      call->refuse();
    } else if (sent_ <= call->position && sending_ > 0) {
      // Its first bytes are with a system call, which may yet say that nobody took them.  Then
      // send_output() comes here again.
    } else if (!call->is_done()) {
      call->fail(make_error(break_.code, break_.reason, "the connection to plugind at %s ended: %s",
                            address_.text, break_.why));
    }
  }
  waiters_.finish_all(Waiter::Purpose::kGreeting);
  waiters_.finish_all(Waiter::Purpose::kFreeStream);
  waiters_.finish_all(Waiter::Purpose::kNextCall);
  waiters_.wake_finished_locked();
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

void Connection::on_request_headers_sent(wire::StreamId, void* user) {
  if (user != nullptr) static_cast<Call*>(user)->is_request_begun = true;
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
  waiters_.finish_all(Waiter::Purpose::kFreeStream);
}

void Connection::on_goaway(wire::StreamId, std::uint32_t) {
  is_going_away_ = true;
  waiters_.finish_all(Waiter::Purpose::kFreeStream);
  // Their streams are closed when the session gets to them, which may be while the leader waits for
  // the socket and cannot be told.
  for (Call* call = calls_.front(); call != nullptr; call = calls_.after(call)) {
    if (!call->is_request_begun) call->refuse();
  }
}

void Connection::on_settings() {
  is_greeted_ = true;
  waiters_.finish_all(Waiter::Purpose::kGreeting);
}

}  // namespace plugind::client
