#include "daemon/forward/remote_plugin.h"

#include <atomic>
#include <utility>

namespace plugind::forward {

namespace {

// An instance may end while this loop connects to it; then the next one is asked for.
constexpr int kMaxAttempts = 3;
// Lines that wait for this loop.  A host that does not keep up loses lines.
constexpr int kMaxLines = 1024;

/// Does something on another loop when it is destroyed.
template <class Work>
class AtEnd {
 public:
  AtEnd(std::shared_ptr<plugin::LoopPort> port, Work work)
      : port_(std::move(port)), work_(std::move(work)) {}
  ~AtEnd() { port_->post(std::move(work_)); }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  std::shared_ptr<plugin::LoopPort> port_;
  Work work_;
};

template <class Work>
std::shared_ptr<void> at_end(std::shared_ptr<plugin::LoopPort> port, Work work) {
  return std::make_shared<AtEnd<Work>>(std::move(port), std::move(work));
}

}  // namespace

/// A call's wait for an instance.
struct RemotePlugin::Wait {
  plugin::HostId host = 0;
  std::int64_t host_pid = 0;
  // Of this loop:
  std::weak_ptr<void> ticket;
  InstanceCallback callback;
  int attempts = 0;
  // Of the home loop:
  Ticket home_ticket;
};

struct RemotePlugin::Following {
  // Of this loop:
  std::weak_ptr<void> ticket;
  plugin::OutputLog::Follower follower;
  // Of the home loop:
  Ticket subscription;

  std::atomic<int> lines = 0;  // On their way.
};

RemotePlugin::RemotePlugin(PluginFacts facts, std::shared_ptr<const RemoteLoop> loop)
    : facts_(std::move(facts)), loop_(std::move(loop)), places_(facts_.places) {}

std::expected<void, Error> RemotePlugin::begin_call() {
  if (places_.take()) return {};
  return std::unexpected(plugin::too_many_calls(*facts_.manifest));
}

plugin::CallInstance* RemotePlugin::ready_instance(plugin::HostId host) {
  if (plugin::spreads_calls(*facts_.manifest)) return nullptr;
  const auto it = instances_.find(key_of(host));
  return it != instances_.end() && it->second->ready() ? it->second.get() : nullptr;
}

plugin::CallTarget::Ticket RemotePlugin::wait_instance(plugin::HostId host, std::int64_t host_pid,
                                                       InstanceCallback callback) {
  const auto wait = std::make_shared<Wait>();
  wait->host = host;
  wait->host_pid = host_pid;
  wait->callback = std::move(callback);
  Ticket ticket = at_end(loop_->home, [wait] { wait->home_ticket.reset(); });
  wait->ticket = ticket;
  ask(wait);
  return ticket;
}

void RemotePlugin::ask(const std::shared_ptr<Wait>& wait) {
  loop_->home->post([wait, weak = std::weak_ptr(self()), plugin = facts_.plugin, here = loop_->here,
                     gone = gone_error()] {
    const auto answer = [wait, weak, here](std::expected<InstanceFacts, Error> facts) {
      here->post([wait, weak, facts = std::move(facts)]() mutable {
        if (const auto self = weak.lock()) self->on_answer(wait, std::move(facts));
      });
    };
    const auto target = plugin.lock();
    if (!target) return answer(std::unexpected(gone));
    wait->home_ticket = target->wait_instance(
        wait->host, wait->host_pid,
        [answer](const std::expected<std::shared_ptr<plugin::CallInstance>, Error>& found) {
          if (!found) return answer(std::unexpected(found.error()));
          const auto instance = std::static_pointer_cast<plugin::Instance>(*found);
          answer(InstanceFacts{instance->id(), instance->endpoint(), instance->calls(), instance,
                               instance->end()});
        });
  });
}

void RemotePlugin::on_answer(const std::shared_ptr<Wait>& wait,
                             std::expected<InstanceFacts, Error> answer) {
  if (wait->ticket.expired()) return;
  if (!answer) return wait->callback(std::unexpected(std::move(answer.error())));
  auto& current = instances_[key_of(wait->host, answer->id)];
  if (!current || current->retired() || current->id() != answer->id) {
    current = std::make_shared<RemoteInstance>(std::move(*answer), name(), loop_->loop, loop_->lane,
                                               loop_->here, loop_->home, loop_->connector);
  }
  // What waits for a connection must not keep what makes it.  While the call waits it has both.
  current->connect([plugin = std::weak_ptr(self()), wait,
                    made = std::weak_ptr(current)](std::expected<void, Error> outcome) {
    const auto self = plugin.lock();
    const auto instance = made.lock();
    if (!self || !instance || wait->ticket.expired()) return;
    if (outcome && instance->ready()) return wait->callback(instance);
    if (++wait->attempts < kMaxAttempts) return self->ask(wait);
    wait->callback(std::unexpected(outcome ? self->gone_error() : std::move(outcome.error())));
  });
}

void RemotePlugin::retire_instance(const std::string& id) {
  std::erase_if(instances_, [&](const auto& entry) {
    if (entry.second->id() != id) return false;
    entry.second->retire();
    return true;
  });
}

void RemotePlugin::host_gone(plugin::HostId host) {
  loop_->home->post([plugin = facts_.plugin, host] {
    if (const auto target = plugin.lock()) target->host_gone(host);
  });
}

plugin::CallTarget::Ticket RemotePlugin::follow_output(plugin::HostId host,
                                                       plugin::OutputLog::Follower follower) {
  const auto following = std::make_shared<Following>();
  following->follower = std::move(follower);
  Ticket ticket = at_end(loop_->home, [following] { following->subscription.reset(); });
  following->ticket = ticket;
  loop_->home->post([following, plugin = facts_.plugin, here = loop_->here, host] {
    const auto target = plugin.lock();
    if (!target) return;
    // The subscription is part of `following`, which it must not keep.
    following->subscription = target->follow_output(
        host, [weak = std::weak_ptr(following), here](const plugin::LogLine& line) {
          const auto open = weak.lock();
          if (!open || open->lines.load() >= kMaxLines) return;
          ++open->lines;
          here->post([open, line] {
            --open->lines;
            if (!open->ticket.expired()) open->follower(line);
          });
        });
  });
  return ticket;
}

Error RemotePlugin::gone_error() const {
  return {Reason::kPluginStopped,
          "plugin '" + name() + "' has just been changed, removed or stopped. Call again.",
          {{"plugin", name()}}};
}

}  // namespace plugind::forward
