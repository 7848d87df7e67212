// A program that plugind takes for a plugin, and that does one thing wrong.  It links nothing but
// libc, so that it starts at once and dies of what it says, under sanitizers too.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

[[noreturn]] void stay() {
  while (true) ::pause();
}

/// More than anybody keeps.
void flood(std::size_t size) {
  const std::string block(1 << 20, 'x');
  for (std::size_t written = 0; written < size; written += block.size()) {
    if (::write(STDOUT_FILENO, block.data(), block.size()) < 0) ::_exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const char* const argument = argc > 2 ? argv[2] : "";
  for (int line = 1; line <= 7; ++line) std::fprintf(stderr, "complaint %d\n", line);

  if (mode == "silent") stay();
  if (mode == "daughter") {  // silent, too
    if (::fork() == 0) {
      ::setsid();
      ::signal(SIGTERM, SIG_IGN);
    }
    stay();
  }
  if (mode == "exit") return std::atoi(argument);
  if (mode == "signal") {
    ::raise(std::atoi(argument));
  }
  if (mode == "print") {  // and go on as if all were well
    std::puts(argument);
    std::fflush(stdout);
    stay();
  }
  if (mode == "flood") {
    flood(50 << 20);
    stay();
  }
  if (mode == "noise") {  // and then become a plugin that is right
    std::puts("starting up…\n\x1b[31mcolour\x1b[0m|and|bars");
    std::fflush(stdout);
    ::execv(argument, argv + 2);
  }
  return 99;
}
