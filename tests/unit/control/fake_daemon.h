// A real ControlServer on a real Unix socket with a made-up domain behind it.
#pragma once

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/control/control_server.h"
#include "plugind/v1/plugin_host.grpc.pb.h"

namespace plugind::control {

inline constexpr std::chrono::seconds kPatience{20};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "plugind-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Does what it is told to; keeps the last callback of start() when `hold_start` is set.
class FakeAdmin final : public PluginAdmin {
 public:
  plugin::PluginStatus& add(const std::string& name) {
    plugin::PluginStatus& status = plugins[name];
    status.manifest.name = name;
    status.socket = "unix:/run/test/plugins/" + name + ".sock";
    logs[name] = std::make_shared<plugin::OutputLog>();
    return status;
  }

  std::vector<plugin::PluginStatus> list() const override {
    std::vector<plugin::PluginStatus> all;
    for (const auto& [name, status] : plugins) all.insert(all.begin(), status);
    return all;
  }
  std::expected<plugin::PluginStatus, Error> status(const std::string& name) const override {
    const auto found = plugins.find(name);
    if (found == plugins.end()) return std::unexpected(missing(name));
    return found->second;
  }
  void start(const std::string& name, StatusCallback done) override {
    if (hold_start) {
      held_start = std::move(done);
      if (on_held) on_held();
      return;
    }
    if (start_error) return done(std::unexpected(*start_error));
    enter(name, plugin::InstanceState::kReady, std::move(done));
  }
  void stop(const std::string& name, StatusCallback done) override {
    enter(name, plugin::InstanceState::kStopped, std::move(done));
  }
  void restart(const std::string& name, StatusCallback done) override {
    if (plugins.contains(name)) ++plugins[name].starts;
    enter(name, plugin::InstanceState::kReady, std::move(done));
  }
  std::expected<std::shared_ptr<plugin::OutputLog>, Error> log(
      const std::string& name) const override {
    const auto found = logs.find(name);
    if (found == logs.end()) return std::unexpected(missing(name));
    return found->second;
  }
  std::expected<std::vector<plugin::CrashReport>, Error> crashes(
      const std::string& name) const override {
    if (!plugins.contains(name)) return std::unexpected(missing(name));
    const auto found = crash_reports.find(name);
    return found == crash_reports.end() ? std::vector<plugin::CrashReport>{} : found->second;
  }
  plugin::EventBus& events() override { return bus; }

  void print(const std::string& name, std::string_view text) {
    logs.at(name)->append(name + "#1", plugin::OutputStream::kStdout, text,
                          std::chrono::system_clock::now());
  }
  void publish(plugin::Event::Kind kind, const std::string& name, std::string cause = "") {
    plugin::Event event;
    event.kind = kind;
    event.plugin = name;
    event.cause = std::move(cause);
    event.time = std::chrono::system_clock::now();
    if (kind == plugin::Event::Kind::kState) {
      event.instance = name + "#1";
      event.state = plugin::InstanceState::kReady;
    }
    bus.publish(event);
  }
  void remove(const std::string& name) {
    plugins.erase(name);
    logs.erase(name);
    publish(plugin::Event::Kind::kRemoved, name, "its manifest is gone");
  }

  std::map<std::string, plugin::PluginStatus> plugins;
  std::map<std::string, std::shared_ptr<plugin::OutputLog>> logs;
  std::map<std::string, std::vector<plugin::CrashReport>> crash_reports;
  plugin::EventBus bus;
  bool hold_start = false;
  StatusCallback held_start;
  std::function<void()> on_held;
  std::optional<Error> start_error;

 private:
  static Error missing(const std::string& name) {
    return make_error(Reason::kPluginNotFound, "no plugin '" + name + "' is registered");
  }
  void enter(const std::string& name, plugin::InstanceState state, StatusCallback done) {
    const auto found = plugins.find(name);
    if (found == plugins.end()) return done(std::unexpected(missing(name)));
    found->second.state = state;
    done(found->second);
  }
};

class FakeDaemon {
 public:
  explicit FakeDaemon(StreamBounds bounds = {})
      : work_(loop_.get_executor()), thread_([this] { loop_.run(); }) {
    ControlHooks hooks;
    hooks.reload = [this] { return reload_; };
    hooks.upgrade = [this](const std::string& name, plugin::Supervisor::StatusCallback done) {
      const auto found = admin_.plugins.find(name);
      if (found != admin_.plugins.end()) found->second.manifest.version = "upgraded";
      done(admin_.status(name));
    };
    hooks.facts = [this] { return facts_; };
    hooks.diagnose = [this](const std::string& name, DiagnoseCallback done) {
      diagnosed_ = name;
      done(diagnosis_);
    };
    facts_.version = "9.8.7";
    facts_.pid = 4711;
    facts_.socket = address();
    facts_.runtime_dir = directory_.path();
    facts_.manifest_dir = "/etc/test/plugins.d";
    facts_.connections = 3;
    facts_.resident_bytes = 17 << 20;
    server_ = std::make_unique<ControlServer>(loop_.get_executor(), admin_, hooks, bounds);
    on_loop([this] {
      const auto started = server_->start(socket());
      if (!started) ADD_FAILURE() << started.error().message;
    });
  }

  ~FakeDaemon() {
    stop();
    on_loop([this] { server_.reset(); });
    work_.reset();
    thread_.join();
  }

  /// Runs `work` on the loop and waits for it.
  void on_loop(const std::function<void()>& work) {
    std::promise<void> done;
    boost::asio::post(loop_, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  /// ControlServer::stop; returns when it is done.
  void stop() {
    if (std::exchange(stopped_, true)) return;
    std::promise<void> done;
    boost::asio::post(loop_, [&] { server_->stop([&] { done.set_value(); }); });
    done.get_future().wait();
  }

  std::unique_ptr<v1::PluginHost::Stub> stub() const {
    return v1::PluginHost::NewStub(
        grpc::CreateChannel(address(), grpc::InsecureChannelCredentials()));
  }
  std::filesystem::path socket() const { return directory_.path() / "control.sock"; }
  std::string address() const { return "unix:" + socket().string(); }
  FakeAdmin& admin() { return admin_; }
  std::expected<plugin::ReloadSummary, Error>& reload() { return reload_; }
  DaemonFacts& facts() { return facts_; }
  std::expected<Diagnosis, Error>& diagnosis() { return diagnosis_; }
  const std::string& diagnosed() const { return diagnosed_; }  ///< The name that was given last.

 private:
  TemporaryDirectory directory_;
  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  FakeAdmin admin_;
  std::expected<plugin::ReloadSummary, Error> reload_;
  DaemonFacts facts_;
  std::expected<Diagnosis, Error> diagnosis_;
  std::string diagnosed_;
  bool stopped_ = false;
  std::unique_ptr<ControlServer> server_;
  std::thread thread_;
};

/// A context whose call ends with DEADLINE_EXCEEDED rather than hang a test.
struct Context : grpc::ClientContext {
  Context() { set_deadline(std::chrono::system_clock::now() + kPatience); }
};

}  // namespace plugind::control
