#include "client-lib/src/client.h"

#include <cerrno>

#include "client-lib/src/client_scopes.h"
#include "client-lib/src/memory.h"

namespace plugind::client {
namespace {

// While a connection is being opened, this often it is asked whether the client is being closed.
constexpr Time kConnectLookUp = 100 * kMillisecond;

}  // namespace

Client::Client(const Address& address, std::int64_t timeout_ms)
    : address_(address), timeout_ms_(timeout_ms), process_(process_id()) {}

void Client::put(Connection* connection) {
  if (--connection->users > 0) return;
  connections_.remove(connection);
  destroy(connection);
}

pd_error* Client::open() {
  const Lock lock(mutex_);
  pd_error* error = nullptr;
  acquire(kNever, &error);
  return error;
}

void Client::close(Client* client) {
  if (client->is_forked()) {
    for (Connection* connection = client->connections_.front(); connection != nullptr;
         connection = client->connections_.after(connection)) {
      connection->forget_socket();
    }
    return;
  }
  {
    const Lock lock(client->mutex_);
    client->is_closing_ = true;
    for (Connection* connection = client->connections_.front(); connection != nullptr;
         connection = client->connections_.after(connection)) {
      connection->fail(kCancelled, kReasonClosed, "pd_close was called");
    }
    while (client->active_calls_ > 0) client->changed_.wait(client->mutex_, kNever);
    while (PendingCall* call = client->ended_.pop_front()) client->settle_pending(*call);
    if (client->connection_ != nullptr) client->put(client->connection_);
    client->connection_ = nullptr;
  }
  client->drop_reference();
}

void Client::drop_reference() {
  bool was_last = false;
  {
    const Lock lock(mutex_);
    was_last = --references_ == 0;
  }
  if (was_last) destroy(this);
}

pd_error* Client::closed() const {
  return make_error(kCancelled, kReasonClosed, "pd_close was called while the call ran");
}

pd_error* Client::forked() const {
  return make_error(kFailedPrecondition, kReasonForked,
                    "this client was opened before fork(): the child process must call "
                    "pd_connect for itself");
}

// -- connecting ------------------------------------------------------------------------------

pd_error* Client::connect_failure(ConnectResult result, const Socket& socket) const {
  switch (result) {
    case ConnectResult::kNotPermitted:
      return make_error(kPermissionDenied, kReasonUnreachable,
                        "this user may not open %s: ask for the rights to it, or start a plugind "
                        "of your own and set PLUGIND_SOCKET",
                        address_.text);
    case ConnectResult::kNotYet:
      return make_error(kDeadlineExceeded, kReasonUnreachable,
                        "%s took no connection in time: is plugind overloaded?", address_.text);
    case ConnectResult::kNotThere:
      return make_error(
          kUnavailable, kReasonUnreachable,
          "no plugind answers at %s (%s): start it with \"plugind --manifests DIR\" "
          "or \"systemctl start plugind\", or set PLUGIND_SOCKET",
          address_.text,
          socket.error() == ECONNREFUSED ? "nobody listens there" : "there is no such socket");
    default:
      return make_error(kUnavailable, kReasonUnreachable,
                        "cannot connect to plugind at %s: the operating system says error %d",
                        address_.text, socket.error());
  }
}

pd_error* Client::greeting_failure(const Connection& connection) const {
  if (is_closing_) return closed();
  if (connection.is_broken()) {
    return make_error(kUnavailable, kReasonUnreachable,
                      "what answers at %s ended the connection before it greeted as plugind does: "
                      "is it plugind, and does it run?",
                      address_.text);
  }
  return make_error(kDeadlineExceeded, kReasonUnreachable,
                    "%s took the connection but did not greet in time: is it plugind, and does it "
                    "run?",
                    address_.text);
}

// Opens a connection; nobody else does meanwhile.  Gives the lock up while it waits.
pd_error* Client::connect(Time deadline) {
  Socket socket;
  ConnectResult result = ConnectResult::kNotYet;
  while (result == ConnectResult::kNotYet && !is_closing_) {
    const Unlock unlock(mutex_);
    const Time time = now();
    if (time >= deadline) break;
    result = socket.connect(address_, earlier(deadline, time + kConnectLookUp));
  }
  if (is_closing_) return closed();
  if (result != ConnectResult::kConnected) return connect_failure(result, socket);
  auto* connection = create<Connection>(mutex_, address_, std::move(socket));
  if (connection == nullptr || !connection->is_valid()) {
    destroy(connection);
    return out_of_memory();
  }
  ++connection->users;
  connections_.push_back(connection);
  connection_ = connection;
  return nullptr;
}

// A connection that takes calls, valid until the lock is given up.  Null: *error says why there is
// none.
Connection* Client::acquire(Time call_deadline, pd_error** error) {
  while (true) {
    if (is_closing_) {
      *error = closed();
      return nullptr;
    }
    if (connection_ != nullptr) connection_->look();
    if (connection_ != nullptr && !connection_->is_usable()) {
      put(connection_);
      connection_ = nullptr;
    }
    if (connection_ != nullptr && connection_->is_greeted()) return connection_;
    if (connection_ == nullptr && is_connecting_) {
      if (now() >= call_deadline) {
        *error =
            make_error(kDeadlineExceeded, kReasonTimeout,
                       "no connection to plugind at %s within the call's timeout", address_.text);
        return nullptr;
      }
      changed_.wait(mutex_, call_deadline);
      continue;
    }
    const Time deadline = after(now(), timeout_ms_);
    if (connection_ == nullptr) {
      is_connecting_ = true;
      *error = connect(earlier(deadline, call_deadline));
      is_connecting_ = false;
      changed_.broadcast();
      if (*error != nullptr) return nullptr;
    }
    const Held connection(*this, connection_);
    Waiter waiter(Waiter::Purpose::kGreeting);
    connection->wait(waiter, earlier(deadline, call_deadline));
    if (connection->is_greeted()) continue;
    *error = greeting_failure(*connection);
    // A call with a short timeout of its own leaves the greeting to others.
    if (now() >= deadline) connection->fail(kUnavailable, kReasonUnreachable, "no greeting");
    return nullptr;
  }
}

}  // namespace plugind::client
