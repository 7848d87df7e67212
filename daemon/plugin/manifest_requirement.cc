#include "daemon/plugin/manifest_requirement.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/plugin/manifest_item_reader.h"
#include "daemon/plugin/printable.h"

namespace plugind::plugin {
namespace {

constexpr std::size_t kMostWords = 1024;
constexpr std::size_t kMostBytes = 1024;  // Of any of its texts.

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

class RequirementReader : ItemReader {
 public:
  using KeyReader = ItemKeyReader<RequirementReader>;

  explicit RequirementReader(std::vector<Mistake>& mistakes) : ItemReader("requires", mistakes) {}

  static const std::vector<KeyReader>& keys();

  Requirement read(const toml::table& table) {
    read_keys<RequirementReader>(*this, keys(), table);
    const bool command = table.contains("command");
    if (command == table.contains("file")) {
      mistake(table.source(), "`requires`: a requirement has a `command` or a `file`");
    }
    if (!command && (table.contains("version") || table.contains("timeout"))) {
      mistake(table.source(), "`requires`: `version` and `timeout` need a `command`");
    }
    return std::move(result_);
  }

 private:
  void read_command(const ItemKey& key, const toml::node& node) {
    const toml::array* words = node.as_array();
    if (!words || words->empty() || words->size() > kMostWords) {
      return mistake(node.source(), in_ticks(key.name) + " must be a list of text with a program");
    }
    for (const toml::node& word : *words) {
      // Only the program itself cannot be empty.
      const auto* plain = word.as_string();
      if (plain && plain->get().empty() && !result_.command.empty()) {
        result_.command.emplace_back();
      } else if (auto text = text_of(key, word, " must be a list of text")) {
        result_.command.push_back(std::move(*text));
      }
    }
  }

  void read_timeout(const ItemKey& key, const toml::node& node) {
    if (const auto text = text_of(key, node)) set_duration(key, node, *text, result_.timeout);
  }

  void read_version(const ItemKey& key, const toml::node& node) {
    auto text = text_of(key, node);
    if (!text) return;
    if (!is_version(*text)) {
      return mistake(node.source(),
                     in_ticks(key.name) + ": \"" + printable(*text, 80) +
                         "\" is no version: write numbers with dots, \"17\" or \"17.0.2\"");
    }
    result_.version = std::move(*text);
  }

  void read_file(const ItemKey& key, const toml::node& node) {
    if (auto text = text_of(key, node)) result_.file = std::move(*text);
  }
  void read_hint(const ItemKey& key, const toml::node& node) {
    if (auto text = text_of(key, node)) result_.hint = std::move(*text);
  }

  std::optional<std::string> text_of(const ItemKey& key, const toml::node& node,
                                     const char* wanted = " must be text") {
    const auto* text = node.as_string();
    if (!text) {
      mistake(node.source(), in_ticks(key.name) + wanted);
      return std::nullopt;
    }
    const std::string& value = text->get();
    const char* const problem = value.empty()                    ? "is empty"
                                : value.size() > kMostBytes      ? "is longer than 1 KiB"
                                : value.find('\0') != value.npos ? "has a NUL character"
                                                                 : nullptr;
    if (!problem) return value;
    mistake(node.source(), in_ticks(key.name) + ": \"" + printable(value, 80) + "\" " + problem);
    return std::nullopt;
  }

  Requirement result_;
};

const std::vector<RequirementReader::KeyReader>& RequirementReader::keys() {
  static const std::vector<KeyReader> all{
      {{.name = "command",
        .value = "list of text",
        .example = "[\"java\", \"-version\"]",
        .doc = "A program and its arguments, found as `command` of the manifest is. It must end "
               "with exit code 0. It runs as the plugin would: user, sandbox, environment, "
               "directory (with `user` and without `working_directory`: in `/`)."},
       &RequirementReader::read_command},
      {{.name = "version",
        .value = "text",
        .example = "\"17\"",
        .doc = "The lowest version that `command` may print, numbers with dots: `\"17\"` or "
               "`\"2.9.1\"`. Taken for the version is the first number with dots in its output, "
               "else the first number, of the first 16 KiB of stdout, then of stderr. If absent, "
               "any will do."},
       &RequirementReader::read_version},
      {{.name = "timeout",
        .value = "duration",
        .min = "10ms",
        .max = "10m",
        .default_value = "\"10s\"",
        .example = "\"2s\"",
        .doc = "How long `command` may take. It is ended then, with all that it has started."},
       &RequirementReader::read_timeout},
      {{.name = "file",
        .value = "text",
        .example = "\"/etc/kv/licence.key\"",
        .doc = "Instead of `command`: a file that must exist; relative to the manifest's "
               "directory."},
       &RequirementReader::read_file},
      {{.name = "hint",
        .value = "text",
        .required = true,
        .example = "\"Install Java 17.\"",
        .doc = "A sentence for whoever meets the failure, which says what to do."},
       &RequirementReader::read_hint},
  };
  return all;
}

}  // namespace

std::vector<ItemKey> requirement_keys() {
  return keys_of<RequirementReader>(RequirementReader::keys());
}

Requirement read_requirement(const toml::table& table, std::vector<Mistake>& mistakes) {
  return RequirementReader(mistakes).read(table);
}

}  // namespace plugind::plugin
