#include "daemon/plugin/instance.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <system_error>
#include <utility>

#include "daemon/plugin/printable.h"

namespace plugind::plugin {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::milliseconds;

namespace {

// A process that dies closes its connection first and is seen to be dead a moment later, which on a
// machine that is busy has been more than 50 ms.  So long a closed connection waits for that
// explanation before the plugin is said to have closed it alive.
constexpr milliseconds kDeathGrace{500};
// A machine that stood still for most of two seconds has been seen.
constexpr milliseconds kReconnectBound{5'000};
// A connection that is lost within this was not worth having.
constexpr milliseconds kShortLife{1'000};
// How much of the plugin's stderr goes into a caller's status.
constexpr std::size_t kStderrLines = 5;
constexpr std::size_t kStderrBytes = 1'024;

/// "; not enforced here: limits.cpu", with each limit that nothing holds; the status tells why.
std::string loose_limits(const std::vector<HeldLimit>& limits) {
  std::string text;
  for (const HeldLimit& limit : limits) {
    if (limit.holder != HeldLimit::Holder::kNothing) continue;
    text += (text.empty() ? "; not enforced here: limits." : ", limits.") + limit.name;
  }
  return text;
}

}  // namespace

Instance::Instance(const Environment& environment, Owner& owner,
                   std::shared_ptr<const Manifest> manifest, std::shared_ptr<OutputLog> log,
                   std::shared_ptr<CrashLog> crashes, std::shared_ptr<bool> requirements_met,
                   std::string id, std::filesystem::path directory)
    : environment_(environment),
      owner_(&owner),
      manifest_(std::move(manifest)),
      log_(std::move(log)),
      requirements_met_(std::move(requirements_met)),
      id_(std::move(id)),
      directory_(std::move(directory)),
      dialect_(*environment.dialects.at(manifest_->dialect)),
      since_(environment.clock.wall_now()),
      stop_event_(environment.loop, asio::steady_timer::time_point::max()),
      hurry_event_(environment.loop, asio::steady_timer::time_point::max()),
      idle_event_(environment.loop, asio::steady_timer::time_point::max()),
      end_(std::make_shared<InstanceEnd>(std::move(crashes))),
      launched_(since_),
      calls_(std::make_shared<CallCounts>(environment.lanes)) {}

void Instance::launch() {
  set_state(InstanceState::kStarting, "asked to start");
  asio::co_spawn(
      environment_.loop, [self = self()] { return self->run(); }, asio::detached);
}

void Instance::stop(std::string cause) {
  if (stop_requested_) return;
  stop_requested_ = true;
  stop_cause_ = std::move(cause);
  stop_event_.cancel();
}

void Instance::withdraw(std::string cause) {
  withdrawn_ = true;
  enter_draining(std::move(cause));
}

void Instance::restore(std::string cause) {
  withdrawn_ = false;
  // One that connects again just now is ready when it has.
  if (state_ == InstanceState::kDraining) set_state(InstanceState::kReady, std::move(cause));
}

void Instance::enter_draining(std::string cause) {
  late_lanes_ += lanes_left_;
  lanes_left_ = environment_.lanes - 1;
  idle_ = false;
  set_state(InstanceState::kDraining, std::move(cause));
}

void Instance::lane_let_go() {
  // The last answer of all is the one that counts, whichever each of them was for.
  if (late_lanes_ > 0) {
    --late_lanes_;
  } else if (lanes_left_ > 0) {
    --lanes_left_;
  }
  look_idle();
}

void Instance::look_idle() {
  if (state_ != InstanceState::kDraining) return;
  idle_ = lanes_left_ == 0 && calls_->in_flight() == 0;
  if (idle_) idle_event_.cancel();
}

void Instance::hurry() {
  hurried_ = true;
  hurry_event_.cancel();
}

void Instance::assign_host(HostId host, std::int64_t host_pid) {
  host_ = host;
  host_pid_ = host_pid;
}

void Instance::explain_loss(LostCall call, std::function<void(const Error&)> tell) {
  // It may be a call on a connection before this one, which went on after a GOAWAY; or that GOAWAY
  // was the last news that this one gives.
  const Connection* connection = started_.connection.get();
  if (reconnected_ || (connection != nullptr && connection->said_goodbye())) {
    return explain_other_loss(std::move(call), std::move(tell));
  }
  tell_when_known(std::move(call), std::move(tell));
}

void Instance::tell_when_known(LostCall call, std::function<void(const Error&)> tell) {
  if (const auto& error = end_->error()) {
    end_->lose(std::move(call));
    tell(*error);
  } else {
    losses_.emplace(next_loss_++, Loss{std::move(call), std::move(tell)});
  }
}

void Instance::explain_other_loss(LostCall call, std::function<void(const Error&)> tell) {
  const std::uint64_t number = next_loss_;
  tell_when_known(std::move(call), std::move(tell));
  if (next_loss_ == number) return;  // It was told.
  // Nobody else may ever ask why: connection() may be as good as before.
  asio::co_spawn(
      environment_.loop,
      [self = self(), number]() -> asio::awaitable<void> {
        co_await self->environment_.clock.sleep(kDeathGrace);
        // It was asked to end: that is why, and told when it has.
        if (self->state_ == InstanceState::kStopping) co_return;
        const auto loss = self->losses_.extract(number);
        if (loss) loss.mapped().tell(self->closed_error());
      },
      asio::detached);
}

void Instance::tell_losses(const Error& error) {
  for (auto& [number, loss] : std::exchange(losses_, {})) {
    end_->lose(std::move(loss.call));
    loss.tell(error);
  }
}

void Instance::set_state(InstanceState state, std::string cause) {
  state_ = state;
  cause_ = std::move(cause);
  since_ = environment_.clock.wall_now();
  owner_->on_state(*this);
}

namespace {

/// Until `flag` is set and `event` cancelled, or whoever awaits this gives up.
asio::awaitable<void> wait_flag(const bool& flag, asio::steady_timer& event) {
  while (!flag) {
    boost::system::error_code ignored;
    co_await event.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return;
  }
}

}  // namespace

asio::awaitable<void> Instance::wait_stop_requested() {
  return wait_flag(stop_requested_, stop_event_);
}

asio::awaitable<void> Instance::wait_hurried() { return wait_flag(hurried_, hurry_event_); }

asio::awaitable<void> Instance::wait_idle() { return wait_flag(idle_, idle_event_); }

asio::awaitable<void> Instance::run() {
  std::optional<Error> failure;
  if (auto started = co_await start(); started) {
    failure = co_await serve();
  } else if (!stop_requested_) {
    failure = std::move(started.error());
  }
  const bool stopped = !failure && !end_->error();
  if (!end_->error()) {
    end_->set_error(failure ? *failure
                            : Error{Reason::kPluginStopped,
                                    "plugin '" + manifest_->name + "' was stopped: " + stop_cause_ +
                                        ". Call again, or start it with `pluginctl start " +
                                        manifest_->name + "`.",
                                    {{"plugin", manifest_->name}}});
  }
  const Error& error = *end_->error();
  if (!stopped) end_->report(report(), failure.has_value());
  // The calls on the connection fail as it goes, and ask why: the answer is there by now.
  started_.connection.reset();
  started_.process.reset();
  tell_losses(error);
  log_->finish(id_, environment_.clock.wall_now());
  // Whoever waits for this need not wait for the disk.
  set_state(failure ? InstanceState::kFailed : InstanceState::kStopped,
            failure ? failure->message : stop_cause_);
  std::error_code ignored;
  // An empty one goes without a descriptor, of which there may be none left.
  if (!std::filesystem::remove(directory_, ignored)) {
    std::filesystem::remove_all(directory_, ignored);
  }
  owner_->on_ended(*this, failure);
}

asio::awaitable<std::expected<void, Error>> Instance::start() {
  std::error_code ec;
  std::filesystem::create_directories(directory_, ec);
  if (!ec) {
    std::filesystem::permissions(directory_, std::filesystem::perms::owner_all, ec);
  }
  if (ec) {
    co_return std::unexpected(
        make_error(Reason::kSystem, "cannot create the instance directory " + directory_.string() +
                                        ": " + ec.message() + ". Check the runtime directory."));
  }
  StartContext context{
      *manifest_,         id_,   directory_,        environment_.processes, environment_.connector,
      environment_.clock, *log_, requirements_met_, &failed_start_,         &greeted_};
  auto outcome = co_await (dialect_.start(context) || wait_stop_requested());
  if (outcome.index() == 1) {
    co_return std::unexpected(make_error(Reason::kPluginStopped, stop_cause_));
  }
  auto& started = std::get<0>(outcome);
  if (!started) {
    Error error = std::move(started.error());
    const std::string who = "plugin '" + manifest_->name + "' cannot start: ";
    if (!failed_start_.message.empty()) sentence_ = who + failed_start_.message;
    error.message = who + error.message;
    error.details.emplace_back("plugin", manifest_->name);
    co_return std::unexpected(std::move(error));
  }
  started_ = std::move(*started);
  ready_at_ = environment_.clock.now();
  connected_at_ = ready_at_;
  quiet_since_ = ready_at_;
  next_check_ = ready_at_ + manifest_->health_interval;
  set_state(InstanceState::kReady, "greeted" + loose_limits(started_.process->limits()));
  co_return std::expected<void, Error>{};
}

asio::awaitable<Instance::Wake> Instance::wait_for_news() {
  auto news = co_await (started_.process->wait() || started_.connection->wait_closed() ||
                        wait_stop_requested() || watch_idleness() || watch_health());
  switch (news.index()) {
    case 0:
      co_return Wake::kProcessEnded;
    case 1:
      co_return Wake::kConnectionClosed;
    case 4:
      co_return Wake::kUnhealthy;
    default:
      co_return Wake::kStopRequested;
  }
}

/// Until health.failures checks in a row have failed.  Goes on where it was on a new connection:
/// some plugins take one more often than they are to be asked.
asio::awaitable<void> Instance::watch_health() {
  if (manifest_->health_interval.count() == 0) co_return co_await wait_stop_requested();
  while (failed_checks_ < manifest_->health_failures) {
    const auto wait = next_check_ - environment_.clock.now();
    if (wait.count() > 0) co_await environment_.clock.sleep(wait);
    auto wrong = co_await dialect_.probe(started_, manifest_->health_timeout);
    if (!wrong) {  // The connection is gone, which others look after; a new one is asked at once.
      co_await environment_.clock.sleep(manifest_->health_interval);
      continue;
    }
    next_check_ = environment_.clock.now() + manifest_->health_interval;
    failed_checks_ = *wrong ? failed_checks_ + 1 : 0;
    if (*wrong) health_ = std::move(**wrong);
  }
}

/// Until nobody has called it for stop.idle, which asks for the stop.  Goes on where it was, as
/// health.
asio::awaitable<void> Instance::watch_idleness() {
  if (manifest_->stop_idle.count() == 0) co_return co_await wait_stop_requested();
  // Calls leave no times behind, so that they cost nothing here.
  const milliseconds step = std::max(manifest_->stop_idle / 4, milliseconds(1));
  while (true) {
    const auto now = environment_.clock.now();
    const bool used = calls_->in_flight() > 0 || calls_->total() != calls_seen_ || awaited_;
    if (used || withdrawn_ || is_spare()) {
      quiet_since_ = now;
      calls_seen_ = calls_->total();
      awaited_ = false;
    } else if (now - quiet_since_ >= manifest_->stop_idle) {
      stop("nobody called it for " + std::to_string(manifest_->stop_idle.count()) +
           " ms (stop.idle)");
    }
    if (stop_requested_) co_return;
    co_await environment_.clock.sleep(step);
  }
}

/// Until the instance ends.  Returns why, unless it was asked to.
asio::awaitable<std::optional<Error>> Instance::serve() {
  while (true) {
    Wake news = co_await wait_for_news();
    Lost lost = Lost::kConnectedAgain;
    if (news == Wake::kConnectionClosed) {
      lost = co_await replace_connection();
      if (lost == Lost::kProcessEnded) news = Wake::kProcessEnded;
    }
    if (stop_requested_) {
      co_await drain();
      co_await stop_sequence();
      co_return std::nullopt;
    }
    if (news == Wake::kProcessEnded) {
      const ExitStatus status = *started_.process->exit_status();
      end_->set_error(crash_error(status));
      // What the first process leaves behind belongs to the tree, too.
      started_.process->kill_tree();
      tell_losses(*end_->error());
      co_await started_.process->wait_tree_gone();
      if (status.success()) {
        stop_cause_ = "it ended by itself with exit code 0";
        co_return std::nullopt;
      }
      co_return end_->error();
    }
    if (news == Wake::kUnhealthy) co_return co_await kill_for(unhealthy_error());
    if (lost == Lost::kUnsteady) co_return co_await kill_for(unsteady_error());
    if (lost == Lost::kRefused) co_return co_await kill_for(refused_error());
    end_->forget_losses();
  }
}

/// Whether the process is seen to end just now.
asio::awaitable<bool> Instance::dies_within_grace() {
  co_await (started_.process->wait() || environment_.clock.sleep(kDeathGrace));
  co_return started_.process->exit_status().has_value();
}

asio::awaitable<Instance::Lost> Instance::replace_connection() {
  const bool short_lived = environment_.clock.now() - connected_at_ < kShortLife;
  short_lived_ = short_lived ? short_lived_ + 1 : 0;
  // A plugin that says goodbye and keeps its calls is not dying: hosts need not wait.  One that did
  // not keep the connection for long gets the next one after a pause, whatever it said.
  const bool goodbye = started_.connection->said_goodbye() && losses_.empty() && !short_lived;
  if (!goodbye) {
    if (co_await dies_within_grace()) co_return Lost::kProcessEnded;
    if (stop_requested_) co_return Lost::kStopRequested;
    tell_losses(closed_error());
    if (manifest_->restart_limit > 0 && short_lived_ >= manifest_->restart_limit) {
      co_return Lost::kUnsteady;
    }
  }
  const Lost outcome = co_await reconnect();
  if (outcome == Lost::kRefused && goodbye) co_return co_await wait_farewell();
  co_return outcome;
}

/// A plugin that said goodbye and takes no connection is about to end, when the calls that it has
/// have ended.
asio::awaitable<Instance::Lost> Instance::wait_farewell() {
  const milliseconds bound =
      calls_->in_flight() > 0 ? std::max(kDeathGrace, manifest_->stop_drain) : kDeathGrace;
  co_await (started_.process->wait() || environment_.clock.sleep(bound) || wait_stop_requested());
  if (started_.process->exit_status()) co_return Lost::kProcessEnded;
  co_return stop_requested_ ? Lost::kStopRequested : Lost::kRefused;
}

/// Ends it because of that, which is what the calls on it are told.
asio::awaitable<Error> Instance::kill_for(Error error) {
  killed_ = !started_.process->exit_status();
  ready_for_ = std::chrono::duration_cast<milliseconds>(environment_.clock.now() - ready_at_);
  end_->set_error(std::move(error));
  started_.process->kill_tree();
  tell_losses(*end_->error());
  co_await started_.process->wait_tree_gone();
  co_return *end_->error();
}

asio::awaitable<Instance::Lost> Instance::reconnect() {
  set_state(InstanceState::kStarting,
            started_.connection->said_goodbye()
                ? "it takes no more calls on its connection; connecting again"
                : "its connection was lost; connecting again");
  started_.connection.reset();
  reconnected_ = true;
  auto outcome = co_await (environment_.connector.connect(started_.endpoint, kReconnectBound) ||
                           started_.process->wait() || wait_stop_requested());
  if (outcome.index() == 1) co_return Lost::kProcessEnded;
  if (outcome.index() == 2) co_return Lost::kStopRequested;
  auto& connection = std::get<0>(outcome);
  if (!connection && started_.process->exit_status()) co_return Lost::kProcessEnded;
  if (!connection) co_return Lost::kRefused;
  started_.connection = std::move(*connection);
  connected_at_ = environment_.clock.now();
  if (withdrawn_) {
    enter_draining("connected again");
  } else {
    set_state(InstanceState::kReady, "connected again");
  }
  co_return Lost::kConnectedAgain;
}

bool Instance::is_broken() const {
  const Connection* connection = started_.connection.get();
  return connection != nullptr && !connection->alive() && !connection->said_goodbye();
}

asio::awaitable<void> Instance::wait_broken() {
  if (started_.connection) co_await started_.connection->wait_closed();
  // After a goodbye the calls go on; if they are lost after all, they are in flight no more.
  if (!is_broken()) co_await wait_hurried();
}

asio::awaitable<void> Instance::drain() {
  Process& process = *started_.process;
  const bool unused = environment_.lanes == 1 && calls_->in_flight() == 0;
  if (unused || process.exit_status() || is_broken() || manifest_->stop_drain.count() == 0) {
    co_return;
  }
  const auto calls = [this] {
    const std::uint64_t count = calls_->in_flight();
    return std::to_string(count) + (count == 1 ? " call" : " calls") + " in flight";
  };
  if (state_ != InstanceState::kDraining) enter_draining(stop_cause_ + "; " + calls());
  look_idle();
  co_await (wait_idle() || process.wait() || wait_broken() || wait_hurried() ||
            environment_.clock.sleep(manifest_->stop_drain));
  if (hurried_) co_return;
  // Calls whose connection has broken are in flight no more, so that it may be idle for that.
  const bool lost = idle_ ? !losses_.empty() : is_broken();
  if (lost) {
    if (!co_await dies_within_grace()) tell_losses(closed_error());
  } else if (!idle_ && !process.exit_status()) {
    stop_cause_ += std::string("; after stop.drain there ") +
                   (calls_->in_flight() == 1 ? "was" : "were") + " still " + calls();
  }
}

Error Instance::closed_error() const {
  const std::string broken_by = started_.connection ? started_.connection->broken_by() : "";
  return {
      Reason::kPluginProtocolError,
      "plugin '" + manifest_->name + "' (" +
          (started_.process ? "pid " + std::to_string(started_.process->pid()) : id_) + ") " +
          (broken_by.empty() ? "closed its connection during the call"
                             : "broke HTTP/2, which ended its connection (" + broken_by + "),") +
          " but still runs; see `pluginctl logs " + manifest_->name + "`.",
      {{"plugin", manifest_->name}}};
}

Error Instance::crash_error(const ExitStatus& status) {
  ready_for_ = std::chrono::duration_cast<milliseconds>(environment_.clock.now() - ready_at_);
  sentence_ = "plugin '" + manifest_->name + "' (pid " + std::to_string(started_.process->pid()) +
              ") ended with " + status.describe() + " after " +
              std::to_string(ready_for_->count()) + " ms";
  Error error{Reason::kPluginCrashed, sentence_, {{"plugin", manifest_->name}}};
  status.add_details(error);
  error.details.emplace_back("instance", id_);
  error.message += status.memory_remedy(manifest_->limits);
  if (end_->keeps_reports()) error.message += "; see `pluginctl crashes " + manifest_->name + "`";
  const std::string tail = log_->last_stderr(id_, kStderrLines, kStderrBytes);
  error.message += tail.empty() ? "; it wrote nothing to stderr"
                                : "; its last stderr:\n" + printable(tail, kStderrBytes, true);
  return error;
}

Error Instance::refused_error() const {
  return {Reason::kPluginProtocolError,
          "plugin '" + manifest_->name +
              "' takes no calls on its connection any more, and no new "
              "connection; it was killed.",
          {{"plugin", manifest_->name}}};
}

Error Instance::unsteady_error() const {
  return {Reason::kPluginProtocolError,
          "plugin '" + manifest_->name + "' lost " + std::to_string(short_lived_) +
              " connections in a row, each within a second of making it; it was killed. See "
              "`pluginctl logs " +
              manifest_->name + "`.",
          {{"plugin", manifest_->name}}};
}

Error Instance::unhealthy_error() const {
  const std::uint32_t checks = manifest_->health_failures;
  return {
      Reason::kPluginUnhealthy,
      "plugin '" + manifest_->name + "' (pid " + std::to_string(started_.process->pid()) +
          ") failed " +
          (checks == 1 ? "a health check" : std::to_string(checks) + " health checks in a row") +
          " and was killed: " + health_,
      {{"plugin", manifest_->name}, {"instance", id_}}};
}

CrashReport Instance::report() const {
  const Error& error = *end_->error();
  CrashReport report;
  report.instance = id_;
  report.version = manifest_->version;
  report.started = launched_;
  report.ended = environment_.clock.wall_now();
  report.ready_for = ready_for_;
  report.reason = error.reason;
  report.message =
      printable(sentence_.empty() ? error.message : sentence_, CrashReport::kMaxMessage, true);
  if (started_.process) {
    report.pid = started_.process->pid();
    report.exit = started_.process->exit_status();
    report.killed = killed_;
  } else {
    report.pid = failed_start_.pid;
    report.exit = failed_start_.exit;
    report.killed = failed_start_.killed;
  }
  if (report.exit && report.exit->core.file.starts_with(directory_.string() + "/")) {
    report.exit->core = {"",
                         "it was in the instance's own directory, and is gone with that; set "
                         "working_directory in the manifest, or kernel.core_pattern"};
  }
  report.stderr_tail = log_->last_stderr(id_, CrashReport::kStderrLines, CrashReport::kStderrBytes);
  return report;
}

InstanceStatus Instance::status() const {
  InstanceStatus s;
  s.id = id_;
  s.state = state_;
  s.cause = cause_;
  s.since = since_;
  if (const Process* process = started_.process ? started_.process.get() : greeted_) {
    s.pid = process->pid();
    s.tree = process->tree_pids();
    s.limits = process->limits();
    s.use = process->use();
  }
  s.spare = is_spare();
  s.host_pid = host_pid_;
  s.calls = calls_->total();
  s.calls_in_flight = calls_->in_flight();
  s.protocol_version = started_.protocol_version;
  return s;
}

}  // namespace plugind::plugin
