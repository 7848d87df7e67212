#include "daemon/plugin/plugin.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdio>
#include <utility>

namespace plugind::plugin {

namespace asio = boost::asio;

namespace {
// By so much of itself a pause before a restart is shortened at most.
constexpr double kJitter = 0.25;

bool contains(const std::vector<std::shared_ptr<Instance>>& all,
              const std::shared_ptr<Instance>& one) {
  return std::ranges::find(all, one) != all.end();
}

/// "2026-11-22 14:03:11 UTC".
std::string utc(std::chrono::system_clock::time_point time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d UTC",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}
}  // namespace

Plugin::Plugin(const Environment& environment, EventBus& events, InstanceNumbers& numbers,
               std::shared_ptr<PluginRecord> record, Manifest manifest)
    : environment_(environment),
      events_(events),
      numbers_(numbers),
      manifest_(std::make_shared<const Manifest>(std::move(manifest))),
      record_(std::move(record)),
      all_places_(std::make_shared<CallPlaces>(manifest_->calls_max_concurrent, environment.lanes)),
      places_(all_places_),
      rest_since_(environment.clock.wall_now()) {}

Plugin::~Plugin() = default;

Instance* Plugin::ready_instance(HostId host) {
  if (spreads_calls(*manifest_)) return nullptr;
  const auto it = slots_.find(slot_key(host));
  if (it == slots_.end() || it->second.instances.empty()) return nullptr;
  Instance& only = *it->second.instances.front();
  return only.ready() ? &only : nullptr;
}

std::optional<Error> Plugin::refusal(const Slot& slot) const {
  const auto with_plugin = [&](Reason reason, std::string message) {
    return Error{reason, std::move(message), {{"plugin", name()}}};
  };
  if (held_) return with_plugin(Reason::kPluginStopped, held_cause_);
  const bool none = slot.instances.empty();
  if (slot.failures.crash_loop && none) return slot.failures.crash_loop;
  if (none && spares_.waiting.empty() && full()) return full_error();
  if (manifest_->start_mode == StartMode::kManual && none && spares_.waiting.empty()) {
    return with_plugin(Reason::kStartModeManual, "plugin '" + name() +
                                                     "' has start.mode = \"manual\" and is not "
                                                     "running. Start it with `pluginctl start " +
                                                     name() + "`.");
  }
  if (slot.waiters.size() >= manifest_->calls_queue) {
    return with_plugin(Reason::kQueueFull,
                       std::to_string(slot.waiters.size()) + " calls wait for plugin '" + name() +
                           "' already (calls.queue). Call less at once, or raise the bound.");
  }
  return std::nullopt;
}

Plugin::Ticket Plugin::wait_instance(HostId host, std::int64_t host_pid,
                                     InstanceCallback callback) {
  if (const auto successor = successor_.lock()) {
    return successor->wait_instance(host, host_pid, std::move(callback));
  }
  const HostId key = slot_key(host);
  Slot& slot = slots_[key];
  if (key != 0) slot.host_pid = host_pid;
  auto place = std::make_shared<CallPlace>();
  // A wait that was given up no longer counts towards the bound.
  if (slot.waiters.size() >= manifest_->calls_queue) {
    std::erase_if(slot.waiters, [](const Waiter& w) { return w.place.expired(); });
  }
  if (auto error = refusal(slot)) {
    asio::post(environment_.loop, [weak = std::weak_ptr<void>(place), error = std::move(*error),
                                   callback = std::move(callback)]() mutable {
      if (!weak.expired()) callback(std::unexpected(std::move(error)));
    });
    return place;
  }
  in_use_ = true;
  if (const auto chosen = choose_at_once(key, slot)) {
    place->take(chosen);
    asio::post(environment_.loop,
               [weak = std::weak_ptr<void>(place), chosen, callback = std::move(callback)] {
                 if (!weak.expired()) callback(chosen);
               });
    return place;
  }
  slot.waiters.push_back({place, std::move(callback), environment_.clock.now()});
  watch_queue();
  ensure_instance(key, slot);
  keep_spares();
  return place;
}

void Plugin::ensure_instance(HostId key, Slot& slot) {
  if (slot.instances.empty() && key != 0 && !spares_.waiting.empty()) {
    slot.instances.push_back(take_spare());
    slot.instances.back()->assign_host(key, slot.host_pid);
  }
  if (!slot.waiters.empty() && std::ranges::any_of(slot.instances, &Instance::ready)) {
    serve_soon(key);
  }
  if (slot.start_scheduled) return;
  if (!slot.instances.empty()) return grow(key, slot, slot.waiters.size());
  const Clock::Duration delay = backoff(slot.failures);
  if (delay <= Clock::Duration::zero()) return start_instance(key, slot);
  rest_in_backoff(delay);
  schedule_start(key, slot, delay);
}

void Plugin::schedule_start(HostId key, Slot& slot, Clock::Duration delay) {
  slot.start_scheduled = true;
  asio::co_spawn(environment_.loop, start_after_backoff(key, ++slot.generation, delay),
                 asio::detached);
}

void Plugin::rest_in_backoff(Clock::Duration delay) {
  rest(InstanceState::kBackoff,
       "starts again in " +
           std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(delay).count()) +
           " ms; " + record_->last_failure);
  publish_rest();
}

/// How long the next start has to wait.
Clock::Duration Plugin::backoff(Failures& failures) const {
  const Clock::Duration delay = failures.history.delay(environment_.clock.now(), *manifest_);
  // What failed together does not start again together.
  const double share = environment_.random ? environment_.random() : 0;
  return delay - Clock::Duration(static_cast<Clock::Duration::rep>(
                     static_cast<double>(delay.count()) * kJitter * share));
}

asio::awaitable<void> Plugin::start_after_backoff(HostId key, std::uint64_t generation,
                                                  Clock::Duration delay) {
  const auto self = this->self();
  co_await environment_.clock.sleep(delay);
  const auto it = slots_.find(key);
  if (it == slots_.end() || it->second.generation != generation) co_return;
  it->second.start_scheduled = false;
  Slot& slot = it->second;
  if (!held_ && (slot.instances.empty() || may_grow(slot))) start_instance(key, slot);
}

std::shared_ptr<Instance> Plugin::make_instance() {
  ++record_->starts;
  const std::string id = name() + "#" + std::to_string(numbers_.next_of(name()));
  // Socket paths are short of room, so the directory's name is a number.  Nobody but the daemon's
  // user gets through instances/.
  auto instance = std::make_shared<Instance>(
      environment_, static_cast<Instance::Owner&>(*this), manifest_, record_->log, record_->crashes,
      requirements_met_, id,
      environment_.runtime_dir / (manifest_->run_as ? "users" : "instances") /
          std::to_string(numbers_.next()));
  instances_.push_back(instance);
  return instance;
}

void Plugin::start_instance(HostId key, Slot& slot) {
  if (full()) return answer_waiters(slot, std::unexpected(full_error()));
  const auto instance = make_instance();
  slot.instances.push_back(instance);
  instance->assign_host(key, slot.host_pid);
  instance->launch();
}

void Plugin::answer_waiters(Slot& slot,
                            const std::expected<std::shared_ptr<Instance>, Error>& outcome) {
  for (Waiter& waiter : std::exchange(slot.waiters, {})) {
    if (waiter.place.expired()) continue;
    if (outcome) (*outcome)->was_awaited();
    waiter.callback(outcome);
  }
}

void Plugin::on_state(Instance& instance) {
  Event event;
  event.time = environment_.clock.wall_now();
  event.plugin = name();
  event.instance = instance.id();
  event.state = instance.state();
  event.cause = instance.cause();
  events_.publish(event);

  const auto shared = std::static_pointer_cast<Instance>(instance.shared_from_this());
  if (event.state == InstanceState::kDraining || event.state == InstanceState::kStopping) {
    return let_go(shared);
  }
  if (!instance.ready()) return;
  // A host may have taken it meanwhile, but it was started.
  if (started_spare_.lock() == shared) answer_start({});
  if (is_spare(shared)) keep_spares();
  const auto it = slots_.find(instance.host());
  if (it == slots_.end() || !contains(it->second.instances, shared)) return;
  serve_waiters(it->second);
  if (it->first != 0) return;
  if (wants_instance(it->second, it->second.waiters.size())) {
    ensure_instance(0, it->second);
  } else if (!starting(it->second)) {
    answer_start({});
  }
}

void Plugin::rest(InstanceState state, std::string cause) {
  rest_state_ = state;
  rest_cause_ = std::move(cause);
  rest_since_ = environment_.clock.wall_now();
}

/// A stop was asked for.  Where there are instances, each of them tells of its own.
void Plugin::rest_stopped(const std::string& cause) {
  const bool told = !instances_.empty() || rest_state_ == InstanceState::kStopped;
  rest(InstanceState::kStopped, cause);
  if (!told) publish_rest();
}

/// What was to start after a pause is not wanted any more.
void Plugin::leave_backoff(const std::string& cause) {
  const bool waits = spares_.start_scheduled || std::ranges::any_of(slots_, [](const auto& entry) {
                       return entry.second.start_scheduled;
                     });
  if (waits || rest_state_ != InstanceState::kBackoff) return;
  rest(InstanceState::kStopped, cause);
  if (instances_.empty()) publish_rest();
}

/// Tells what is not about one instance.
void Plugin::publish_rest() {
  if (retired_) return;
  Event event;
  event.time = rest_since_;
  event.plugin = name();
  event.state = rest_state_;
  event.cause = rest_cause_;
  events_.publish(std::move(event));
}

/// It was asked to stop: whoever calls from now on gets another one.
void Plugin::let_go(const std::shared_ptr<Instance>& instance) {
  std::erase(spares_.waiting, instance);
  const HostId key = instance->host();
  const auto it = slots_.find(key);
  if (it == slots_.end() || std::erase(it->second.instances, instance) == 0) return;
  Slot& slot = it->second;
  if (held_) {
    answer_waiters(
        slot, std::unexpected(Error{Reason::kPluginStopped, held_cause_, {{"plugin", name()}}}));
  } else if (slot.instances.empty() && slot.failures.crash_loop) {
    answer_waiters(slot, std::unexpected(*slot.failures.crash_loop));
  } else if (!slot.waiters.empty()) {
    ensure_instance(key, slot);
  }
}

void Plugin::lane_let_go(const std::string& instance) {
  for (const auto& one : instances_) {
    if (one->id() == instance) return one->lane_let_go();
  }
}

void Plugin::record_failure(Failures& failures, const Instance& instance, const Error& failure) {
  const Clock::TimePoint now = environment_.clock.now();
  failures.history.record(now, instance.ready_for(), *manifest_);
  if (!failures.history.limit_reached(now, *manifest_)) return;
  failures.crash_loop = Error{
      Reason::kCrashLoop,
      "plugin '" + name() + "' failed " + std::to_string(failures.history.count()) +
          " times within " + std::to_string(manifest_->restart_window.count()) +
          " ms and is not started again by itself. Mend it, then `pluginctl restart " + name() +
          "`. Last failure, at " + utc(environment_.clock.wall_now()) + ": " + failure.message,
      {{"plugin", name()}}};
  rest(InstanceState::kFailed, failures.crash_loop->message);
  publish_rest();
}

void Plugin::on_ended(Instance& instance, const std::optional<Error>& failure) {
  const auto self = this->self();  // A callback below may remove this plugin.
  const auto shared = std::static_pointer_cast<Instance>(instance.shared_from_this());
  std::erase(instances_, shared);
  if (failure) {
    ++record_->failures;
    record_->last_failure = failure->message;
    *requirements_met_ = false;  // Perhaps one of them has gone since.
  }
  // One that was failing when an operator's stop came has been stopped all the same.
  const bool counts = failure && !held_;
  rest(counts ? InstanceState::kFailed : InstanceState::kStopped, instance.status().cause);

  std::erase(reserve_, shared);
  if (std::erase(spares_.waiting, shared) > 0 && counts) {
    record_failure(spares_.failures, instance, *failure);
  }
  if (started_spare_.lock() == shared) {
    // Without a failure: a host took it and has gone before it was ready.
    const Error stopped{Reason::kPluginStopped, instance.status().cause, {{"plugin", name()}}};
    answer_start(std::unexpected(failure ? *failure : stopped));
  }
  const HostId key = instance.host();
  const auto it = slots_.find(key);
  if (it != slots_.end() && std::erase(it->second.instances, shared) > 0) {
    Slot& slot = it->second;
    const bool last = slot.instances.empty();
    const bool was_ready = !failure || instance.was_ready();
    if (counts) {
      record_failure(slot.failures, instance, *failure);
    } else if (restarts_by_itself(*manifest_, false)) {
      slot.failures.history.record_end(environment_.clock.now(), instance.ready_for(), *manifest_);
    }
    if (held_) {
      answer_waiters(
          slot, std::unexpected(Error{Reason::kPluginStopped, held_cause_, {{"plugin", name()}}}));
    } else if (last && slot.failures.crash_loop) {
      answer_waiters(slot, std::unexpected(*slot.failures.crash_loop));
    } else if (last && !was_ready) {
      answer_waiters(slot, std::unexpected(*failure));
    }
    if (failure && key == 0) answer_start(std::unexpected(*failure));
    // A call that came while the old instance was ending never reached it and gets the next one; a
    // start that failed is not repeated before somebody asks, unless the plugin is to run from
    // boot, or others of it run.
    const bool wanted = !slot.waiters.empty() ||
                        (restarts_by_itself(*manifest_, failure.has_value()) &&
                         (was_ready || !last || manifest_->start_mode == StartMode::kBoot));
    if (wanted && !held_ && !slot.failures.crash_loop) {
      if (last) {
        // What was scheduled was for a pool that had others.
        ++slot.generation;
        slot.start_scheduled = false;
      }
      ensure_instance(key, slot);
    }
  }
  keep_spares();
  check_stopped();
}

void Plugin::host_gone(HostId host) {
  const HostId key = slot_key(host);
  if (key == 0) return;
  const auto it = slots_.find(key);
  if (it == slots_.end()) return;
  it->second.host_absent = true;
  asio::co_spawn(environment_.loop, stop_after_linger(key, ++it->second.absence), asio::detached);
}

void Plugin::host_back(HostId host) {
  const auto it = slots_.find(slot_key(host));
  if (it == slots_.end()) return;
  ++it->second.absence;
  it->second.host_absent = false;
}

asio::awaitable<void> Plugin::stop_after_linger(HostId key, std::uint64_t absence) {
  const auto self = this->self();
  if (manifest_->scope == Scope::kHost) {
    co_await environment_.clock.sleep(manifest_->host_linger);
  } else {
    // A connection that has closed does not come back.  It may have closed inside a callback of one
    // of its calls, where the slot is still in use.
    co_await asio::post(environment_.loop, asio::use_awaitable);
  }
  const auto it = slots_.find(key);
  if (it == slots_.end() || it->second.absence != absence) co_return;
  Slot gone = std::move(it->second);
  slots_.erase(it);
  for (const auto& instance : gone.instances) instance->stop("its host has gone");
  leave_backoff("its host has gone");
  // Of a host that has said that it is done, and calls all the same.
  answer_waiters(gone, std::unexpected(Error{
                           Reason::kPluginStopped,
                           "plugin '" + name() + "' is not needed any more, as its host has said.",
                           {{"plugin", name()}}}));
}

void Plugin::start(std::function<void(std::expected<void, Error>)> done) {
  held_ = false;
  clear_failures();
  start_waiters_.push_back(std::move(done));
  in_use_ = true;
  if (manifest_->scope != Scope::kShared) return start_spare();
  Slot& slot = slots_[0];
  const bool ready = std::ranges::any_of(slot.instances, &Instance::ready);
  if (ready && !starting(slot) && !wants_instance(slot, slot.waiters.size())) {
    return answer_start({});
  }
  ensure_instance(0, slot);
}

void Plugin::answer_start(const std::expected<void, Error>& outcome) {
  for (auto& done : std::exchange(start_waiters_, {})) done(outcome);
}

void Plugin::stop(std::string cause, bool hold, std::function<void()> done) {
  if (hold) {
    held_ = true;
    held_cause_ = "plugin '" + name() + "' is stopped: " + cause +
                  ". Start it with `pluginctl start " + name() + "`.";
  }
  in_use_ = false;
  ++spares_.generation;
  spares_.start_scheduled = false;
  for (auto& [key, slot] : slots_) {
    ++slot.generation;
    slot.start_scheduled = false;
    if (hold && slot.instances.empty()) {
      answer_waiters(
          slot, std::unexpected(Error{Reason::kPluginStopped, held_cause_, {{"plugin", name()}}}));
    }
  }
  answer_start(std::unexpected(Error{Reason::kPluginStopped, cause, {{"plugin", name()}}}));
  if (hold) clear_failures();  // It starts when it is told to, and not before.
  rest_stopped(cause);
  stop_waiters_.push_back(std::move(done));
  // stop() on an instance never calls back at once, so the list holds still.
  for (const auto& instance : instances_) instance->stop(cause);
  check_stopped();
}

void Plugin::retire(std::string cause, std::function<void()> done) {
  retired_ = true;
  stop(std::move(cause), true, std::move(done));
}

void Plugin::hurry() {
  for (const auto& instance : instances_) instance->hurry();
}

void Plugin::check_stopped() {
  if (!instances_.empty()) return;
  for (auto& done : std::exchange(stop_waiters_, {})) done();
}

void Plugin::clear_failures() {
  spares_.failures.clear();
  for (auto& [key, slot] : slots_) slot.failures.clear();
}

bool Plugin::has_instances() const { return !instances_.empty(); }

bool Plugin::serves(HostId host) const {
  if (manifest_->scope == Scope::kShared) return false;
  const auto it = slots_.find(host);
  return it != slots_.end() && !it->second.instances.empty();
}

std::expected<void, Error> Plugin::begin_call() {
  if (places_.take()) return {};
  return std::unexpected(too_many_calls(*manifest_));
}

Plugin::Ticket Plugin::follow_output(HostId host, OutputLog::Follower follower) {
  // The log is of all versions, and outlives this one.
  return record_->log->follow(
      [weak = std::weak_ptr(self()), host, follower = std::move(follower)](const LogLine& line) {
        for (auto plugin = weak.lock(); plugin; plugin = plugin->successor_.lock()) {
          if (plugin->prints_for(host, line)) return follower(line);
        }
      });
}

/// Not for another host.
bool Plugin::prints_for(HostId host, const LogLine& line) const {
  const auto it = slots_.find(slot_key(host));
  return it != slots_.end() && std::ranges::any_of(it->second.instances, [&](const auto& one) {
           return one->ready() && one->id() == line.instance;
         });
}

PluginStatus Plugin::status() const {
  PluginStatus status;
  status.manifest = *manifest_;
  status.socket = "unix:" + (environment_.runtime_dir / "plugins" / (name() + ".sock")).string();
  status.starts = record_->starts;
  status.failures = record_->failures;
  status.last_failure = record_->last_failure;
  status.calls = record_->calls->total();
  status.crashes = record_->crashes->size();
  if (const CrashReport* last = record_->crashes->last()) {
    status.last_crash = CrashSummary{last->ended, last->message};
  }
  if (record_->output_file) {
    status.output_file = record_->output_file->path();
    status.output_problem = record_->output_file->problem();
  }
  status.state = rest_state_;
  status.cause = rest_cause_;
  status.since = rest_since_;
  for (const auto& instance : instances_) {
    status.instances.push_back(instance->status());
    const InstanceStatus& one = status.instances.back();
    // Ready outranks everything; otherwise the newest instance speaks for the plugin.
    if (status.instances.size() == 1 || status.state != InstanceState::kReady) {
      status.state = one.state;
      status.cause = one.cause;
      status.since = one.since;
    }
  }
  const bool crash_loop =
      spares_.failures.crash_loop || std::ranges::any_of(slots_, [](const auto& entry) {
        return entry.second.failures.crash_loop.has_value();
      });
  if (crash_loop && instances_.empty()) status.state = InstanceState::kFailed;
  status.crash_loop = crash_loop;
  status.held = held_;
  return status;
}

}  // namespace plugind::plugin
