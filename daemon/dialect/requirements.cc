#include "daemon/dialect/requirements.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "daemon/dialect/launch.h"
#include "daemon/dialect/side_command.h"
#include "daemon/plugin/printable.h"

namespace plugind::dialect {

namespace asio = boost::asio;
using plugin::Requirement;

namespace {

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
  Error error = make_error(Reason::kRequirementMissing, "it requires " + what,
                           plugin::printable(requirement.hint, 1'024), ". ");
  error.details.emplace_back(
      "requirement",
      plugin::printable(
          requirement.command.empty() ? requirement.file : requirement.command.front(), 200));
  return error;
}

/// What is wrong with how the command ended, or what it printed; "" if nothing is.
std::string problem_of(const Requirement& requirement, const SideResult& printed) {
  if (!printed.status->success()) {
    const std::string& last = printed.err.empty() ? printed.out : printed.err;
    std::string text =
        words_of(requirement.command) + ", which ended with " + printed.status->describe();
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
  SideCommand command{.executable = *program,
                      .arguments = {},
                      .purpose = "requires",
                      .timeout = requirement.timeout};
  command.arguments.assign(requirement.command.begin() + 1, requirement.command.end());
  auto ran = co_await run_beside(context, like, std::move(command));
  if (!ran) {
    co_return std::unexpected(
        missing(requirement, words_of(requirement.command) + ": " + ran.error().message));
  }
  if (!ran->status) {
    co_return std::unexpected(missing(requirement, words_of(requirement.command) +
                                                       ", which has not ended after " +
                                                       describe(requirement.timeout)));
  }
  const std::string problem = problem_of(requirement, *ran);
  if (!problem.empty()) co_return std::unexpected(missing(requirement, problem));
  co_return std::expected<void, Error>{};
}

}  // namespace

asio::awaitable<std::expected<void, Error>> check_requirement(const plugin::StartContext& context,
                                                              const Requirement& requirement,
                                                              const Variables& variables,
                                                              const plugin::ProcessSpec& like) {
  if (requirement.file.empty()) {
    co_return co_await check_command(context, requirement, variables, like);
  }
  std::error_code problem;
  if (!std::filesystem::exists(requirement.file, problem)) {
    co_return std::unexpected(missing(
        requirement,
        "the file " + plugin::printable(requirement.file, 1'024) + ", which " +
            (problem ? "cannot be found: " + problem.message() : std::string("does not exist"))));
  }
  co_return std::expected<void, Error>{};
}

asio::awaitable<std::expected<void, Error>> check_requirements(const plugin::StartContext& context,
                                                               const Variables& variables,
                                                               const plugin::ProcessSpec& like) {
  for (const Requirement& requirement : context.manifest.requirements) {
    if (auto met = co_await check_requirement(context, requirement, variables, like); !met) {
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
