// Process trees: which processes belong to an instance, and how they are all ended.
//
// Linux keeps a tree in a control group of its own where the daemon may make one: then nothing can
// leave the tree and the kernel ends it as a whole.  Where it may not, a tree is found by walking
// /proc (parent, session, an environment marker); the daemon is a child subreaper, so that a
// process whose parent has died stays a descendant of the daemon.
//
// Everything here lives on the loop thread.  That thread must not end before the daemon does: the
// kernel kills a plugin when the thread that started it ends.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "daemon/error.h"

namespace plugind::platform {

/// How trees are kept together.
enum class TreeKeeping {
  kBest,       ///< Control groups where they are writable, else as kSweep.
  kSweepOnly,  ///< Never control groups.
};

/// The daemon's process trees.  At most one object in a process at a time.
///
/// While it exists every child of this process that is not the first process of a tree is taken for
/// an orphan of some tree and reaped when it ends; a program that has children of its own must not
/// hold one.  Makes the process a child subreaper and blocks SIGCHLD in the calling thread: make it
/// before other threads exist, or block SIGCHLD in them (see signals.h).
class ProcessTrees {
 public:
  /// Error: the platform lacks something that spawning needs (Linux 5.11); the message says what.
  static std::expected<std::unique_ptr<ProcessTrees>, Error> open(
      boost::asio::any_io_executor loop, TreeKeeping keeping = TreeKeeping::kBest);

  virtual ~ProcessTrees() = default;
  ProcessTrees(const ProcessTrees&) = delete;
  ProcessTrees& operator=(const ProcessTrees&) = delete;

  /// One sentence for the log: how trees are kept, and why not in control groups if so.
  virtual std::string describe() const = 0;
  /// True if the kernel keeps the trees (control groups).
  virtual bool kept_by_kernel() const = 0;
  virtual boost::asio::any_io_executor loop() const = 0;

 protected:
  ProcessTrees() = default;
};

}  // namespace plugind::platform
