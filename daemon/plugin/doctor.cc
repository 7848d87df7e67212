#include "daemon/plugin/doctor.h"

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

namespace plugind::plugin {

namespace asio = boost::asio;

namespace {

/// An instance's directory, for as long as it is looked at what one would need.
class Directory {
 public:
  explicit Directory(std::filesystem::path path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_, problem_);
    if (!problem_) {
      std::filesystem::permissions(path_, std::filesystem::perms::owner_all, problem_);
    }
  }
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::error_code& problem() const { return problem_; }

 private:
  const std::filesystem::path path_;
  std::error_code problem_;
};

Error draining() { return make_error(Reason::kDraining, "plugind is shutting down"); }

}  // namespace

std::vector<Finding> remembered(const PluginStatus& status, bool will_fail) {
  const std::string& name = status.manifest.name;
  const std::string times =
      std::to_string(status.failures) + (status.failures == 1 ? " time" : " times");
  std::vector<Finding> findings;
  const auto add = [&](Severity severity, const char* check, std::string what,
                       std::string remedy = "") {
    findings.push_back({severity, check, name, std::move(what), std::move(remedy)});
  };
  const bool ready = std::ranges::find(status.instances, InstanceState::kReady,
                                       &InstanceStatus::state) != status.instances.end();
  if (status.crash_loop) {
    add(Severity::kError, "failures",
        "it failed too often in a short time and is not started again by itself; last: " +
            status.last_failure,
        "mend it, then run `pluginctl restart " + name + "`");
  } else if (!status.last_failure.empty() && ready) {
    add(Severity::kWarning, "failures",
        "it runs now, and has failed " + times + "; last: " + status.last_failure);
  } else if (!status.last_failure.empty() && !will_fail) {
    add(Severity::kError, "failures",
        "it has failed " + times + " and does not run; last: " + status.last_failure,
        "see what it printed: `pluginctl logs " + name + "`");
  }
  if (!status.output_problem.empty()) {
    add(Severity::kWarning, "output", "what it prints is not in its file: " + status.output_problem,
        "mend that; `pluginctl logs " + name + "` has the last lines meanwhile");
  }
  if (status.held) {
    add(Severity::kNote, "start-mode", "it was stopped by an operator, and calls are refused",
        "`pluginctl start " + name + "`");
  } else if (status.manifest.start_mode == StartMode::kManual && status.instances.empty()) {
    add(Severity::kNote, "start-mode",
        "start.mode is \"manual\" and it does not run: calls are refused",
        "`pluginctl start " + name + "`");
  }
  return findings;
}

Doctor::Doctor(const Environment& environment) : environment_(environment) {}

Doctor::~Doctor() = default;

void Doctor::examine(std::vector<PluginStatus> plugins, Callback done) {
  if (stopping_) return done(std::unexpected(draining()));
  if (running_.size() >= kMostAtOnce) {
    return done(std::unexpected(make_error(
        Reason::kTooManyDiagnoses,
        std::to_string(kMostAtOnce) + " diagnoses are under way already: wait for one to end")));
  }
  const auto one = running_.emplace(running_.end());
  asio::co_spawn(environment_.loop, run(std::move(plugins)),
                 asio::bind_cancellation_slot(one->slot(), [this, one, done = std::move(done)](
                                                               const std::exception_ptr& cancelled,
                                                               std::vector<Finding> findings) {
                   if (cancelled || stopping_) {
                     done(std::unexpected(draining()));
                   } else {
                     done(std::move(findings));
                   }
                   // Not in a callback from the signal that is destroyed here.
                   asio::post(environment_.loop, [this, one] { ended(one); });
                 }));
}

void Doctor::stop(std::function<void()> done) {
  stopping_ = true;
  if (running_.empty()) return done();
  stopped_ = std::move(done);
  for (asio::cancellation_signal& one : running_) one.emit(asio::cancellation_type::terminal);
}

void Doctor::ended(Cancels::iterator one) {
  running_.erase(one);
  if (running_.empty() && stopped_) std::exchange(stopped_, nullptr)();
}

asio::awaitable<std::vector<Finding>> Doctor::run(std::vector<PluginStatus> plugins) {
  std::vector<Finding> all;
  for (const PluginStatus& status : plugins) {
    // A plugin may take no wait at all, and there may be thousands: calls go first.
    co_await asio::post(environment_.loop, asio::use_awaitable);
    std::vector<Finding> findings = co_await examine_one(status);
    std::ranges::move(findings, std::back_inserter(all));
  }
  co_return all;
}

asio::awaitable<std::vector<Finding>> Doctor::examine_one(const PluginStatus& status) {
  const Manifest& manifest = status.manifest;
  const std::string id = "doctor" + std::to_string(next_++);
  const Directory directory(environment_.runtime_dir / (manifest.run_as ? "users" : "instances") /
                            id);
  std::vector<Finding> findings;
  if (directory.problem()) {
    findings.push_back({Severity::kError, "runtime-dir", "",
                        "the directory of an instance cannot be made: " +
                            directory.path().string() + ": " + directory.problem().message(),
                        "see to the runtime directory, then restart plugind"});
  } else {
    OutputLog unused;
    StartContext context{manifest,
                         manifest.name + "." + id,
                         directory.path(),
                         environment_.processes,
                         environment_.connector,
                         environment_.clock,
                         unused,
                         nullptr};
    Dialect& dialect = *environment_.dialects.at(manifest.dialect);
    findings = co_await dialect.examine(std::move(context));
  }
  const bool will_fail =
      std::ranges::find(findings, Severity::kError, &Finding::severity) != findings.end();
  std::vector<Finding> past = remembered(status, will_fail);
  std::ranges::move(past, std::back_inserter(findings));
  for (Finding& finding : findings) finding.plugin = manifest.name;
  co_return findings;
}

}  // namespace plugind::plugin
