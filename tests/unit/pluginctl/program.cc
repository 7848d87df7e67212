#include "tests/unit/pluginctl/program.h"

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <utility>

namespace plugind::pluginctl {
namespace {

std::vector<std::string> command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), PLUGINCTL);
  return arguments;
}

Program::Environment with_defaults(Program::Environment environment) {
  environment.merge(Program::Environment{{"PLUGIND_SOCKET", {}}, {"XDG_RUNTIME_DIR", {}}});
  return environment;
}

}  // namespace

Program::Program(std::vector<std::string> arguments, Environment environment)
    : process_(command(std::move(arguments)), with_defaults(std::move(environment))) {}

std::string Program::read_line() {
  std::string line;
  testing::eventually([&] {
    const bool ended = !process_.running();
    const std::string out = process_.out();
    const std::size_t end = out.find('\n', seen_);
    if (end == std::string::npos) return ended;
    line = out.substr(seen_, end - seen_);
    seen_ = end + 1;
    return true;
  });
  return line;
}

Outcome Program::wait() {
  const auto exit = process_.wait();
  return {exit && exit->code ? *exit->code : -1, process_.out().substr(seen_), process_.err()};
}

Outcome Program::finish() {
  process_.close_stdin();
  return wait();
}

Outcome run(std::vector<std::string> arguments, Program::Environment environment,
            const std::string& input) {
  Program program(std::move(arguments), std::move(environment));
  if (!input.empty()) program.write(input);
  return program.finish();
}

Outcome run_on_terminal(std::vector<std::string> arguments, Program::Environment environment) {
  // All that allocates comes before the fork: other threads of the test may hold a lock then.
  std::vector<std::string> words = command(std::move(arguments));
  std::vector<std::string> variables;
  environment.merge(Program::Environment{{"TERM", {}}, {"NO_COLOR", {}}});
  const auto changes = with_defaults(std::move(environment));
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!changes.contains(text.substr(0, text.find('=')))) variables.push_back(text);
  }
  for (const auto& [name, value] : changes) {
    if (value) variables.push_back(name + "=" + *value);
  }
  const auto pointers = [](std::vector<std::string>& strings) {
    std::vector<char*> result;
    for (std::string& one : strings) result.push_back(one.data());
    result.push_back(nullptr);
    return result;
  };
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  termios settings{};
  cfmakeraw(&settings);  // Nothing is changed on its way.
  int terminal = -1;
  const pid_t pid = ::forkpty(&terminal, nullptr, &settings, nullptr);
  if (pid == -1) throw std::runtime_error("forkpty");
  if (pid == 0) {
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  Outcome outcome;
  const auto deadline = std::chrono::steady_clock::now() + testing::kDeadline;
  for (char buffer[4096];;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd readable{.fd = terminal, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) == 0) {
      ::kill(pid, SIGKILL);
      break;
    }
    const ssize_t n = ::read(terminal, buffer, sizeof buffer);
    if (n > 0) outcome.out.append(buffer, static_cast<std::size_t>(n));
    if (n == 0 || (n == -1 && errno != EINTR)) break;  // EIO: nobody has it open any more.
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) == -1 && errno == EINTR) continue;
  ::close(terminal);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

}  // namespace plugind::pluginctl
