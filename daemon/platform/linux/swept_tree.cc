#include "daemon/platform/linux/swept_tree.h"

#include <unistd.h>

#include <algorithm>

#include "daemon/platform/linux/process_sweep.h"

namespace plugind::platform {

SweptTrees::SweptTrees(const boost::asio::any_io_executor& loop, const std::set<pid_t>& leaders)
    : loop_(loop), leaders_(leaders) {
  const auto self = process_info(::getpid());
  marker_prefix_ = "PLUGIND_TREE=" + std::to_string(::getpid()) + "-" +
                   std::to_string(self ? self->id.start_time : 0) + "/";
}

std::shared_ptr<Tree> SweptTrees::make(const std::string& name) {
  return std::make_shared<SweptTree>(*this, marker_prefix_ + std::to_string(next_++) + "/" + name);
}

std::vector<ProcessId> SweptTrees::strays() const {
  const std::vector<ProcessInfo> all = descendants(::getpid());
  std::set<pid_t> claimed(leaders_);
  for (const SweptTree* tree : trees_) {
    for (const ProcessId& id : tree->members(all)) claimed.insert(id.pid);
  }
  std::set<pid_t> found;
  for (const ProcessInfo& info : all) {
    if (info.parent != ::getpid() || claimed.contains(info.id.pid)) continue;
    const bool explained = std::ranges::any_of(
        trees_, [&](const SweptTree* tree) { return tree->may_have_started(info); });
    if (!explained) found.insert(info.id.pid);
  }
  add_descendants(all, found);
  std::vector<ProcessId> result;
  for (const ProcessInfo& info : all) {
    if (info.living && found.contains(info.id.pid)) result.push_back(info.id);
  }
  return result;
}

void SweptTrees::end_strays() {
  stop_and_kill([this] { return strays(); });
}

SweptTree::SweptTree(SweptTrees& trees, std::string marker)
    : Tree(trees.loop_), trees_(trees), marker_(std::move(marker)) {
  trees_.trees_.insert(this);
}

SweptTree::~SweptTree() { trees_.trees_.erase(this); }

void SweptTree::started(pid_t leader) {
  // It is our child and not reaped yet, so the pid is its own still.
  const auto info = process_info(leader);
  leader_ = info ? info->id : ProcessId{leader, 0};
  known_.insert(leader_);
}

bool SweptTree::may_have_started(const ProcessInfo& info) const {
  return !gone() && leader_.pid != 0 && leader_.start_time <= info.id.start_time;
}

std::vector<ProcessId> SweptTree::members() const { return members(descendants(::getpid())); }

std::vector<ProcessId> SweptTree::members(const std::vector<ProcessInfo>& all) const {
  if (leader_.pid == 0 || gone()) return {};
  // A session keeps the number of its leader from being used again as long as somebody is in it, so
  // another process of that pid means that the session has ended.
  const bool session_ended = std::ranges::any_of(all, [this](const ProcessInfo& info) {
    return info.id.pid == leader_.pid && info.id != leader_;
  });
  std::set<pid_t> pids;
  for (const ProcessInfo& info : all) {
    const bool orphan = info.parent == ::getpid() && !trees_.leaders_.contains(info.id.pid);
    if (known_.contains(info.id) || (info.session == leader_.pid && !session_ended) ||
        (orphan && environment_has(info.id.pid, marker_))) {
      pids.insert(info.id.pid);
    }
  }
  add_descendants(all, pids);
  std::set<ProcessId> known;
  std::vector<ProcessId> result;
  for (const ProcessInfo& info : all) {
    if (!pids.contains(info.id.pid)) continue;
    known.insert(info.id);
    if (info.living) result.push_back(info.id);
  }
  known_ = std::move(known);
  return result;
}

std::vector<pid_t> SweptTree::pids() const {
  std::vector<pid_t> result;
  for (const ProcessId& id : members()) result.push_back(id.pid);
  return result;
}

void SweptTree::signal(int number) {
  for (const ProcessId& id : members()) signal_process(id, number);
}

void SweptTree::kill() {
  killed_ = true;
  stop_and_kill([this] { return members(); });
}

bool SweptTree::is_empty() {
  if (members().empty()) return true;
  // A search may miss a process while others end; but then this is called again.
  if (killed_) kill();
  return false;
}

}  // namespace plugind::platform
