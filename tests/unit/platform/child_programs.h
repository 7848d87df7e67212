// The test executable is its own child program: "TEST --child NAME ARGUMENT…" runs one of these.
#pragma once

#include <string>
#include <vector>

namespace plugind::platform {

/// True if the command line asks for a child program; then `exit_code` is what it returned.
bool run_child_program(int argc, char** argv, int& exit_code);

/// The path of the running executable, and the arguments that make it the child program `name`.
std::string own_executable();
std::vector<std::string> child_arguments(const std::string& name,
                                         const std::vector<std::string>& arguments = {});

/// Registered by the test files that have child programs of their own.
using ChildProgram = int (*)(const std::vector<std::string>& arguments);
struct RegisterChild {
  RegisterChild(const char* name, ChildProgram program);
};

}  // namespace plugind::platform
