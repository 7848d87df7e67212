#include "daemon/plugin/manifest_stop_step.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/plugin/manifest_item_reader.h"
#include "daemon/plugin/printable.h"

namespace plugind::plugin {
namespace {

constexpr std::string_view kAsk = "ask";
constexpr std::array<std::pair<std::string_view, StopSignal>, 6> kSignals{
    {{"SIGTERM", StopSignal::kTerminate},
     {"SIGINT", StopSignal::kInterrupt},
     {"SIGQUIT", StopSignal::kQuit},
     {"SIGHUP", StopSignal::kHangup},
     {"SIGUSR1", StopSignal::kUser1},
     {"SIGUSR2", StopSignal::kUser2}}};

std::vector<std::string_view> actions() {
  std::vector<std::string_view> words{kAsk};
  for (const auto& [word, signal] : kSignals) words.push_back(word);
  return words;
}

/// With `mark` around each word.
std::string listed(const std::vector<std::string_view>& words, char mark) {
  std::string text;
  for (const std::string_view word : words) {
    text += (text.empty() ? "" : ", ") + (mark + std::string(word)) + mark;
  }
  return text;
}

class StepReader : ItemReader {
 public:
  using KeyReader = ItemKeyReader<StepReader>;

  explicit StepReader(std::vector<Mistake>& mistakes) : ItemReader("stop.steps", mistakes) {}

  static const std::vector<KeyReader>& keys();

  StopStep read(const toml::table& table) {
    read_keys<StepReader>(*this, keys(), table);
    return result_;
  }

 private:
  void read_action(const ItemKey& key, const toml::node& node) {
    if (const auto text = text_of(key, node)) set_action(key, node, *text);
  }
  void read_timeout(const ItemKey& key, const toml::node& node) {
    if (const auto text = text_of(key, node)) set_duration(key, node, *text, result_.timeout);
  }

  void set_action(const ItemKey& key, const toml::node& node, const std::string& text) {
    if (text == kAsk) return result_.signal.reset();
    for (const auto& [word, signal] : kSignals) {
      if (word != text) continue;
      result_.signal = signal;
      return;
    }
    if (text == "SIGKILL") {
      return mistake(node.source(), in_ticks(key.name) +
                                        ": SIGKILL ends every stop by itself; leave this step out");
    }
    const std::vector<std::string_view> words = actions();
    std::string what = in_ticks(key.name) + " is one of " + listed(words, '"') + ", not \"" +
                       printable(text, 80) + "\"";
    const std::string_view near = nearest(text, words);
    if (!near.empty()) what += "; did you mean \"" + std::string(near) + "\"?";
    mistake(node.source(), std::move(what));
  }

  std::optional<std::string> text_of(const ItemKey& key, const toml::node& node) {
    if (const auto* text = node.as_string()) return text->get();
    mistake(node.source(),
            in_ticks(key.name) + " must be text, for example " + std::string(key.example));
    return std::nullopt;
  }

  StopStep result_;
};

const std::vector<StepReader::KeyReader>& StepReader::keys() {
  static const std::vector<KeyReader> all{
      {{.name = "action",
        .value = "one of " + listed(actions(), '`'),
        .required = true,
        .example = "\"SIGTERM\"",
        .doc = "What is done. `ask`: the dialect's own request to end, which only `go-plugin` has. "
               "A signal: it goes to every process of the tree; one that does nothing about it is "
               "ended by any of them."},
       &StepReader::read_action},
      {{.name = "timeout",
        .value = "duration",
        .min = "1ms",
        .max = "1h",
        .required = true,
        .example = "\"5s\"",
        .doc = "The time until the next step is taken, if anything of the tree is left by then."},
       &StepReader::read_timeout},
  };
  return all;
}

}  // namespace

std::string_view to_string(StopSignal signal) {
  for (const auto& [word, meaning] : kSignals) {
    if (meaning == signal) return word;
  }
  return "unknown";
}

std::vector<ItemKey> stop_step_keys() { return keys_of<StepReader>(StepReader::keys()); }

std::optional<StopStep> read_stop_step(const toml::table& table, std::vector<Mistake>& mistakes) {
  const std::size_t before = mistakes.size();
  const StopStep step = StepReader(mistakes).read(table);
  if (mistakes.size() > before) return std::nullopt;
  return step;
}

}  // namespace plugind::plugin
