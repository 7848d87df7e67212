#include "tests/fault/start_plugins.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <string_view>

namespace plugind::testing {
namespace {

int sleep_for_ever() {
  for (;;) pause();
}

// A grandchild that leaves the session, and a child that says who they are.
int silent_family() {
  if (fork() == 0) {
    setsid();
    signal(SIGTERM, SIG_IGN);
    if (fork() == 0) {
      std::ofstream(std::string(getenv("PIDS")) + "/grandchild") << getpid() << std::endl;
      return sleep_for_ever();
    }
    std::ofstream(std::string(getenv("PIDS")) + "/child") << getpid() << std::endl;
    return sleep_for_ever();
  }
  return sleep_for_ever();
}

int endless_garbage() {
  const std::string garbage = "\x1b[31m\xff\xfe|no|handshake\n";
  for (;;) {
    if (write(1, garbage.data(), garbage.size()) < 0) return 0;
  }
}

const std::map<std::string_view, std::function<int()>> kPrograms{
    {"silent-family", silent_family},
    {"endless-garbage", endless_garbage},
    {"exit-3",
     [] {
       std::cerr << "no configuration\nplease give one" << std::endl;
       return 3;
     }},
    {"crash",
     []() -> int {
       std::cerr << "about to fail" << std::endl;
       signal(SIGSEGV, SIG_DFL);
       raise(SIGSEGV);
       return 0;
     }},
    {"net-rpc",
     [] {
       std::cout << "1|1|unix|/nowhere" << std::endl;
       return sleep_for_ever();
     }},
    {"handshake-then-exit",
     [] {
       std::cout << "1|1|unix|/nowhere|grpc" << std::endl;
       return 7;
     }},
    {"show-environment",
     [] {
       for (char** variable = environ; *variable != nullptr; ++variable) {
         std::cerr << *variable << "\n";
       }
       std::cerr << "cwd " << std::string(get_current_dir_name()) << std::endl;
       return 1;
     }},
};

}  // namespace

int play(int argc, char** argv) {
  constexpr std::string_view kPlay = "--play=";
  if (argc < 2 || !std::string_view(argv[1]).starts_with(kPlay)) return -1;
  const auto program = kPrograms.find(std::string_view(argv[1]).substr(kPlay.size()));
  return program == kPrograms.end() ? 99 : program->second();
}

}  // namespace plugind::testing
