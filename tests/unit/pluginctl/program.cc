#include "tests/unit/pluginctl/program.h"

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

}  // namespace plugind::pluginctl
