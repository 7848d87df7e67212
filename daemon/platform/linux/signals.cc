// signalfd and not signal_set: the signals are blocked in every thread, so they cannot interrupt
// grpc's threads and no handler exists that a plugin's process could inherit.
#include "daemon/platform/signals.h"

#include <pthread.h>
#include <sys/signalfd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <csignal>
#include <cstdint>

#include "daemon/platform/linux/signal_number.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

struct Entry {
  int number;
  Signal signal;
  std::string_view name;
};
constexpr Entry kSignals[] = {
    {SIGTERM, Signal::kTerminate, "SIGTERM"}, {SIGINT, Signal::kInterrupt, "SIGINT"},
    {SIGQUIT, Signal::kQuit, "SIGQUIT"},      {SIGHUP, Signal::kHangup, "SIGHUP"},
    {SIGUSR1, Signal::kUser1, "SIGUSR1"},     {SIGUSR2, Signal::kUser2, "SIGUSR2"},
};

sigset_t delivered_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const Entry& entry : kSignals) ::sigaddset(&set, entry.number);
  return set;
}

}  // namespace

std::string_view to_string(Signal signal) {
  for (const Entry& entry : kSignals) {
    if (entry.signal == signal) return entry.name;
  }
  return "";
}

int signal_number(Signal signal) {
  for (const Entry& entry : kSignals) {
    if (entry.signal == signal) return entry.number;
  }
  return 0;  // There is no other; and kill(2) sends nothing then.
}

std::expected<void, Error> block_signals() {
  sigset_t set = delivered_signals();
  ::sigaddset(&set, SIGCHLD);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr)) {
    return system_error("cannot block the daemon's signals", error);
  }
  // A blocked signal arrives even if it is inherited as ignored.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // A file over its limit is an error of write.
  return {};
}

class SignalSource::Impl {
 public:
  explicit Impl(const boost::asio::any_io_executor& loop) : descriptor(loop) {}
  boost::asio::posix::stream_descriptor descriptor;
};

std::expected<SignalSource, Error> SignalSource::open(boost::asio::any_io_executor loop) {
  const sigset_t set = delivered_signals();
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return system_error("cannot make a signalfd", errno);
  auto impl = std::make_unique<Impl>(loop);
  boost::system::error_code ec;
  impl->descriptor.assign(fd.get(), ec);
  if (ec) return system_error("cannot watch for signals", ec.value());
  fd.release();
  return SignalSource(std::move(impl));
}

SignalSource::SignalSource(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SignalSource::SignalSource(SignalSource&&) noexcept = default;
SignalSource& SignalSource::operator=(SignalSource&&) noexcept = default;
SignalSource::~SignalSource() = default;

boost::asio::awaitable<Signal> SignalSource::next() {
  while (true) {
    signalfd_siginfo info{};
    const std::size_t n = co_await impl_->descriptor.async_read_some(
        boost::asio::buffer(&info, sizeof(info)), boost::asio::use_awaitable);
    if (n != sizeof(info)) continue;
    for (const Entry& entry : kSignals) {
      if (static_cast<std::uint32_t>(entry.number) == info.ssi_signo) co_return entry.signal;
    }
  }
}

}  // namespace plugind::platform
