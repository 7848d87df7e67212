// What the beginning of an executable file tells, and how its shared libraries can be asked for
// without running it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plugind::platform {

struct ProgramHeader {
  enum class Kind { kEmpty, kScript, kElf, kForeign, kPlain } kind = Kind::kEmpty;
  std::string interpreter;           ///< Of a script, or the loader of an ELF file; "" if none.
  std::string interpreter_argument;  ///< Of a script: the rest of its first line; "" if none.
  std::string machine;               ///< Of an ELF file, as uname(2) writes it.
  std::string format;                ///< Of a foreign file: "Windows", "macOS".
};

/// Nothing if the file cannot be read.
std::optional<ProgramHeader> read_program_header(const std::string& path);

/// A command to run: its program and the arguments after it.
struct ProgramQuestion {
  std::string executable;
  std::vector<std::string> arguments;
};

/// The command by which the loader of a program says which shared libraries it would load, and runs
/// nothing of the program: `--list` of ld.so(8), which musl's loader has, too.  Nothing for a
/// program that needs no loader, and for one whose loader has a name that we do not know.
std::optional<ProgramQuestion> library_question(const std::string& path);

/// What the command of library_question() has found.
struct LibraryAnswer {
  std::string missing;   ///< The loader's own words for what keeps the program from running, or "".
  std::string warnings;  ///< What else it complains of, or "".
};

/// `succeeded`: the command ended with exit code 0.
LibraryAnswer read_library_answer(bool succeeded, std::string_view out, std::string_view err);

}  // namespace plugind::platform
