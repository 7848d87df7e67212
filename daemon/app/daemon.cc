#include "daemon/app/daemon.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "daemon/app/logging.h"
#include "daemon/app/process_factory.h"
#include "daemon/app/version.h"
#include "daemon/dialect/go_plugin.h"
#include "daemon/dialect/native.h"
#include "daemon/forward/address.h"
#include "daemon/platform/accounts.h"
#include "daemon/platform/guardian.h"
#include "daemon/platform/rotated_file.h"
#include "daemon/platform/self_usage.h"
#include "daemon/platform/surroundings.h"

namespace plugind::app {

namespace asio = boost::asio;

namespace {

std::string join(const std::vector<std::string>& names) {
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ",") + name;
  return joined;
}

/// Runs a loop until it is stopped.  `polling` threads do the same.
void run_loop(asio::io_context& loop, const forward::Counters& counters,
              std::chrono::microseconds poll_time, std::size_t polling) {
  using Clock = std::chrono::steady_clock;
  // Without a processor for the others nobody could do what is looked for.
  const bool looks = std::thread::hardware_concurrency() > polling;
  BusyPoll busy_poll(looks ? poll_time : std::chrono::microseconds::zero());
  while (!loop.stopped()) {
    const auto time = busy_poll.before_sleep(counters.calls_at_plugins.count());
    if (time > BusyPoll::Duration::zero()) {
      const auto until = Clock::now() + time;
      bool found = false;
      do {
        found = loop.poll_one() > 0;
      } while (!found && Clock::now() < until);
      busy_poll.looked(found);
      if (found) continue;
    }
    loop.run_one();
  }
}

}  // namespace

Daemon::Daemon(Options options, platform::ServiceNotifier notifier)
    : options_(std::move(options)),
      notifier_(std::move(notifier)),
      loop_(1),
      clock_(loop_.get_executor()),
      flush_queue_(loop_.get_executor()),
      connector_(loop_.get_executor(), flush_queue_, options_.hosts.limits) {}

Daemon::~Daemon() = default;

