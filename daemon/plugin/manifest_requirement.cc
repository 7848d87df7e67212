#include "daemon/plugin/manifest_requirement.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/plugin/printable.h"

namespace plugind::plugin {
namespace {

constexpr std::size_t kMostWords = 1024;
constexpr std::size_t kMostBytes = 1024;  // Of any of its texts.
constexpr std::chrono::milliseconds kShortest{10}, kLongest{600'000};

/// Numbers with dots between them.
bool is_version(std::string_view text) {
  bool number = false;
  for (const char c : text) {
    if (c == '.' && !number) return false;
    if (c != '.' && (c < '0' || c > '9')) return false;
    number = c != '.';
  }
  return number && text.size() <= 64;
}

class RequirementReader {
 public:
  explicit RequirementReader(std::vector<Mistake>& mistakes) : mistakes_(mistakes) {}

  Requirement read(const toml::table& table) {
    for (const auto& [key, node] : table) read_key(key, node);
    const bool command = table.contains("command");
    if (!table.contains("hint")) {
      mistake(table.source(),
              "`requires`: a requirement needs a `hint`, a sentence that says what to do");
    }
    if (command == table.contains("file")) {
      mistake(table.source(), "`requires`: a requirement has a `command` or a `file`");
    }
    if (!command && (table.contains("version") || table.contains("timeout"))) {
      mistake(table.source(), "`requires`: `version` and `timeout` need a `command`");
    }
    return std::move(result_);
  }

 private:
  void read_key(const toml::key& key, const toml::node& node) {
    const std::string_view name = key.str();
    if (name == "command") {
      read_command(node);
    } else if (name == "timeout") {
      read_timeout(node);
    } else if (name == "version") {
      if (auto text = text_of(name, node)) read_version(node, std::move(*text));
    } else if (name == "file") {
      if (auto text = text_of(name, node)) result_.file = std::move(*text);
    } else if (name == "hint") {
      if (auto text = text_of(name, node)) result_.hint = std::move(*text);
    } else {
      std::string what = "unknown key `requires." + printable(name, 80) + "`";
      const std::string_view near =
          nearest(name, {"command", "version", "file", "hint", "timeout"});
      if (!near.empty()) what += "; did you mean `" + std::string(near) + "`?";
      mistake(key.source(), std::move(what));
    }
  }

  void read_command(const toml::node& node) {
    const toml::array* words = node.as_array();
    if (!words || words->empty() || words->size() > kMostWords) {
      return mistake(node.source(), "`requires.command` must be a list of text with a program");
    }
    for (const toml::node& word : *words) {
      // Only the program itself cannot be empty.
      const auto* plain = word.as_string();
      if (plain && plain->get().empty() && !result_.command.empty()) {
        result_.command.emplace_back();
      } else if (auto text = text_of("command", word)) {
        result_.command.push_back(std::move(*text));
      }
    }
  }

  void read_timeout(const toml::node& node) {
    const auto text = text_of("timeout", node);
    if (!text) return;
    const auto value = parse_duration(printable(*text, 80));
    if (!value) {
      mistake(node.source(), "`requires.timeout`: " + value.error().message);
    } else if (*value < kShortest || *value > kLongest) {
      mistake(node.source(), "`requires.timeout` must be from 10ms to 10m, not " + *text);
    } else {
      result_.timeout = *value;
    }
  }

  void read_version(const toml::node& node, std::string text) {
    if (is_version(text)) {
      result_.version = std::move(text);
      return;
    }
    mistake(node.source(), "`requires.version`: \"" + printable(text, 80) +
                               "\" is no version: write numbers with dots, \"17\" or \"17.0.2\"");
  }

  std::optional<std::string> text_of(std::string_view name, const toml::node& node) {
    const std::string where = "`requires." + std::string(name) + "`";
    const auto* text = node.as_string();
    if (!text) {
      mistake(node.source(),
              where + (name == "command" ? " must be a list of text" : " must be text"));
      return std::nullopt;
    }
    const std::string& value = text->get();
    const char* const problem = value.empty()                    ? "is empty"
                                : value.size() > kMostBytes      ? "is longer than 1 KiB"
                                : value.find('\0') != value.npos ? "has a NUL character"
                                                                 : nullptr;
    if (!problem) return value;
    mistake(node.source(), where + ": \"" + printable(value, 80) + "\" " + problem);
    return std::nullopt;
  }

  void mistake(const toml::source_region& where, std::string what) {
    mistakes_.push_back({where.begin.line, where.begin.column, std::move(what)});
  }

  std::vector<Mistake>& mistakes_;
  Requirement result_;
};

}  // namespace

Requirement read_requirement(const toml::table& table, std::vector<Mistake>& mistakes) {
  return RequirementReader(mistakes).read(table);
}

}  // namespace plugind::plugin
