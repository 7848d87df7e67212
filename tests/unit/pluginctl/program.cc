#include "tests/unit/pluginctl/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace plugind::pluginctl {
namespace {

std::string read_all(std::FILE* file) {
  std::string text;
  char buffer[4096];
  for (std::size_t size; (size = std::fread(buffer, 1, sizeof(buffer), file)) > 0;) {
    text.append(buffer, size);
  }
  return text;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& one : strings) result.push_back(one.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

Program::Program(std::vector<std::string> arguments, Environment environment) {
  // A write to a program that has ended is an error, not the end of the test.
  signal(SIGPIPE, SIG_IGN);
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) std::abort();
  err_ = std::tmpfile();
  if (err_ == nullptr) std::abort();

  arguments.insert(arguments.begin(), PLUGINCTL);
  environment.emplace("TZ", "UTC");
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(err_), STDERR_FILENO);
  const int failed = posix_spawn(&pid_, PLUGINCTL, &actions, nullptr, pointers(arguments).data(),
                                 pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) std::abort();
  close(in[0]);
  close(out[1]);
  in_ = fdopen(in[1], "w");
  out_ = fdopen(out[0], "r");
}

Program::~Program() {
  close_stdin();
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::fclose(out_);
  std::fclose(err_);
}

void Program::write(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), in_);
  std::fflush(in_);
}

void Program::close_stdin() {
  if (in_ != nullptr) std::fclose(in_);
  in_ = nullptr;
}

std::string Program::read_line() {
  std::string line;
  for (int c; (c = std::fgetc(out_)) != EOF && c != '\n';) line += static_cast<char>(c);
  return line;
}

void Program::suspend() { kill(pid_, SIGSTOP); }

Outcome Program::wait() {
  close_stdin();
  Outcome outcome;
  outcome.out = read_all(out_);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  std::rewind(err_);
  outcome.err = read_all(err_);
  return outcome;
}

Outcome run(std::vector<std::string> arguments, Program::Environment environment,
            const std::string& input) {
  Program program(std::move(arguments), std::move(environment));
  program.write(input);
  return program.wait();
}

}  // namespace plugind::pluginctl