std::expected<void, Error> Daemon::start() {
  // The socket comes first: from then on hosts can connect, and wait for the rest.
  if (auto opened = open_front(); !opened) return opened;

  auto signals = platform::SignalSource::open(loop_.get_executor());
  if (!signals) return std::unexpected(signals.error());
  signals_ = std::move(*signals);
  if (options_.lifeline) {
    auto lifeline = platform::Lifeline::open(loop_.get_executor());
    if (!lifeline) return std::unexpected(lifeline.error());
    lifeline_ = std::move(*lifeline);
  }

  auto trees = platform::ProcessTrees::open(loop_.get_executor());
  if (!trees) return std::unexpected(trees.error());
  trees_ = std::move(*trees);
  processes_ = make_process_factory(*trees_);
  native_ = dialect::make_native_dialect();
  go_plugin_ = dialect::make_go_plugin_dialect();

  auto manifests = plugin::load_manifests(options_.manifests, account_lookup());
  if (!manifests) return std::unexpected(manifests.error());
  if (auto opened = open_output(); !opened) return opened;

  const plugin::Environment environment{
      .loop = loop_.get_executor(),
      .clock = clock_,
      .processes = *processes_,
      .connector = connector_,
      .dialects = {{plugin::DialectKind::kNative, native_.get()},
                   {plugin::DialectKind::kGoPlugin, go_plugin_.get()}},
      .runtime_dir = runtime_dir_->path(),
      .lanes = options_.workers,
      .random =
          [engine = std::minstd_rand(std::random_device()())]() mutable {
            return std::uniform_real_distribution<>()(engine);
          },
      .output_files = output_writer_.get()};
  supervisor_ = std::make_unique<plugin::Supervisor>(environment);
  doctor_ = std::make_unique<plugin::Doctor>(environment);
  watch_events();
  const std::size_t connections =
      forward::connections_within(options_.hosts.max_connections, platform::max_descriptors());
  if (connections < options_.hosts.max_connections) {
    log_info("connections-limited",
             {{"connections", std::to_string(connections)},
              {"cause", "the limit on open files (LimitNOFILE=, ulimit -n)"}});
  }
  forwarder_ = std::make_unique<forward::Forwarder>(
      loop_.get_executor(), flush_queue_, connector_, *supervisor_,
      plugin::Endpoint{"unix:" + runtime_dir_->control_socket().string()}, options_.hosts.limits,
      [](const std::string& event, const std::string& detail) {
        log_warning(event, {{"detail", detail}});
      },
      forward::HostPolicy{
          .access = forward::AccessPolicy(platform::own_user_id(), options_.hosts.admin_group),
          .connections = {.all = connections, .per_user = options_.hosts.max_connections_per_user},
          .idle_timeout = options_.hosts.idle_timeout,
          .plugin_sockets = {.mode = options_.hosts.socket_mode,
                             .group = options_.hosts.socket_group,
                             .lock = false}},
      forward::WorkerOptions{.count = options_.workers,
                             .run = [poll_time = options_.busy_poll, workers = options_.workers](
                                        asio::io_context& loop, const forward::Counters& counters) {
                               run_loop(loop, counters, poll_time, workers);
                             }});
  forwarder_->open_plugin_sockets();
  supervisor_->apply(std::move(*manifests));
  forwarder_->plugins_changed();
  forwarder_->listen(std::move(*front_socket_));

  admin_ = control::make_plugin_admin(*supervisor_);
  control_ = std::make_unique<control::ControlServer>(
      loop_.get_executor(), *admin_,
      control::ControlHooks{
          .reload = [this] { return reload(); },
          .upgrade =
              [this](const std::string& name, plugin::Supervisor::StatusCallback done) {
                upgrade(name, std::move(done));
              },
          .facts = [this] { return facts(); },
          .diagnose = [this](const std::string& name,
                             control::DiagnoseCallback done) { diagnose(name, std::move(done)); }});
  log_info("started", {{"version", kVersion},
                       {"pid", std::to_string(platform::own_pid())},
                       {"socket", options_.socket},
                       {"manifests", options_.manifests.string()},
                       {"plugins", std::to_string(supervisor_->list().size())},
                       {"workers", std::to_string(options_.workers)},
                       {"trees", trees_->describe()}});
  return {};
}

std::expected<void, Error> Daemon::open_front() {
  const HostOptions& hosts = options_.hosts;
  auto runtime_dir = platform::RuntimeDir::open(options_.runtime_dir, reach_of(hosts));
  if (!runtime_dir) return std::unexpected(runtime_dir.error());
  runtime_dir_ = std::move(*runtime_dir);
  auto socket =
      platform::LocalSocket::listen(forward::parse_address(options_.socket)->path,
                                    {.mode = hosts.socket_mode, .group = hosts.socket_group});
  if (!socket) return std::unexpected(socket.error());
  front_socket_ = std::move(*socket);
  platform::entrust_to_guardian(runtime_dir_->path(), front_socket_->path());
  // Only who holds the socket may tidy up after the last one who did.
  return runtime_dir_->clear_leftovers();
}

std::expected<void, Error> Daemon::open_output() {
  if (options_.log_dir.empty()) return {};
  if (auto made = platform::make_log_dir(options_.log_dir); !made) return made;
  // Called on the writer's thread, which may outlive the daemon: the log is all that it may use.
  output_writer_ =
      std::make_unique<OutputWriter>(options_.log_dir, [](const OutputWriter::Report& report) {
        const auto& [kind, plugin, detail, lines] = report;
        switch (kind) {
          case OutputWriter::Report::Kind::kFailed:
            return log_warning("output-file-failed", {{"plugin", plugin}, {"detail", detail}});
          case OutputWriter::Report::Kind::kWorks:
            return log_info("output-file-works",
                            {{"plugin", plugin}, {"lines-lost", std::to_string(lines)}});
          case OutputWriter::Report::Kind::kLeftOut:
            return log_warning("output-file-slow",
                               {{"plugin", plugin}, {"lines-lost", std::to_string(lines)}});
        }
      });
  return {};
}

