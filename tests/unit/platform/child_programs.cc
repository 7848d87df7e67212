#include "child_programs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>

namespace plugind::platform {
namespace {

using Arguments = std::vector<std::string>;

std::map<std::string, ChildProgram>& programs() {
  static std::map<std::string, ChildProgram> map;
  return map;
}

/// One write, so that lines of several processes do not mix.
void say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(99);
}

[[noreturn]] void sleep_for_ever() {
  while (true) ::pause();
}

int print_descriptors(const Arguments&) {
  DIR* directory = ::opendir("/proc/self/fd");
  std::string line = "fds";
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && name != std::to_string(::dirfd(directory))) {
      line += " " + name;
    }
  }
  ::closedir(directory);
  say(line);
  return 0;
}

int print_signals(const Arguments&) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("SigBlk") || line.starts_with("SigIgn")) {
      say(line);
    }
  }
  return 0;
}

int print_setting(const Arguments& arguments) {
  for (const auto& argument : arguments) say("argument " + argument);
  for (char** entry = ::environ; *entry; ++entry) say("environment " + std::string(*entry));
  char directory[PATH_MAX];
  if (::getcwd(directory, sizeof(directory))) say("directory " + std::string(directory));
  char ignored;
  say("stdin " + std::to_string(::read(STDIN_FILENO, &ignored, 1)));
  say("session " + std::string(::getsid(0) == ::getpid() ? "own" : "inherited"));
  return 0;
}

int exit_with(const Arguments& arguments) { return std::stoi(arguments.at(0)); }

int die_of(const Arguments& arguments) {
  ::raise(std::stoi(arguments.at(0)));
  return 98;
}

int print_streams(const Arguments& arguments) {
  const std::string block(std::stoul(arguments.at(0)), 'x');
  std::cout << block << std::flush;
  std::cerr << "last words" << std::flush;
  return 0;
}

int serve_listener(const Arguments&) {
  const char* count = std::getenv("LISTEN_FDS");
  const char* pid = std::getenv("LISTEN_PID");
  if (!count || std::string(count) != "1" || !pid || std::stoi(pid) != ::getpid()) return 97;
  const int connection = ::accept(3, nullptr, nullptr);
  if (connection == -1) return 96;
  return ::write(connection, "hello", 5) == 5 ? 0 : 95;
}

int wait_for_ever(const Arguments&) {
  say("ready " + std::to_string(::getpid()));
  sleep_for_ever();
}

int ignore_term(const Arguments&) {
  ::signal(SIGTERM, SIG_IGN);
  return wait_for_ever({});
}

/// Leaves a process that holds the output open.
int leave_holder(const Arguments&) {
  const pid_t child = ::fork();
  if (child == 0) sleep_for_ever();
  say("holder " + std::to_string(child));
  return 3;
}

/// Becomes the child program `name`, with an empty environment.
[[noreturn]] void become_without_environment(const char* name) {
  const std::string self = own_executable();
  char* const argv[] = {const_cast<char*>(self.c_str()), const_cast<char*>("--child"),
                        const_cast<char*>(name), nullptr};
  char* const envp[] = {nullptr};
  ::execve(self.c_str(), argv, envp);
  ::_exit(94);
}

/// Five descendants, each harder to find than the one before; all ignore SIGTERM.
int grow_tree(const Arguments& arguments) {
  ::signal(SIGTERM, SIG_IGN);
  say("leader " + std::to_string(::getpid()));
  if (::fork() == 0) {
    say("child " + std::to_string(::getpid()));
    sleep_for_ever();
  }
  if (::fork() == 0) become_without_environment("cleared");
  if (::fork() == 0) {
    ::setsid();
    say("session " + std::to_string(::getpid()));
    sleep_for_ever();
  }
  if (const pid_t middle = ::fork(); middle == 0) {
    ::setsid();
    if (::fork() == 0) {
      say("orphan " + std::to_string(::getpid()));
      sleep_for_ever();
    }
    ::_exit(0);
  } else {
    ::waitpid(middle, nullptr, 0);
  }
  if (const pid_t middle = ::fork(); middle == 0) {
    ::setsid();
    if (::fork() == 0) {
      become_without_environment("stray");
    }
    ::_exit(0);
  } else {
    ::waitpid(middle, nullptr, 0);
  }
  if (!arguments.empty()) return 0;  // the leader goes, the others stay
  sleep_for_ever();
}

int stray(const Arguments&) {
  say("stray " + std::to_string(::getpid()));
  sleep_for_ever();
}

int cleared(const Arguments&) {
  say("cleared " + std::to_string(::getpid()));
  sleep_for_ever();
}

/// A process that hides from everything but its parent, which can be killed.
int hide(const Arguments&) {
  if (::fork() == 0) {
    say("middle " + std::to_string(::getpid()));
    if (::fork() == 0) {
      ::setsid();
      become_without_environment("stray");
    }
    sleep_for_ever();
  }
  sleep_for_ever();
}

/// Has a child that computes so many milliseconds and ends.
int burn(const Arguments& arguments) {
  const std::clock_t wanted = std::stol(arguments.at(0)) * (CLOCKS_PER_SEC / 1000);
  if (::fork() == 0) {
    while (std::clock() < wanted) {
    }
    ::_exit(0);
  }
  ::wait(nullptr);
  say("burnt");
  sleep_for_ever();
}

/// A process that is somebody else every moment: it forks, and the parent goes.
int hop(const Arguments& arguments) {
  say("ready " + std::to_string(::getpid()));
  if (::fork() != 0) {
    if (!arguments.empty()) return 0;  // the leader goes, too
    sleep_for_ever();
  }
  // Ends by itself in the end, in case a test fails.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < end) {
    if (::fork() > 0) ::_exit(0);
  }
  return 0;
}

const RegisterChild kChildren[] = {
    {"descriptors", print_descriptors},
    {"signals", print_signals},
    {"setting", print_setting},
    {"exit", exit_with},
    {"die", die_of},
    {"streams", print_streams},
    {"listener", serve_listener},
    {"wait", wait_for_ever},
    {"ignore-term", ignore_term},
    {"holder", leave_holder},
    {"tree", grow_tree},
    {"stray", stray},
    {"cleared", cleared},
    {"hide", hide},
    {"hop", hop},
    {"burn", burn},
};

}  // namespace

RegisterChild::RegisterChild(const char* name, ChildProgram program) { programs()[name] = program; }

bool run_child_program(int argc, char** argv, int& exit_code) {
  if (argc < 3 || std::string(argv[1]) != "--child") return false;
  const auto found = programs().find(argv[2]);
  exit_code = found == programs().end() ? 93 : found->second(Arguments(argv + 3, argv + argc));
  return true;
}

std::string own_executable() {
  char path[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof(path));
  return n > 0 ? std::string(path, static_cast<std::size_t>(n)) : "";
}

std::vector<std::string> child_arguments(const std::string& name,
                                         const std::vector<std::string>& arguments) {
  std::vector<std::string> result{"--child", name};
  result.insert(result.end(), arguments.begin(), arguments.end());
  return result;
}

}  // namespace plugind::platform
