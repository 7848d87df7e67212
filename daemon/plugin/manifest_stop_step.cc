#include "daemon/plugin/manifest_stop_step.h"

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/plugin/printable.h"

namespace plugind::plugin {
namespace {

constexpr std::chrono::milliseconds kShortest{1}, kLongest{3'600'000};
constexpr std::string_view kAsk = "ask";
constexpr std::array<std::pair<std::string_view, StopSignal>, 6> kSignals{
    {{"SIGTERM", StopSignal::kTerminate},
     {"SIGINT", StopSignal::kInterrupt},
     {"SIGQUIT", StopSignal::kQuit},
     {"SIGHUP", StopSignal::kHangup},
     {"SIGUSR1", StopSignal::kUser1},
     {"SIGUSR2", StopSignal::kUser2}}};

class StepReader {
 public:
  explicit StepReader(std::vector<Mistake>& mistakes) : mistakes_(mistakes) {}

  std::optional<StopStep> read(const toml::table& table) {
    const std::size_t before = mistakes_.size();
    for (const auto& [key, node] : table) read_key(key, node);
    if (!table.contains("action") || !table.contains("timeout")) {
      mistake(table.source(),
              "`stop.steps`: a step needs an `action` and a `timeout`, for example { action = "
              "\"SIGTERM\", timeout = \"5s\" }");
    }
    if (mistakes_.size() > before) return std::nullopt;
    return result_;
  }

 private:
  void read_key(const toml::key& key, const toml::node& node) {
    const std::string_view name = key.str();
    if (name == "action") {
      if (const auto text = text_of(name, node)) read_action(node, *text);
    } else if (name == "timeout") {
      if (const auto text = text_of(name, node)) read_timeout(node, *text);
    } else {
      std::string what = "unknown key `stop.steps." + printable(name, 80) + "`";
      const std::string_view near = nearest(name, {"action", "timeout"});
      if (!near.empty()) what += "; did you mean `" + std::string(near) + "`?";
      mistake(key.source(), std::move(what));
    }
  }

  void read_action(const toml::node& node, const std::string& text) {
    if (text == kAsk) return result_.signal.reset();
    std::vector<std::string_view> words{kAsk};
    for (const auto& [word, signal] : kSignals) {
      if (word == text) {
        result_.signal = signal;
        return;
      }
      words.push_back(word);
    }
    if (text == "SIGKILL") {
      return mistake(node.source(),
                     "`stop.steps.action`: SIGKILL ends every stop by itself; leave this step out");
    }
    std::string what = "`stop.steps.action` is one of ";
    for (const std::string_view word : words) {
      what += (word == kAsk ? "\"" : ", \"") + std::string(word) + "\"";
    }
    what += ", not \"" + printable(text, 80) + "\"";
    const std::string_view near = nearest(text, words);
    if (!near.empty()) what += "; did you mean \"" + std::string(near) + "\"?";
    mistake(node.source(), std::move(what));
  }

  void read_timeout(const toml::node& node, const std::string& text) {
    const auto value = parse_duration(printable(text, 80));
    if (!value) {
      mistake(node.source(), "`stop.steps.timeout`: " + value.error().message);
    } else if (*value < kShortest || *value > kLongest) {
      mistake(node.source(), "`stop.steps.timeout` must be from 1ms to 1h, not " + text);
    } else {
      result_.timeout = *value;
    }
  }

  std::optional<std::string> text_of(std::string_view name, const toml::node& node) {
    if (const auto* text = node.as_string()) return text->get();
    mistake(node.source(), "`stop.steps." + std::string(name) + "` must be text, for example " +
                               (name == "action" ? "\"SIGTERM\"" : "\"5s\""));
    return std::nullopt;
  }

  void mistake(const toml::source_region& where, std::string what) {
    mistakes_.push_back({where.begin.line, where.begin.column, std::move(what)});
  }

  std::vector<Mistake>& mistakes_;
  StopStep result_;
};

}  // namespace

std::string_view to_string(StopSignal signal) {
  for (const auto& [word, meaning] : kSignals) {
    if (meaning == signal) return word;
  }
  return "unknown";
}

std::optional<StopStep> read_stop_step(const toml::table& table, std::vector<Mistake>& mistakes) {
  return StepReader(mistakes).read(table);
}

}  // namespace plugind::plugin
