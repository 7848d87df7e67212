#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <csignal>
#include <string>

#include "tests/e2e/host.h"

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--host") {
    return plugind::e2e::run_host(argv[2], argv[3]);
  }
  // Processes that a daemon leaves behind become children of this one, and are seen.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::signal(SIGPIPE, SIG_IGN);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
