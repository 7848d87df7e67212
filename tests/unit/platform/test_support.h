// What several platform tests need.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "child_programs.h"
#include "daemon/platform/posix/unique_fd.h"
#include "daemon/platform/process.h"

namespace plugind::platform {

/// No step of a test takes longer unless something is broken.
constexpr std::chrono::seconds kDeadline{10};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "plugind-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() {
    std::error_code ec;
    std::filesystem::remove_all(path_, ec);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A loop that runs until something has happened.
class LoopTest : public testing::Test {
 protected:
  /// False after the deadline.
  bool run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kDeadline;
    while (!condition()) {
      io_.restart();
      if (io_.run_one_until(deadline) == 0 && std::chrono::steady_clock::now() >= deadline) {
        return condition();
      }
    }
    return true;
  }

  template <typename T>
  std::optional<T> run(boost::asio::awaitable<T> task) {
    std::optional<T> result;
    boost::asio::co_spawn(io_, std::move(task), [&](std::exception_ptr error, T value) {
      if (!error) result = std::move(value);
    });
    run_until([&] { return result.has_value(); });
    return result;
  }
  bool run(boost::asio::awaitable<void> task) {
    bool done = false;
    boost::asio::co_spawn(io_, std::move(task), [&](std::exception_ptr error) { done = !error; });
    return run_until([&] { return done; });
  }

  boost::asio::io_context io_;
};

/// Follows a process that somebody else reaps.
class Watched {
 public:
  explicit Watched(long pid)
      : pid_(pid), process_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  bool living() const { return process_ && !ended(std::chrono::milliseconds(0)); }
  /// Waits for the end.
  bool ended(std::chrono::milliseconds bound = kDeadline) const {
    if (!process_) return true;
    pollfd state{process_.get(), POLLIN, 0};
    return ::poll(&state, 1, static_cast<int>(bound.count())) == 1;
  }
  long pid() const { return pid_; }

 private:
  long pid_;
  UniqueFd process_;
};

/// Reads lines "WORD PID" as tree programs print them.
inline std::map<std::string, long> parse_pids(const std::string& text) {
  std::map<std::string, long> result;
  std::istringstream lines(text.substr(0, text.rfind('\n') + 1));
  std::string word;
  for (long pid; lines >> word >> pid;) result[word] = pid;
  return result;
}

}  // namespace plugind::platform
