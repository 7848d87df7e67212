// A stream socket to the daemon.  No call here waits longer than it is told, raises a signal or is
// cut short by one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "client-lib/src/address.h"
#include "client-lib/src/sync.h"
#include "proto/wire/buffer.h"

namespace plugind::client {

enum class ConnectResult {
  kConnected,
  kNotThere,      // No such socket, or nobody listens on it.
  kNotPermitted,  // This user may not open it.
  kNotYet,        // The time is over; connect() may be called again to go on.
  kFailed,        // Anything else: Socket::error() is the operating system's number.
};

class Socket {
 public:
  Socket() = default;
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) = delete;
  ~Socket();

  /// Connects, or goes on connecting, until `deadline`.
  ConnectResult connect(const Address& address, Time deadline);

  /// Sends what it can without waiting.  Returns the number of bytes, 0 when none can be sent now,
  /// -1 when the connection is gone.
  std::int64_t send(const wire::Slice* slices, std::size_t count);

  struct Received {
    enum class State { kData, kNothing, kClosed } state;
    std::size_t size;
  };
  /// Takes what is there already.
  Received receive(std::uint8_t* to, std::size_t size);

  /// Waits until bytes can be received, or some can be sent, as is asked for, until the Wakeup of
  /// this handle (negative: none) is set, or until `deadline`; may return earlier.  (A poll before
  /// each receive is as fast as a receive that waits, whose timeout costs a timer of its own, and
  /// it keeps deadlines to the microsecond.)
  void wait(bool readable, bool writable, std::intptr_t wakeup, Time deadline);

  /// Ends the connection for everybody who uses it and wakes whoever waits.  Any thread.
  void shutdown();

  /// Gives the descriptor up; the connection lives on where another process shares it.
  void close();

  int error() const { return error_; }

 private:
  ConnectResult start(const Address& address, Time deadline);
  ConnectResult judge(int error);

  std::intptr_t handle_ = -1;
  bool is_connecting_ = false;
  int error_ = 0;
};

}  // namespace plugind::client
