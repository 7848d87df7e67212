// The daemon's process trees on Linux, and the reaping of their orphans.
#pragma once

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <expected>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/platform/linux/cgroup.h"
#include "daemon/platform/linux/tree.h"
#include "daemon/platform/process_tree.h"

namespace plugind::platform {

class SweptTrees;

class LinuxProcessTrees : public ProcessTrees {
 public:
  static std::expected<std::unique_ptr<LinuxProcessTrees>, Error> open(
      boost::asio::any_io_executor loop, TreeKeeping keeping);
  ~LinuxProcessTrees() override;

  std::string describe() const override;
  bool kept_by_kernel() const override { return cgroup_.has_value(); }
  boost::asio::any_io_executor loop() const override { return loop_; }

  std::expected<std::shared_ptr<Tree>, Error> make_tree(const std::string& name);
  /// First processes are reaped by who started them; everybody else is reaped here.
  void leader_started(pid_t pid) { leaders_.insert(pid); }
  void leader_reaped(pid_t pid);
  /// Has the tree checked until it is gone, at every end of a child at least.
  void watch(const std::shared_ptr<Tree>& tree);
  /// Kills what is left of the tree and watches it to the end.
  void bury(std::shared_ptr<Tree> tree);

 private:
  explicit LinuxProcessTrees(boost::asio::any_io_executor loop);
  std::expected<void, Error> take_over_children();
  void use_cgroup();
  void read_child_signals();
  /// Reaps the orphans that have ended.  Stops at a first process of a tree: it comes back when
  /// that has been reaped by its owner.
  void reap_orphans();
  void check_watched();
  void end_everything();

  boost::asio::any_io_executor loop_;
  boost::asio::posix::stream_descriptor child_signals_;  // signalfd
  std::optional<DaemonCgroup> cgroup_;
  std::string no_cgroup_because_;
  std::unique_ptr<SweptTrees> swept_;
  std::set<pid_t> leaders_;
  std::vector<std::shared_ptr<Tree>> watched_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for handlers that come late
  bool was_subreaper_ = false;
  bool sigchld_was_blocked_ = false;
};

}  // namespace plugind::platform
