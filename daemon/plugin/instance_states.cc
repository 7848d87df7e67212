#include "daemon/plugin/instance_states.h"

#include <algorithm>
#include <array>

namespace plugind::plugin {

namespace {
using enum InstanceState;

constexpr std::array kInstanceTransitions = std::to_array<Transition>({
    {kStarting, kReady, "it has been greeted and says that it serves"},
    {kStarting, kFailed,
     "it did not start, or while its connection was made again it took none or crashed"},
    {kStarting, kStopped,
     "a stop was asked for before it was ready, or it ended with exit code 0 while its connection "
     "was made again"},
    {kStarting, kStopping, "a stop was asked for while its connection was made again"},
    {kReady, kStarting,
     "its connection was lost, or it said goodbye on it (GOAWAY), and is made again"},
    {kReady, kDraining,
     "a stop was asked for and there are calls in flight, or an upgrade keeps it "
     "in reserve"},
    {kReady, kStopping, "a stop was asked for and no call is in flight"},
    {kReady, kStopped, "it ended by itself with exit code 0"},
    {kReady, kFailed,
     "it ended with another exit code or by a signal, failed its health checks, or kept no "
     "connection"},
    {kDraining, kStopping,
     "the last call ended, `stop.drain` passed, or its reserve is not needed"},
    {kDraining, kReady, "an upgrade was rolled back"},
    {kDraining, kStarting, "the same while it was in reserve"},
    {kStarting, kDraining,
     "that connection was made again, or a stop was asked for meanwhile and there are calls in "
     "flight"},
    {kDraining, kStopped, "it ended in reserve with exit code 0"},
    {kDraining, kFailed,
     "it ended in reserve with another exit code or by a signal, failed its health checks, or kept "
     "no connection"},
    {kStopping, kStopped, "nothing of its process tree is left"},
});

constexpr std::array kPluginTransitions = std::to_array<Transition>({
    {kStopped, kStarting, "a call, an operator or the daemon's start wants it"},
    {kStopped, kBackoff, "it is wanted again before the pause since the last end is over"},
    {kFailed, kBackoff, "it is wanted, and not for the first time since its last stable time"},
    {kFailed, kStarting,
     "it is wanted, for the first time since then, or after the pause has passed"},
    {kFailed, kFailed,
     "`restart.limit` was reached: nothing but an operator or a changed manifest starts it"},
    {kFailed, kStopped, "an operator or the daemon's end stopped it"},
    {kBackoff, kStarting, "the pause is over"},
    {kBackoff, kStopped, "an operator or the daemon's end stopped it, or nobody wants it any more"},
});

/// As a diagram of Mermaid, which the places that show Markdown draw.
std::string diagram(std::span<const Transition> transitions, InstanceState first) {
  std::string text =
      "<!-- tested by tests/unit/plugin/docs_test.cc -->\n```mermaid\nstateDiagram-v2\n  [*] --> " +
      std::string(to_string(first)) + "\n";
  for (const Transition& transition : transitions) {
    text += "  " + std::string(to_string(transition.from)) + " --> " +
            std::string(to_string(transition.to)) + "\n";
  }
  return text + "```\n";
}

std::string table(std::span<const Transition> transitions) {
  std::string text = "| from | to | when |\n| --- | --- | --- |\n";
  for (const Transition& transition : transitions) {
    text += "| " + std::string(to_string(transition.from)) + " | " +
            std::string(to_string(transition.to)) + " | " + std::string(transition.when) + " |\n";
  }
  return text;
}

}  // namespace

std::span<const Transition> instance_transitions() { return kInstanceTransitions; }

std::span<const Transition> plugin_transitions() { return kPluginTransitions; }

bool may_follow(std::span<const Transition> all, InstanceState from, InstanceState to) {
  return std::ranges::any_of(all, [&](const Transition& transition) {
    return transition.from == from && transition.to == to;
  });
}

std::string instance_states_text() {
  return diagram(kInstanceTransitions, kStarting) + "\n" + table(kInstanceTransitions);
}

std::string plugin_states_text() {
  return diagram(kPluginTransitions, kStopped) + "\n" + table(kPluginTransitions);
}

}  // namespace plugind::plugin
