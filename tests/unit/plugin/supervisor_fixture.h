// A supervisor with processes, connections and a clock that the test plays.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daemon/plugin/instance_states.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/supervisor.h"
#include "tests/support/fake_connection.h"
#include "tests/support/fake_dialect.h"
#include "tests/support/fake_process.h"
#include "tests/support/manual_clock.h"

namespace plugind::plugin {

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() {
    char pattern[] = "/tmp/plugind-supervisor-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    with_lanes(1);
  }
  /// Not in the destructor: what is told then may be told to a derived fixture.
  void TearDown() override {
    supervisor_->shutdown([] {});
    settle();
    supervisor_.reset();
    std::filesystem::remove_all(directory_);
  }

  /// Makes the supervisor anew, for so many loops.
  void with_lanes(std::size_t lanes) {
    supervisor_ = std::make_unique<Supervisor>(Environment{
        .loop = loop_.get_executor(),
        .clock = clock_,
        .processes = processes_,
        .connector = connector_,
        .dialects = {{DialectKind::kNative, &dialect_}, {DialectKind::kGoPlugin, &dialect_}},
        .runtime_dir = directory_,
        .lanes = lanes,
        .random = [this] { return random_; },
        .output_files = output_files_});
    watch_ = supervisor_->events().watch([this](const Event& event) {
      events_.push_back(event);
      check(event);
    });
  }
  /// Every test checks the tables of docs/lifecycle.md.
  void check(const Event& event) {
    Life& life = lives_[event.plugin];
    if (event.kind != Event::Kind::kState) {
      life.state = InstanceState::kStopped;  // A plugin begins so.
    } else if (event.instance.empty()) {
      check_step(event, plugin_transitions(), life.state);
    } else if (const auto [it, first] = states_.try_emplace(event.instance, event.state); first) {
      EXPECT_EQ(event.state, InstanceState::kStarting);
      if (life.living++ == 0) check_step(event, plugin_transitions(), life.state);
    } else {
      check_step(event, instance_transitions(), it->second);
      if (event.state == InstanceState::kStopped || event.state == InstanceState::kFailed) {
        --life.living;
        life.state = event.state;
      }
    }
  }
  static void check_step(const Event& event, std::span<const Transition> allowed,
                         InstanceState& state) {
    EXPECT_TRUE(may_follow(allowed, state, event.state))
        << event.plugin << " " << event.instance << " went from " << to_string(state) << " to "
        << to_string(event.state) << ": " << event.cause;
    state = event.state;
  }
  static Manifest manifest(const std::string& name) {
    Manifest m;
    m.name = name;
    m.version = "1.0.0";
    m.command = {"/bin/true"};
    m.restart_backoff = std::chrono::milliseconds(100);
    m.restart_limit = 3;
    m.stop_grace = std::chrono::milliseconds(1000);
    return m;
  }
  void apply(Manifest m) {
    std::vector<Manifest> all;
    all.push_back(std::move(m));
    supervisor_->apply(std::move(all));
    testing::run_ready(loop_);
  }
  void settle() {
    for (int i = 0; i < 5; ++i) clock_.advance(std::chrono::milliseconds(2'000));
  }

  struct Outcome {
    std::optional<std::expected<std::shared_ptr<CallInstance>, Error>> value;
    Plugin::Ticket ticket;
    bool ok() const { return value && value->has_value(); }
    Reason reason() const { return value->error().reason; }
    Instance& instance() const { return static_cast<Instance&>(***value); }
  };
  std::shared_ptr<Outcome> call(const std::string& name, HostId host = 0) {
    auto outcome = std::make_shared<Outcome>();
    outcome->ticket = supervisor_->find(name)->wait_instance(
        host, 1000 + static_cast<std::int64_t>(host),
        [raw = outcome.get()](std::expected<std::shared_ptr<CallInstance>, Error> result) {
          raw->value = std::move(result);
        });
    testing::run_ready(loop_);
    return outcome;
  }

  boost::asio::io_context loop_;
  testing::ManualClock clock_{loop_};
  testing::FakeProcessFactory processes_;
  testing::FakeConnector connector_{clock_};
  testing::FakeDialect dialect_;
  double random_ = 0;
  std::filesystem::path directory_;
  OutputFiles* output_files_ = nullptr;  // Of supervisors that with_lanes() makes.
  std::unique_ptr<Supervisor> supervisor_;
  EventBus::Subscription watch_;
  std::vector<Event> events_;
  std::map<std::string, InstanceState> states_;  // Of instances.
  struct Life {
    int living = 0;  // So many instances.
    InstanceState state = InstanceState::kStopped;
  };
  std::map<std::string, Life> lives_;  // Of plugins.
};

}  // namespace plugind::plugin
