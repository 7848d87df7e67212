// Process trees without control groups: found by parent, session and an environment marker.
//
// A process that belongs to a tree is one of: a descendant of the tree's first process; a member of
// its session; one whose environment carries the tree's marker; a descendant of one of these; or
// one that was seen as such before.  A process that leaves the session, loses its parent and clears
// its environment before it was ever seen belongs to no tree by that; it is ended with the last of
// the trees that it may have come from.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "daemon/platform/linux/proc_fs.h"
#include "daemon/platform/linux/tree.h"

namespace plugind::platform {

class SweptTree;

/// The living swept trees of one daemon.
class SweptTrees {
 public:
  /// `leaders` are the living first processes; outlives this object.
  SweptTrees(const boost::asio::any_io_executor& loop, const std::set<pid_t>& leaders);

  std::shared_ptr<Tree> make(const std::string& name);
  /// Ends the children of the daemon that no living tree can have brought forth.
  void end_strays();

 private:
  friend class SweptTree;
  std::vector<ProcessId> strays() const;

  boost::asio::any_io_executor loop_;
  const std::set<pid_t>& leaders_;
  std::string marker_prefix_;
  std::uint64_t next_ = 1;
  std::set<SweptTree*> trees_;
};

class SweptTree : public Tree {
 public:
  SweptTree(SweptTrees& trees, std::string marker);
  ~SweptTree() override;

  std::string marker() const override { return marker_; }
  void started(pid_t leader) override;
  std::vector<pid_t> pids() const override;
  void signal(int number) override;
  void kill() override;

  /// The living members among `all`, the descendants of the daemon.
  std::vector<ProcessId> members(const std::vector<ProcessInfo>& all) const;
  /// Could `info` have come from this tree?
  bool may_have_started(const ProcessInfo& info) const;

 private:
  bool is_empty() override;
  std::vector<ProcessId> members() const;

  SweptTrees& trees_;
  std::string marker_;
  ProcessId leader_;
  mutable std::set<ProcessId> known_;
  bool killed_ = false;
};

}  // namespace plugind::platform
