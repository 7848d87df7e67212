#include "daemon/dialect/requirements.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "daemon/dialect/launch.h"
#include "daemon/plugin/printable.h"

namespace plugind::dialect {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using plugin::Requirement;

namespace {

constexpr std::size_t kMostOutput = 16 << 10;  // Of each stream; the rest is not looked at.
constexpr std::size_t kToldOutput = 256;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::vector<std::string> numbers_of(std::string_view version) {
  std::vector<std::string> numbers{""};
  for (const char c : version) {
    if (c == '.') {
      numbers.emplace_back();
    } else if (numbers.back() == "0") {
      numbers.back() = c;
    } else {
      numbers.back() += c;
    }
  }
  return numbers;
}

/// `java -version`
std::string words_of(const std::vector<std::string>& command) {
  std::string text;
  for (const std::string& word : command) text += (text.empty() ? "" : " ") + word;
  return "`" + plugin::printable(text, 200) + "`";
}

Error missing(const Requirement& requirement, const std::string& what) {
  Error error =
      make_error(Reason::kRequirementMissing,
                 "it requires " + what + ". " + plugin::printable(requirement.hint, 1'024));
  error.details.emplace_back(
      "requirement",
      plugin::printable(
          requirement.command.empty() ? requirement.file : requirement.command.front(), 200));
  return error;
}

struct Printed {
  std::string out, err;
};

/// What is wrong with how the command ended, or what it printed; "" if nothing is.
std::string problem_of(const Requirement& requirement, const plugin::ExitStatus& status,
                       const Printed& printed) {
  if (!status.success()) {
    const std::string& last = printed.err.empty() ? printed.out : printed.err;
    std::string text = words_of(requirement.command) + ", which ended with " + status.describe();
    if (!last.empty()) {
      text += " (\"" + plugin::printable(last.substr(0, last.find('\n')), kToldOutput) + "\")";
    }
    return text;
  }
  if (requirement.version.empty()) return "";
  const std::string found = first_version(printed.out + "\n" + printed.err);
  const std::string wanted =
      words_of(requirement.command) + " to tell version " + requirement.version + " or later";
  if (found.empty()) return wanted + ", and it tells none";
  return version_less(found, requirement.version) ? wanted + ", and it tells " + found : "";
}

asio::awaitable<std::expected<void, Error>> check_command(const plugin::StartContext& context,
                                                          const Requirement& requirement,
                                                          const Variables& variables,
                                                          const plugin::ProcessSpec& like) {
  const auto program = find_in_path(requirement.command.front(), variables);
  if (!program) {
    co_return std::unexpected(
        missing(requirement, words_of(requirement.command) + ", which is not in PATH"));
  }
  // Shared with the callback, which ends with the process.
  const auto printed = std::make_shared<Printed>();
  plugin::ProcessSpec spec;
  spec.executable = *program;
  spec.arguments.assign(requirement.command.begin() + 1, requirement.command.end());
  spec.environment = like.environment;
  // The instance's directory is not another user's before the plugin's socket is in it.
  const bool elsewhere = like.run_as && context.manifest.working_directory.empty();
  spec.working_directory = elsewhere ? "/" : like.working_directory;
  spec.tree_name = context.instance + ".requires";
  spec.run_as = like.run_as;
  spec.umask = like.umask;
  spec.no_new_privileges = like.no_new_privileges;
  spec.on_output = [printed](plugin::OutputStream stream, std::string_view bytes) {
    std::string& text = stream == plugin::OutputStream::kStdout ? printed->out : printed->err;
    text += bytes.substr(0, kMostOutput - text.size());
  };
  auto process = context.processes.spawn(std::move(spec));
  if (!process) {
    co_return std::unexpected(
        missing(requirement, words_of(requirement.command) + ": " + process.error().message));
  }
  auto end = (*process)->wait();
  auto timeout = context.clock.sleep(requirement.timeout);
  const auto first = co_await (std::move(end) || std::move(timeout));
  // ~Process ends what is left of its tree.
  process->reset();
  if (first.index() == 1) {
    co_return std::unexpected(missing(requirement, words_of(requirement.command) +
                                                       ", which has not ended after " +
                                                       describe(requirement.timeout)));
  }
  const std::string problem = problem_of(requirement, std::get<0>(first), *printed);
  if (!problem.empty()) co_return std::unexpected(missing(requirement, problem));
  co_return std::expected<void, Error>{};
}

}  // namespace

asio::awaitable<std::expected<void, Error>> check_requirements(const plugin::StartContext& context,
                                                               const Variables& variables,
                                                               const plugin::ProcessSpec& like) {
  for (const Requirement& requirement : context.manifest.requirements) {
    if (!requirement.file.empty()) {
      std::error_code problem;
      if (!std::filesystem::exists(requirement.file, problem)) {
        co_return std::unexpected(missing(
            requirement, "the file " + plugin::printable(requirement.file, 1'024) + ", which " +
                             (problem ? "cannot be found: " + problem.message()
                                      : std::string("does not exist"))));
      }
      continue;
    }
    if (auto met = co_await check_command(context, requirement, variables, like); !met) {
      co_return std::unexpected(std::move(met.error()));
    }
  }
  co_return std::expected<void, Error>{};
}

std::string first_version(std::string_view text) {
  std::string first;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_digit(text[at])) continue;
    std::size_t end = at;
    bool dots = false;
    while (end < text.size() &&
           (is_digit(text[end]) ||
            (text[end] == '.' && end + 1 < text.size() && is_digit(text[end + 1])))) {
      dots = dots || text[end] == '.';
      ++end;
    }
    if (end - at <= 64) {
      if (dots) return std::string(text.substr(at, end - at));
      if (first.empty()) first = text.substr(at, end - at);
    }
    at = end;
  }
  return first;
}

bool version_less(std::string_view a, std::string_view b) {
  std::vector<std::string> left = numbers_of(a), right = numbers_of(b);
  const std::size_t size = std::max(left.size(), right.size());
  left.resize(size, "0");
  right.resize(size, "0");
  for (std::size_t i = 0; i < size; ++i) {
    if (left[i] == right[i]) continue;
    if (left[i].size() != right[i].size()) return left[i].size() < right[i].size();
    return left[i] < right[i];
  }
  return false;
}

}  // namespace plugind::dialect
