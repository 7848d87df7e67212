#include "tests/support/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace plugind::testing {

namespace {

using Clock = std::chrono::steady_clock;

std::vector<std::string> merged(const ChildProcess::Environment& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!changes.contains(text.substr(0, text.find('=')))) result.push_back(text);
  }
  for (const auto& [name, value] : changes) {
    if (value) result.push_back(name + "=" + *value);
  }
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& one : strings) result.push_back(one.data());
  result.push_back(nullptr);
  return result;
}

int memory_file(const char* name) {
  const int descriptor = ::memfd_create(name, MFD_CLOEXEC);
  if (descriptor == -1) throw std::runtime_error("memfd_create");
  return descriptor;
}

std::string content(int descriptor) {
  std::string text;
  char buffer[1 << 16];
  for (ssize_t n;
       (n = ::pread(descriptor, buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return text;
}

}  // namespace

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds deadline) {
  const auto end = Clock::now() + deadline;
  while (!condition()) {
    if (Clock::now() >= end) return condition();
    ::poll(nullptr, 0, 5);
  }
  return true;
}

std::string describe(const std::optional<Exit>& exit) {
  if (!exit) return "still running";
  if (exit->code) return "exit code " + std::to_string(*exit->code);
  return std::string("signal ") + ::strsignal(*exit->signal);
}

ChildProcess::ChildProcess(std::vector<std::string> command, const Environment& environment)
    : out_(memory_file("stdout")), err_(memory_file("stderr")) {
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  in_ = pipe[1];
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out_, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err_, STDERR_FILENO);
  std::vector<std::string> variables = merged(environment);
  const int error = ::posix_spawnp(&pid_, command.front().c_str(), &actions, nullptr,
                                   pointers(command).data(), pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[0]);
  if (error != 0) throw std::runtime_error(command.front() + ": " + std::strerror(error));
}

ChildProcess::~ChildProcess() {
  if (running()) {
    signal(SIGKILL);
    wait();
  }
  close_stdin();
  ::close(out_);
  ::close(err_);
}

void ChildProcess::write(const std::string& text) const {
  if (::write(in_, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("the program does not take its input");
  }
}

void ChildProcess::close_stdin() {
  if (in_ != -1) ::close(std::exchange(in_, -1));
}

std::string ChildProcess::out() const { return content(out_); }
std::string ChildProcess::err() const { return content(err_); }

std::optional<Exit> ChildProcess::wait(std::chrono::milliseconds deadline) {
  eventually([this] { return !running(); }, deadline);
  return exit_;
}

bool ChildProcess::running() {
  if (exit_) return false;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return true;
  exit_ = WIFEXITED(status) ? Exit{.code = WEXITSTATUS(status)} : Exit{.signal = WTERMSIG(status)};
  return false;
}

Run run(std::vector<std::string> command, const ChildProcess::Environment& environment) {
  ChildProcess process(std::move(command), environment);
  process.close_stdin();
  Run result;
  result.exit = process.wait();
  result.out = process.out();
  result.err = process.err();
  return result;
}

}  // namespace plugind::testing
