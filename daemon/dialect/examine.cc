#include "daemon/dialect/examine.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/dialect/requirements.h"
#include "daemon/dialect/side_command.h"
#include "daemon/platform/program_file.h"
#include "daemon/plugin/printable.h"

namespace plugind::dialect {

namespace asio = boost::asio;
using plugin::Finding;
using plugin::Severity;
using plugin::StartContext;

namespace {

constexpr std::size_t kLoadersWords = 1'024;
// As deep as the kernel follows interpreters of interpreters.
constexpr int kMostInterpreters = 5;
constexpr const char* kControlGroups =
    "run plugind where it may use control groups (Delegate=yes of a systemd unit); with "
    "limits.required the plugin is not started without";

class Examination {
 public:
  Examination(const StartContext& context, ProcessWishes wishes)
      : context_(context),
        variables_(environment_of(context, std::move(wishes.environment))),
        spec_(spec_without_program(context, variables_, std::move(wishes.listen_socket))) {}

  asio::awaitable<std::vector<Finding>> run() {
    for (const plugin::Requirement& requirement : context_.manifest.requirements) {
      const auto met = co_await check_requirement(context_, requirement, variables_, spec_);
      if (!met) add("requires", met.error());
    }
    auto program = find_program(context_.manifest, variables_);
    if (!program) {
      add("program", program.error());
      co_return std::move(findings_);
    }
    spec_.executable = std::move(*program);
    const auto pinned = co_await pin_program(context_, spec_);
    if (!pinned) add("checksum", pinned.error());
    // Not without the checksum: what does not match it is not to be executed, not even to its
    // first instruction.
    if (pinned && rehearse()) co_await look_at_libraries();
    co_return std::move(findings_);
  }

 private:
  void add(const char* check, const Error& error, Severity severity = Severity::kError) {
    findings_.push_back(plugin::finding_of(check, error, severity));
  }
  void add(Severity severity, const char* check, std::string what, std::string remedy = "") {
    findings_.push_back({severity, check, {}, std::move(what), std::move(remedy)});
  }

  static const char* check_of(const Error& error) {
    if (error.reason != Reason::kIsolationUnavailable) return "program";
    const bool sandbox = std::ranges::any_of(error.details, [](const auto& detail) {
      return detail.first == "setting" && detail.second.starts_with("sandbox.");
    });
    return sandbox ? "sandbox" : "limits";
  }

  /// Whether the program can be executed.
  bool rehearse() {
    const auto rehearsal = context_.processes.rehearse(spec_);
    if (!rehearsal) {
      add(check_of(rehearsal.error()), rehearsal.error());
      return false;
    }
    if (!rehearsal->not_tried.empty()) {
      add(Severity::kNote, "program",
          "whether the kernel would execute " + spec_.executable +
              " was not tried: " + rehearsal->not_tried);
    }
    for (const plugin::HeldLimit& limit : rehearsal->limits) look_at(limit);
    return true;
  }

  void look_at(const plugin::HeldLimit& limit) {
    using Holder = plugin::HeldLimit::Holder;
    const std::string note = limit.note.empty() ? "" : ": " + limit.note;
    if (limit.holder == Holder::kNothing) {
      add(Severity::kWarning, "limits", "limits." + limit.name + " is not enforced here" + note,
          kControlGroups);
    } else if (limit.holder == Holder::kProcessLimit && limit.name != "open_files") {
      // That one is never held otherwise.
      add(Severity::kNote, "limits",
          "limits." + limit.name + " is held by a process limit only" + note);
    }
  }

  /// What the kernel executes in the end, when the program is a script.
  std::optional<std::string> last_interpreter() {
    std::string path = spec_.executable;
    for (int i = 0; i < kMostInterpreters; ++i) {
      const auto header = platform::read_program_header(path);
      if (!header || header->kind != platform::ProgramHeader::Kind::kScript) return path;
      if (std::filesystem::path(header->interpreter).filename() != "env") {
        path = header->interpreter;
        continue;
      }
      const std::string name = program_of_env(header->interpreter_argument);
      if (name.empty()) return std::nullopt;
      const auto found = find_in_path(name, variables_);
      if (!found) {
        add(Severity::kError, "program",
            "the script " + path + " asks " + header->interpreter + " for \"" +
                plugin::printable(name, 200) + "\", which is not in PATH (" + path_of(variables_) +
                ")",
            "install it, or set PATH in `env` of the manifest");
        return std::nullopt;
      }
      path = *found;
    }
    return std::nullopt;
  }

  /// Of `#!/usr/bin/env ARGUMENT`; "" if only env itself can tell.
  static std::string program_of_env(std::string_view argument) {
    if (!argument.starts_with('-')) return std::string(argument);
    if (!argument.starts_with("-S")) return "";
    argument.remove_prefix(2);
    while (!argument.empty()) {
      argument.remove_prefix(std::min(argument.find_first_not_of(" \t"), argument.size()));
      const std::string_view word = argument.substr(0, argument.find_first_of(" \t"));
      if (word.starts_with('-') || word.find_first_of("\"'\\$") != word.npos) return "";
      if (word.find('=') == word.npos) return std::string(word);
      argument.remove_prefix(word.size());
    }
    return "";
  }

  asio::awaitable<void> look_at_libraries() {
    const auto program = last_interpreter();
    if (!program) co_return;
    auto question = platform::library_question(*program);
    if (!question) co_return;
    // With these the loader would do more than list.
    plugin::ProcessSpec like = spec_;
    std::erase_if(like.environment, [](const std::string& entry) {
      return entry.starts_with("LD_BIND_NOW=") || entry.starts_with("LD_WARN=") ||
             entry.starts_with("LD_VERBOSE=") || entry.starts_with("LD_DEBUG=") ||
             entry.starts_with("LD_AUDIT=");
    });
    SideCommand command;
    command.executable = std::move(question->executable);
    command.arguments = std::move(question->arguments);
    command.purpose = "libraries";
    const auto listed = co_await run_beside(context_, like, std::move(command));
    if (!listed || !listed->status) {
      add(Severity::kNote, "libraries",
          "the shared libraries of " + *program + " could not be listed: " +
              (listed ? "its loader has not ended after 10 s" : listed.error().message));
      co_return;
    }
    tell(*program,
         platform::read_library_answer(listed->status->success(), listed->out, listed->err));
  }

  void tell(const std::string& program, const platform::LibraryAnswer& answer) {
    if (!answer.missing.empty()) {
      add(Severity::kError, "libraries",
          "the shared libraries of " + program +
              " are not all there: " + plugin::printable(answer.missing, kLoadersWords),
          "install what is missing, or say where it is: LD_LIBRARY_PATH in `env` of the manifest");
    }
    if (!answer.warnings.empty()) {
      add(Severity::kWarning, "libraries",
          "the loader of " + program +
              " says: " + plugin::printable(answer.warnings, kLoadersWords));
    }
  }

  const StartContext& context_;
  const Variables variables_;
  plugin::ProcessSpec spec_;
  std::vector<Finding> findings_;
};

}  // namespace

asio::awaitable<std::vector<Finding>> examine_launch(StartContext context, ProcessWishes wishes) {
  Examination examination(context, std::move(wishes));
  co_return co_await examination.run();
}

}  // namespace plugind::dialect