std::expected<void, Error> Daemon::run() {
  asio::co_spawn(loop_, obey_signals(), asio::detached);
  if (lifeline_) asio::co_spawn(loop_, obey_lifeline(), asio::detached);
  // grpc++ takes longer to start than everything else together; hosts need not wait for it.
  asio::post(loop_, [this] { start_control(); });
  run_loop(loop_, forwarder_->counters(), options_.busy_poll, options_.workers);
  if (failure_) return std::unexpected(*failure_);
  return {};
}

void Daemon::start_control() {
  const auto socket = runtime_dir_->control_socket();
  if (auto started = control_->start(socket); !started) {
    failure_ = std::move(started.error());
    return stop("the control service cannot start");
  }
  forwarder_->connect_control();
  notifier_.ready();
  log_debug("control-started", {{"socket", socket.string()}});
}

void Daemon::watch_events() {
  event_log_ = supervisor_->events().watch([](const plugin::Event& event) {
    using Kind = plugin::Event::Kind;
    if (event.kind != Kind::kState) {
      const std::string_view name = event.kind == Kind::kRegistered ? "plugin-registered"
                                    : event.kind == Kind::kRemoved  ? "plugin-removed"
                                                                    : "plugin-changed";
      log_info(name, {{"plugin", event.plugin}, {"cause", event.cause}});
      return;
    }
    const std::initializer_list<Field> fields = {{"plugin", event.plugin},
                                                 {"instance", event.instance},
                                                 {"state", std::string(to_string(event.state))},
                                                 {"cause", event.cause}};
    if (event.state == plugin::InstanceState::kFailed) {
      log_warning("instance", fields);
    } else {
      log_info("instance", fields);
    }
  });
}

std::expected<plugin::ReloadSummary, Error> Daemon::reload() {
  auto manifests = plugin::load_manifests(options_.manifests, account_lookup());
  if (!manifests) {
    log_warning("reload-refused", {{"detail", manifests.error().message}});
    return std::unexpected(std::move(manifests.error()));
  }
  plugin::ReloadSummary summary = supervisor_->apply(std::move(*manifests));
  forwarder_->plugins_changed();
  log_info("reloaded", {{"added", join(summary.added)},
                        {"removed", join(summary.removed)},
                        {"changed", join(summary.changed)}});
  return summary;
}

void Daemon::upgrade(const std::string& name, plugin::Supervisor::StatusCallback done) {
  auto manifests = plugin::load_manifests(options_.manifests, account_lookup());
  if (!manifests) return done(std::unexpected(std::move(manifests.error())));
  const auto wanted = std::ranges::find(*manifests, name, &plugin::Manifest::name);
  if (wanted == manifests->end()) {
    if (!supervisor_->find(name)) return done(std::unexpected(supervisor_->not_found(name)));
    return done(std::unexpected(Error{Reason::kPluginNotFound,
                                      "no manifest in " + options_.manifests.string() +
                                          " registers plugin '" + name +
                                          "' any more; `pluginctl reload` removes it",
                                      {{"plugin", name}}}));
  }
  log_info("upgrading", {{"plugin", name}, {"version", wanted->version}});
  supervisor_->upgrade(std::move(*wanted), [name, done = std::move(done)](
                                               std::expected<plugin::PluginStatus, Error> status) {
    if (status) {
      log_info("upgraded", {{"plugin", name}, {"version", status->manifest.version}});
    } else {
      log_warning("upgrade-failed", {{"plugin", name}, {"cause", status.error().message}});
    }
    done(std::move(status));
  });
}

