// Runs a command with $PLUGIND_SOCKET naming a server of test_server.h; exits as the command does.
#include <spawn.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>

#include "tests/abi/test_server.h"

extern char** environ;

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: with_server COMMAND [ARGUMENT...]\n");
    return 2;
  }
  plugind::test::TestServer server;
  ::setenv("PLUGIND_SOCKET", server.address().c_str(), 1);
  pid_t child = -1;
  if (const int error = ::posix_spawnp(&child, argv[1], nullptr, nullptr, argv + 1, environ)) {
    std::fprintf(stderr, "with_server: cannot run %s: error %d\n", argv[1], error);
    return 2;
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) return 2;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
