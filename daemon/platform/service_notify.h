// Tells the service manager how the daemon is: systemd's notification protocol.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace plugind::platform {

/// Does nothing where no service manager asked for notifications.  A notification that cannot be
/// delivered is dropped: the manager's own timeout says so louder than a log line would.
class ServiceNotifier {
 public:
  /// Takes $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID out of the environment, so that plugins
  /// do not speak in the daemon's name.  Call it before any thread exists.
  static ServiceNotifier from_environment();

  ServiceNotifier(ServiceNotifier&& other) noexcept;
  ServiceNotifier& operator=(ServiceNotifier&& other) noexcept;
  ~ServiceNotifier();

  bool active() const { return socket_ != -1; }
  void ready();                        ///< READY=1; after a reload, too.
  void reloading();                    ///< RELOADING=1 with MONOTONIC_USEC.
  void stopping();                     ///< STOPPING=1
  void status(std::string_view line);  ///< STATUS=; line ends are replaced.
  void watchdog();                     ///< WATCHDOG=1
  /// How often watchdog() has to be called: half of what the manager allows.  Empty if it does not
  /// ask.
  std::optional<std::chrono::microseconds> watchdog_interval() const { return watchdog_interval_; }

 private:
  ServiceNotifier() = default;
  void send(std::string_view message);

  int socket_ = -1;
  std::string address_;  // of the socket; a leading NUL for an abstract one
  std::optional<std::chrono::microseconds> watchdog_interval_;
};

}  // namespace plugind::platform
