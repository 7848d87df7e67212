// Wakes a thread that waits for a socket.
#pragma once

#include <cstdint>

namespace plugind::client {

class Wakeup {
 public:
  Wakeup() = default;
  ~Wakeup() { close(); }
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  /// Takes the descriptors it needs.  False: the system has none left.  Again: does nothing.
  bool open();
  /// Gives them up; in a fork the parent's are left alone.
  void close();
  bool is_open() const { return receiver_ >= 0; }

  /// Whoever waits for it with Socket::wait() returns, until clear() is called.
  void set();
  void clear();

  /// For Socket::wait(); negative while closed.
  std::intptr_t handle() const { return receiver_; }

 private:
  std::intptr_t receiver_ = -1;
  std::intptr_t sender_ = -1;
};

}  // namespace plugind::client
