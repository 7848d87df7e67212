#include "daemon/platform/lifeline.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <string>

#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

std::unexpected<Error> unusable(const std::string& what) {
  return std::unexpected(
      make_error(Reason::kConfigInvalid,
                 "--lifeline: standard input is " + what +
                     " and never tells that the starter has gone: start plugind with a "
                     "pipe as its standard input, or leave --lifeline out"));
}

enum class State { kOpen, kClosed };

/// Takes some of what is there without waiting.
State drop_input(int descriptor) {
  for (int reads = 0; reads < 16; ++reads) {
    pollfd input{descriptor, POLLIN | POLLRDHUP, 0};
    if (::poll(&input, 1, 0) <= 0) return State::kOpen;
    if ((input.revents & POLLIN) == 0) return State::kClosed;
    char dropped[4096];
    const ssize_t n = ::read(descriptor, dropped, sizeof(dropped));
    if (n == 0) return State::kClosed;
    if (n == -1) return errno == EAGAIN || errno == EINTR ? State::kOpen : State::kClosed;
  }
  return State::kOpen;
}

}  // namespace

class Lifeline::Impl {
 public:
  Impl(const boost::asio::any_io_executor& loop, int borrowed)
      : watch(loop), descriptor(borrowed) {}
  // An epoll of its own and not the descriptor: Asio would make that non-blocking, and with it the
  // terminal or pipe of everybody who shares it.
  boost::asio::posix::stream_descriptor watch;
  int descriptor;
};

std::expected<Lifeline, Error> Lifeline::open(boost::asio::any_io_executor loop, int descriptor) {
  struct stat info;
  if (::fstat(descriptor, &info) != 0) return unusable("closed");
  if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) return unusable("a file");
  if (S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3)) return unusable("/dev/null");
  UniqueFd watch(::epoll_create1(EPOLL_CLOEXEC));
  if (!watch) return system_error("cannot make an epoll descriptor", errno);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  if (::epoll_ctl(watch.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) {
    if (errno == EPERM) return unusable("something that cannot be waited for");
    return system_error("cannot watch standard input", errno);
  }
  auto impl = std::make_unique<Impl>(loop, descriptor);
  boost::system::error_code ec;
  impl->watch.assign(watch.get(), ec);
  if (ec) return system_error("cannot watch standard input", ec.value());
  watch.release();
  return Lifeline(std::move(impl));
}

Lifeline::Lifeline(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Lifeline::Lifeline(Lifeline&&) noexcept = default;
Lifeline& Lifeline::operator=(Lifeline&&) noexcept = default;
Lifeline::~Lifeline() = default;

boost::asio::awaitable<void> Lifeline::wait_closed() {
  do {
    co_await impl_->watch.async_wait(boost::asio::posix::descriptor_base::wait_read,
                                     boost::asio::use_awaitable);
  } while (drop_input(impl_->descriptor) == State::kOpen);
}

}  // namespace plugind::platform