control::DaemonFacts Daemon::facts() const {
  control::DaemonFacts facts;
  facts.version = kVersion;
  facts.pid = platform::own_pid();
  facts.start_time = started_at_;
  facts.socket = options_.socket;
  facts.runtime_dir = options_.runtime_dir;
  facts.manifest_dir = options_.manifests;
  facts.connections = static_cast<std::uint32_t>(forwarder_->connections());
  facts.resident_bytes = platform::resident_bytes();
  return facts;
}

SelfFacts Daemon::self_facts() const {
  SelfFacts facts;
  facts.uid = platform::own_user_id();
  facts.runtime_dir = runtime_dir_->path();
  facts.runtime = platform::look_at_directory(runtime_dir_->path().string());
  const std::string front = forward::parse_address(options_.socket)->path;
  if (!platform::is_socket(front)) facts.lost_sockets.push_back(front);
  facts.descriptors = platform::open_descriptors();
  facts.max_descriptors = platform::max_descriptors();
  facts.wanted_connections = options_.hosts.max_connections;
  facts.connections = forward::connections_within(facts.wanted_connections, facts.max_descriptors);
  facts.memory = platform::available_memory();
  facts.control_groups = trees_->kept_by_kernel();
  facts.trees = trees_->describe();
  const auto manifests = plugin::load_manifests(options_.manifests, account_lookup());
  if (manifests) {
    facts.changed = changed_manifests(*manifests, supervisor_->list());
  } else {
    facts.manifest_mistakes = manifests.error().message;
  }
  return facts;
}

void Daemon::diagnose(const std::string& name, control::DiagnoseCallback done) {
  control::Diagnosis diagnosis;
  std::vector<plugin::PluginStatus> plugins;
  if (name.empty()) {
    diagnosis.findings = judge(self_facts());
    plugins = supervisor_->list();
  } else {
    auto status = supervisor_->status(name);
    if (!status) return done(std::unexpected(std::move(status.error())));
    plugins.push_back(std::move(*status));
  }
  diagnosis.plugins = plugins.size();
  for (const plugin::PluginStatus& status : plugins) {
    if (auto finding = look_at_socket(status.manifest.name, status.socket)) {
      diagnosis.findings.push_back(std::move(*finding));
    }
  }
  using Found = std::expected<std::vector<plugin::Finding>, Error>;
  doctor_->examine(std::move(plugins), [diagnosis = std::move(diagnosis),
                                        done = std::move(done)](const Found& found) mutable {
    if (!found) return done(std::unexpected(found.error()));
    std::ranges::copy(*found, std::back_inserter(diagnosis.findings));
    done(std::move(diagnosis));
  });
}

asio::awaitable<void> Daemon::obey_signals() {
  while (true) {
    const platform::Signal signal = co_await signals_->next();
    const std::string name(platform::to_string(signal));
    switch (signal) {
      case platform::Signal::kTerminate:
      case platform::Signal::kInterrupt:
        if (stopping_) {
          stop_at_once("a second " + name);
        } else {
          stop(name);
        }
        break;
      case platform::Signal::kQuit:
        stop_at_once(name);
        break;
      case platform::Signal::kHangup:
        notifier_.reloading();
        (void)reload();
        notifier_.ready();
        break;
      case platform::Signal::kUser1:
      case platform::Signal::kUser2:
        log_info("signal-ignored", {{"signal", name}});
        break;
    }
  }
}

asio::awaitable<void> Daemon::obey_lifeline() {
  co_await lifeline_->wait_closed();
  stop("the lifeline was closed");
}

void Daemon::stop(const std::string& cause) {
  if (std::exchange(stopping_, true)) return;
  log_info("stopping", {{"cause", cause}});
  notifier_.stopping();
  forwarder_->drain();
  supervisor_->shutdown([this] {
    doctor_->stop([this] {
      control_->stop([this] {
        forwarder_->finish([this] {
          forwarder_->close();
          log_info("stopped");
          loop_.stop();
        });
      });
    });
  });
}

void Daemon::stop_at_once(const std::string& cause) {
  log_warning("stopping-at-once", {{"cause", cause}});
  stop(cause);
  supervisor_->hurry();
}

}  // namespace plugind::app
