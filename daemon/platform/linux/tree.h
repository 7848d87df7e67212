// One process tree on Linux.
#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "daemon/platform/latch.h"

namespace plugind::platform {

class Tree {
 public:
  explicit Tree(const boost::asio::any_io_executor& loop) : gone_(loop) {}
  virtual ~Tree() { gone_.set(); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  /// The directory of the control group that the first process starts in; -1 if there is none.
  virtual int cgroup() const { return -1; }
  /// The group itself, for limits; empty if there is none.
  virtual std::filesystem::path group() const { return {}; }
  /// An entry for the environment of the first process; "" if none is needed.
  virtual std::string marker() const { return ""; }
  /// Tells the tree its first process.
  virtual void started(pid_t leader) = 0;
  /// The living processes, in ascending order.
  virtual std::vector<pid_t> pids() const = 0;
  /// Sends every process the signal of that number.
  virtual void signal(int number) = 0;
  virtual void kill() = 0;

  /// Looks whether something is left, and lets the waiters go on if not.  Cleans up then.
  bool check_gone() {
    if (gone_.is_set()) return true;
    if (!is_empty()) return false;
    gone_.set();
    return true;
  }
  bool gone() const { return gone_.is_set(); }
  boost::asio::awaitable<void> wait_gone() const { return gone_.wait(); }
  /// Begins to call check_gone by itself, where the kernel tells when to.
  virtual void watch() {}

 protected:
  virtual bool is_empty() = 0;

 private:
  Latch gone_;
};

}  // namespace plugind::platform
