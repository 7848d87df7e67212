// Client: calls that hold no thread.
#include <utility>

#include "client-lib/src/client.h"
#include "client-lib/src/client_scopes.h"

namespace plugind::client {
namespace {

// While calls are under way on more than one connection, as for a while after a restart of the
// daemon, a thread in next() waits for each of them in turn.
constexpr Time kTurn = 10 * kMillisecond;
// So many calls are sent although nobody waits yet: the daemon can work on them while the caller
// begins others.
constexpr unsigned kSendTogether = 8;

}  // namespace

PendingCall* Client::begin(const Request& request, std::uint64_t tag, pd_error** error) {
  if (is_forked()) {
    *error = forked();
    return nullptr;
  }
  Invocation prepared;
  const Active active(*this);
  *error = prepare(request, prepared);
  if (*error != nullptr) return nullptr;
  PendingCall* call = PendingCall::create(*this, request.message, request.size, tag);
  if (call == nullptr) {
    *error = out_of_memory();
    return nullptr;
  }
  call->invocation.headers = std::move(prepared.headers);
  call->invocation.timeout_ms = prepared.timeout_ms;
  call->invocation.deadline = prepared.deadline;
  *error = start_pending(*call);
  if (*error != nullptr) {
    PendingCall::destroy(call);
    return nullptr;
  }
  ++references_;
  if (++unsent_calls_ >= kSendTogether) flush_active();
  return call;
}

// The call is among those under way meanwhile, so that nobody in next() thinks that there are none.
pd_error* Client::start_pending(PendingCall& call) {
  under_way_.push_back(&call);
  call.is_held = true;
  pd_error* error = start(call.invocation);
  call.is_held = false;
  if (error != nullptr) {
    under_way_.remove(&call);
  } else {
    ++call.invocation.connection->pending_calls;
    add_deadline(call);
    // Either tells of the end once: failing it calls on_pending_ended() by itself.
    if (call.invocation.call->is_done()) {
      on_pending_ended(call);
    } else if (call.is_cancelled) {
      call.invocation.call->fail(make_cancelled());
    }
  }
  changed_.broadcast();
  return error;
}

void Client::add_deadline(PendingCall& call) {
  if (call.invocation.deadline == kNever) return;
  // From the back: most calls of a program have the same timeout.
  PendingCall* place = deadlines_.back();
  while (place != nullptr && place->invocation.deadline > call.invocation.deadline) {
    place = decltype(deadlines_)::before(place);
  }
  deadlines_.insert_after(place, &call);
}

void Client::on_pending_ended(PendingCall& call) {
  if (call.is_held) return;  // start_pending() looks.
  --call.invocation.connection->pending_calls;
  under_way_.remove(&call);
  deadlines_.remove(&call);
  if (!call.is_waited_for) {
    ended_.push_back(&call);
    for (NextWaiter* next = next_waiters_.front(); next != nullptr;
         next = decltype(next_waiters_)::after(next)) {
      if (next->waiter.is_done) continue;
      next->waiter.finish();
      break;
    }
  }
  if (under_way_.front() != nullptr) return;
  // There is nothing to wait for any more.
  for (NextWaiter* next = next_waiters_.front(); next != nullptr;
       next = decltype(next_waiters_)::after(next)) {
    next->waiter.finish();
  }
}

/// Of a call that has ended: takes its outcome, or starts it once more.
void Client::settle_pending(PendingCall& call) {
  if (call.is_settled) return;
  call.is_held = true;
  call.is_settled = settle(call.invocation, &call.reply, &call.error);
  call.is_held = false;
  changed_.broadcast();
  if (call.is_settled) return;
  call.error = call.is_cancelled ? make_cancelled() : start_pending(call);
  call.is_settled = call.error != nullptr;
}

pd_reply* Client::wait(PendingCall& call, pd_error** error) {
  if (is_forked()) {
    *error = forked();
    return nullptr;
  }
  const Active active(*this);
  call.is_waited_for = true;
  ended_.remove(&call);
  while (!call.is_settled) {
    if (call.is_held) {
      changed_.wait(mutex_, kNever);
      continue;
    }
    Invocation& invocation = call.invocation;
    invocation.connection->flush();
    if (!invocation.connection->wait(invocation.call->waiter, invocation.deadline)) {
      invocation.call->fail(timed_out(invocation));
    }
    settle_pending(call);
  }
  if (std::exchange(call.is_answered, true)) {
    *error = make_error(kFailedPrecondition, "", "the call's answer was given before");
    return nullptr;
  }
  *error = std::exchange(call.error, nullptr);
  return std::exchange(call.reply, nullptr);
}

pd_error* Client::make_cancelled() {
  return make_error(kCancelled, kReasonCancelled, "pd_call_cancel was called");
}

void Client::cancel(PendingCall& call) {
  if (is_forked()) return;
  const Active active(*this);
  cancel_active(call);
}

void Client::cancel_active(PendingCall& call) {
  call.is_cancelled = true;
  if (call.invocation.call == nullptr || call.is_held) return;
  const Held connection(*this, call.invocation.connection);
  Call& sent = *call.invocation.call;
  sent.fail(make_cancelled());
  connection->cancel(sent);
}

PendingCall* Client::next(std::int64_t timeout_ms) {
  if (is_forked()) return nullptr;
  const Time deadline = timeout_ms < 0 ? kNever : after(now(), timeout_ms);
  const Active active(*this);
  return next_active(deadline);
}

PendingCall* Client::next_active(Time deadline) {
  while (true) {
    while (PendingCall* call = ended_.pop_front()) {
      settle_pending(*call);
      if (call->is_settled) return call;
    }
    if (is_closing_ || under_way_.front() == nullptr) return nullptr;
    wait_for_next(deadline);
    expire_pending();
    if (ended_.front() == nullptr && deadline != kNever && now() >= deadline) return nullptr;
  }
}

/// Waits until a call may have ended, or the deadline has come.
void Client::wait_for_next(Time deadline) {
  if (deadlines_.front() != nullptr) {
    deadline = earlier(deadline, deadlines_.front()->invocation.deadline);
  }
  Connection* chosen = nullptr;
  unsigned count = 0;
  for (Connection* connection = connections_.front(); connection != nullptr;
       connection = connections_.after(connection)) {
    if (connection->pending_calls == 0) continue;
    ++count;
    if (chosen == nullptr) chosen = connection;
  }
  if (chosen == nullptr) {
    // Other threads are about to start those that are under way.
    changed_.wait(mutex_, deadline);
    return;
  }
  if (count > 1) {
    deadline = earlier(deadline, now() + kTurn);
    connections_.remove(chosen);
    connections_.push_back(chosen);
  }
  unsent_calls_ = 0;
  const Held connection(*this, chosen);
  NextWaiter next;
  next_waiters_.push_back(&next);
  connection->flush();
  connection->wait(next.waiter, deadline);
  next_waiters_.remove(&next);
}

void Client::expire_pending() {
  if (deadlines_.front() == nullptr) return;
  const Time time = now();
  while (PendingCall* call = deadlines_.front()) {
    if (call->invocation.deadline > time) return;
    call->invocation.call->fail(timed_out(call->invocation));
  }
}

void Client::flush() {
  if (is_forked()) return;
  const Active active(*this);
  flush_active();
}

void Client::flush_active() {
  unsent_calls_ = 0;
  for (Connection* connection = connections_.front(); connection != nullptr;) {
    const Held held(*this, connection);
    connection->flush();
    connection = connections_.after(connection);
  }
}

void Client::release(PendingCall* call) {
  Client& client = call->client;
  if (client.is_forked()) return;  // Its lock may be held for ever.
  {
    const Active active(client);
    call->is_waited_for = true;
    client.ended_.remove(call);
    client.cancel_active(*call);
    while (!call->is_settled) {
      if (call->is_held) {
        client.changed_.wait(client.mutex_, kNever);
      } else {
        client.settle_pending(*call);
      }
    }
  }
  PendingCall::destroy(call);
  client.drop_reference();
}

}  // namespace plugind::client
