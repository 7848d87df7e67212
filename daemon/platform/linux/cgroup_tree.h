// A process tree in a control group of its own.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <expected>
#include <filesystem>
#include <memory>
#include <vector>

#include "daemon/error.h"
#include "daemon/platform/linux/tree.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {

class CgroupTree : public Tree, public std::enable_shared_from_this<CgroupTree> {
 public:
  static std::expected<std::shared_ptr<CgroupTree>, Error> make(
      const boost::asio::any_io_executor& loop, const std::filesystem::path& path);
  ~CgroupTree() override;

  int cgroup() const override { return directory_.get(); }
  std::filesystem::path group() const override { return path_; }
  void started(pid_t) override {}
  std::vector<pid_t> pids() const override;
  void signal(int number) override;
  void kill() override;
  void watch() override;

 private:
  CgroupTree(const boost::asio::any_io_executor& loop, std::filesystem::path path);
  bool is_empty() override;

  std::filesystem::path path_;
  UniqueFd directory_;
  boost::asio::posix::stream_descriptor events_;  // cgroup.events
  bool watching_ = false;
};

}  // namespace plugind::platform
