#include <grp.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "tests/e2e/host.h"

namespace {

/// "UID:GID" or "UID:GID:GROUP": becomes that user for good, with no other group.
bool become(const std::string& user) {
  unsigned uid = 0, gid = 0, group = 0;
  const int given = std::sscanf(user.c_str(), "%u:%u:%u", &uid, &gid, &group);
  const gid_t groups[] = {group};
  return given >= 2 && ::setgroups(given == 3 ? 1 : 0, groups) == 0 &&
         ::setresgid(gid, gid, gid) == 0 && ::setresuid(uid, uid, uid) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  // As another user: a host, or any program.
  if (argc >= 4 && std::string(argv[1]) == "--as") {
    if (!become(argv[2])) return 99;
    argv += 2;
    argc -= 2;
    if (std::string(argv[1]) != "--host") {
      ::execv(argv[1], argv + 1);
      return 98;
    }
  }
  if (argc == 4 && std::string(argv[1]) == "--host") {
    return plugind::e2e::run_host(argv[2], argv[3]);
  }
  // Processes that a daemon leaves behind become children of this one, and are seen.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::signal(SIGPIPE, SIG_IGN);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
