// pd_client: the connection to the daemon, opened anew when it breaks, and the calls on it.
#pragma once

#include <cstdint>

#include "client-lib/src/connection.h"
#include "client-lib/src/options.h"

namespace plugind::client {

class Client {
 public:
  struct Request {
    const char* plugin;
    const char* method;
    const void* message;
    std::size_t size;
    const pd_options* options;
  };

  Client(const Address& address, std::int64_t timeout_ms);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Opens the first connection.
  pd_error* open();
  /// Exactly one of the reply and *error is set.
  pd_reply* invoke(const Request& request, pd_error** error);
  /// Ends every call, waits until their threads have left, and frees the client.  In a fork only
  /// the descriptors are closed: what other threads did when it was made is unknown, and their
  /// locks are theirs for ever.
  static void close(Client* client);

 private:
  class Held;

  bool is_forked() const { return process_id() != process_; }
  Connection* acquire(Time deadline, pd_error** error);
  void put(Connection* connection);
  pd_error* connect(Time deadline);
  pd_error* connect_failure(ConnectResult result, const Socket& socket) const;
  pd_error* greeting_failure(const Connection& connection) const;
  pd_reply* invoke_locked(const Request& request, pd_error** error);
  pd_error* attempt(const Request& request, const wire::HeaderList& headers, Time deadline,
                    pd_reply** reply, bool* refused);
  pd_error* wait_for_stream(Connection& connection, Time deadline, bool* refused);
  pd_error* timed_out(const Request& request) const;
  pd_error* closed() const;

  const Address address_;
  const std::int64_t timeout_ms_;
  const std::int64_t process_;
  Mutex mutex_;
  Condition changed_;                                // is_connecting_ or active_calls_ has.
  Connection* connection_ = nullptr;                 // For new calls; counts as a user of it.
  List<Connection, &Connection::link> connections_;  // That one, and those with calls still to end.
  Time greeting_deadline_ = 0;                       // Of connection_.
  unsigned active_calls_ = 0;
  bool is_connecting_ = false;
  bool is_closing_ = false;
};

}  // namespace plugind::client
