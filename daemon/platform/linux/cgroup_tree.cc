#include "daemon/platform/linux/cgroup_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "daemon/platform/linux/cgroup.h"
#include "daemon/platform/posix/errno_error.h"

namespace plugind::platform {

CgroupTree::CgroupTree(const boost::asio::any_io_executor& loop, std::filesystem::path path)
    : Tree(loop), path_(std::move(path)), events_(loop) {}

std::expected<std::shared_ptr<CgroupTree>, Error> CgroupTree::make(
    const boost::asio::any_io_executor& loop, const std::filesystem::path& path) {
  // What an earlier tree of that name may have left; it is empty, or the name is not unique.
  cgroup_remove(path);
  if (::mkdir(path.c_str(), 0755) != 0) {
    return system_error("cannot make the control group " + path.string(), errno);
  }
  std::shared_ptr<CgroupTree> tree(new CgroupTree(loop, path));
  tree->directory_.reset(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd events(::open((path / "cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  if (!tree->directory_ || !events) {
    return system_error("cannot open the control group " + path.string(), errno);
  }
  boost::system::error_code ec;
  tree->events_.assign(events.get(), ec);
  if (ec) return system_error("cannot watch the control group " + path.string(), ec.value());
  events.release();
  return tree;
}

CgroupTree::~CgroupTree() { cgroup_remove(path_); }

std::vector<pid_t> CgroupTree::pids() const { return cgroup_pids(path_); }
void CgroupTree::signal(int number) { cgroup_signal(path_, number); }
void CgroupTree::kill() { cgroup_kill(path_); }

bool CgroupTree::is_empty() {
  // Read through the watched descriptor: that is what arms the next event.
  char text[64];
  const ssize_t n = ::pread(events_.native_handle(), text, sizeof(text), 0);
  // Unreadable: the group was removed under us, and that only works when it is empty.
  if (n > 0 && std::string_view(text, static_cast<std::size_t>(n)).starts_with("populated 1")) {
    return false;
  }
  cgroup_remove(path_);
  return true;
}

void CgroupTree::watch() {
  if (watching_ || gone()) return;
  watching_ = true;
  events_.async_wait(boost::asio::posix::descriptor_base::wait_error,
                     [weak = weak_from_this()](const boost::system::error_code& ec) {
                       const auto self = weak.lock();
                       if (!self || ec) return;
                       self->watching_ = false;
                       if (!self->check_gone()) self->watch();
                     });
}

}  // namespace plugind::platform
