#include "daemon/plugin/instance_states.h"

#include <algorithm>
#include <array>

namespace plugind::plugin {

namespace {
using enum InstanceState;

constexpr std::array kTransitions = std::to_array<Transition>({
    {kStarting, kReady, "it has been greeted and says that it serves"},
    {kStarting, kFailed, "it did not start, or takes no new connection"},
    {kStarting, kStopped, "a stop was asked for before it was ready"},
    {kReady, kStarting, "its connection was lost and is made again"},
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
    {kDraining, kStarting, "its connection was lost while it was in reserve"},
    {kStarting, kDraining, "that connection was made again"},
    {kDraining, kStopped, "it ended in reserve with exit code 0"},
    {kDraining, kFailed,
     "it ended in reserve with another exit code or by a signal, failed its health checks, or kept "
     "no connection"},
    {kStopping, kStopped, "nothing of its process tree is left"},
});

}  // namespace

std::span<const Transition> transitions() { return kTransitions; }

bool may_follow(InstanceState from, InstanceState to) {
  return std::ranges::any_of(kTransitions, [&](const Transition& transition) {
    return transition.from == from && transition.to == to;
  });
}

std::string transition_table() {
  std::string text = "| from | to | when |\n| --- | --- | --- |\n";
  for (const Transition& transition : kTransitions) {
    text += "| " + std::string(to_string(transition.from)) + " | " +
            std::string(to_string(transition.to)) + " | " + std::string(transition.when) + " |\n";
  }
  return text;
}

}  // namespace plugind::plugin
