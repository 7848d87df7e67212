// Client: how one call is sent and answered, and pd_invoke.
#include <utility>

#include "client-lib/src/client.h"
#include "client-lib/src/client_scopes.h"
#include "client-lib/src/memory.h"
#include "client-lib/src/request_headers.h"

namespace plugind::client {

pd_reply* Client::invoke(const Request& request, pd_error** error) {
  if (is_forked()) {
    *error = forked();
    return nullptr;
  }
  const Active active(*this);
  return invoke_active(request, error);
}

pd_reply* Client::invoke_active(const Request& request, pd_error** error) {
  Invocation invocation;
  invocation.message = request.message;
  invocation.size = request.size;
  *error = prepare(request, invocation);
  pd_reply* reply = nullptr;
  while (*error == nullptr) {
    *error = start(invocation);
    if (*error != nullptr) break;
    invocation.connection->flush();
    if (!invocation.connection->wait(invocation.call->waiter, invocation.deadline)) {
      invocation.call->fail(timed_out(invocation));
    }
    if (settle(invocation, &reply, error)) break;
  }
  return reply;
}

/// Everything but the message.
pd_error* Client::prepare(const Request& request, Invocation& invocation) const {
  if (is_closing_) return closed();
  invocation.timeout_ms = request.options != nullptr ? request.options->timeout_ms : 0;
  if (invocation.timeout_ms > 0) invocation.deadline = after(now(), invocation.timeout_ms);
  return fill_request_headers(request, invocation.headers);
}

/// Submits the call to a connection.  It is sent by the connection's next flush().
pd_error* Client::start(Invocation& invocation) {
  while (true) {
    bool refused = false;
    pd_error* error = start_once(invocation, &refused);
    if (!refused) return error;
    if (--invocation.attempts_left == 0) return refused_twice();
  }
}

pd_error* Client::start_once(Invocation& invocation, bool* refused) {
  pd_error* error = nullptr;
  Connection* acquired = acquire(invocation.deadline, &error);
  if (acquired == nullptr) return error;
  const Held connection(*this, acquired);
  if (invocation.listener != nullptr && !connection->open_wakeup()) {
    return make_error(kResourceExhausted, "",
                      "the process has no file descriptor left, and a call that another thread may "
                      "end needs two");
  }
  error = wait_for_stream(*connection, invocation.deadline, refused);
  if (error != nullptr || *refused) return error;

  invocation.call = create<Call>(invocation.message, invocation.size, invocation.listener);
  if (invocation.call == nullptr) return out_of_memory();
  invocation.connection = acquired;
  hold(acquired);
  if (!connection->submit(*invocation.call, invocation.headers)) {
    invocation.call->refuse();
    // Ids are used up, or the like: this connection only finishes what it has.
    connection->retire();
  }
  return nullptr;
}

pd_error* Client::wait_for_stream(Connection& connection, Time deadline, bool* refused) {
  while (!connection.has_free_stream()) {
    Waiter waiter(Waiter::Purpose::kFreeStream);
    if (!connection.wait(waiter, deadline)) {
      return make_error(kDeadlineExceeded, kReasonTimeout,
                        "plugind at %s takes no more calls at a time from this client, and none "
                        "ended within the call's timeout",
                        address_.text);
    }
    if (!connection.is_usable()) {
      *refused = true;
      return nullptr;
    }
  }
  return nullptr;
}

/// Takes the outcome of a call that has ended off its connection; exactly one of the two is set
/// then.  False: the daemon certainly has not seen it, because it was restarted or is about to be;
/// it can be started once more.
bool Client::settle(Invocation& invocation, pd_reply** reply, pd_error** error) {
  Call* call = std::exchange(invocation.call, nullptr);
  Connection* connection = std::exchange(invocation.connection, nullptr);
  const bool refused = call->is_refused();
  *error = call->take_error();
  if (*error == nullptr) *reply = call->take_reply();
  if (*error == nullptr && *reply == nullptr && !refused) *error = out_of_memory();
  connection->cancel(*call);
  if (--call->references == 0) destroy(call);
  put(connection);
  if (!refused) return true;
  pd_reply_free(std::exchange(*reply, nullptr));
  if (--invocation.attempts_left > 0 && !is_closing_) return false;
  *error = is_closing_ ? closed() : refused_twice();
  return true;
}

pd_error* Client::refused_twice() const {
  return make_error(kUnavailable, kReasonGone,
                    "plugind at %s refused the call twice; try again later", address_.text);
}

pd_error* Client::timed_out(const Invocation& invocation) const {
  const std::string_view method = invocation.headers.get(":path");
  return make_error(kDeadlineExceeded, kReasonTimeout, "%.*s did not answer within %lld ms",
                    static_cast<int>(method.size()), method.data(),
                    static_cast<long long>(invocation.timeout_ms));
}

}  // namespace plugind::client
