// What Client's functions hold to the end of a scope.
#pragma once

#include "client-lib/src/client.h"

namespace plugind::client {

inline Time earlier(Time a, Time b) { return a < b ? a : b; }

/// The lock, for a thread that close() has to wait for.
class Client::Active {
 public:
  explicit Active(Client& client) : client_(client) {
    client_.mutex_.lock();
    ++client_.active_calls_;
  }
  ~Active() {
    if (--client_.active_calls_ == 0 && client_.is_closing_) client_.changed_.broadcast();
    client_.mutex_.unlock();
  }
  Active(const Active&) = delete;
  Active& operator=(const Active&) = delete;

 private:
  Client& client_;
};

/// A use of a connection.
class Client::Held {
 public:
  Held(Client& client, Connection* connection) : client_(client), connection_(connection) {
    client_.hold(connection);
  }
  ~Held() { client_.put(connection_); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  Connection* operator->() const { return connection_; }
  Connection& operator*() const { return *connection_; }

 private:
  Client& client_;
  Connection* connection_;
};

}  // namespace plugind::client
