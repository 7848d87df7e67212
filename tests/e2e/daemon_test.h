// The fixture of every end-to-end test: a daemon in a directory of its own, clients of it, and the
// proof at the end that nothing of it is left.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "plugind/v1/plugin_host.grpc.pb.h"
#include "plugins/proto/echo.grpc.pb.h"
#include "tests/support/child_process.h"
#include "tests/support/daemon_process.h"
#include "tests/support/process_list.h"

namespace plugind::e2e {

using testing::eventually;
using testing::Exit;
using testing::kDeadline;

/// Programs of this build; but the daemon is $PLUGIND_TEST_DAEMON where that is set.
extern const std::string kPlugind, kTestPlugin, kMisbehave, kEchoCpp;
/// The daemon is built with a sanitizer: it is slower, and takes and keeps memory of its own.
/// ($PLUGIND_TEST_DAEMON always is.)
extern const bool kSanitized;

/// What a caller is told: the gRPC status and google.rpc.ErrorInfo in it.
struct Told {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  std::string domain;
  std::string reason;
  std::map<std::string, std::string> metadata;
};
Told told(const grpc::Status& status);

/// A call that has time enough on a busy machine.
class Context : public grpc::ClientContext {
 public:
  Context() { set_deadline(std::chrono::system_clock::now() + kDeadline); }
};

/// Calls a plugin again and again in a thread of its own, as a host that nothing may disturb.
class Bystander {
 public:
  explicit Bystander(std::shared_ptr<grpc::Channel> channel);
  ~Bystander() { stop_ = true; }
  /// Ends, and says what was wrong; "" if every call was answered rightly and there were some.
  std::string complaint();

 private:
  std::unique_ptr<echo::v1::Echo::Stub> stub_;
  std::atomic<bool> stop_{false};
  std::atomic<int> calls_{0};
  std::string complaint_;
  std::jthread thread_;  // Last: it uses the others.
};

class DaemonTest : public ::testing::Test {
 protected:
  using Echo = echo::v1::Echo;
  using EchoMessage = echo::v1::EchoMessage;
  using Control = v1::PluginHost;

  /// Writes manifests/NAME.toml: the name, the command and more lines.
  void manifest(const std::string& name, const std::vector<std::string>& command,
                const std::string& more = "") const;
  /// The usual plugins: `echo`, which serves any host, and `kv`, a go-plugin with an instance a
  /// host.
  void usual_manifests() const;

  /// Starts the daemon and waits until it answers.
  void start(std::vector<std::string> arguments = {},
             std::vector<std::string> command = {kPlugind});
  /// Stops it by SIGTERM and expects exit code 0 and nothing left.
  void stop();
  /// Expects that of what ended already nothing is left: no process, no socket, no file.
  void expect_nothing_left();
  void TearDown() override;

  testing::DaemonProcess& daemon() { return *daemon_; }
  std::shared_ptr<grpc::Channel> channel_to(const std::filesystem::path& socket) const;
  std::shared_ptr<grpc::Channel> front() const { return channel_to(directory_.socket()); }
  std::shared_ptr<grpc::Channel> plugin_socket(const std::string& name) const {
    return channel_to(directory_.plugin_socket(name));
  }
  std::unique_ptr<Control::Stub> control() const { return Control::NewStub(front()); }
  v1::Plugin get_plugin(const std::string& name) const;
  v1::DaemonInfo daemon_info() const;

  /// One Echo/Unary call; on the front socket of `plugin` unless that is "".
  grpc::Status call(const std::shared_ptr<grpc::Channel>& channel, const std::string& payload,
                    std::string* reply = nullptr, const std::string& plugin = "") const;
  /// The same on the front socket; fails the test unless the call succeeds.
  std::string answer(const std::string& plugin, const std::string& payload) const;
  /// What the caller of a call that fails is told.
  Told failure(const std::string& plugin, const std::string& payload = "hello") const;

  testing::DaemonDirectory directory_;
  std::unique_ptr<testing::DaemonProcess> daemon_;
  std::filesystem::path cgroup_;  // Of the daemon that was started last.
};

/// A host that is another process than the test.
class HostProcess {
 public:
  /// `user`: "" for the test's own, else "UID:GID" or "UID:GID:GROUP", which only root can give.
  HostProcess(const testing::DaemonDirectory& directory, const std::string& plugin,
              const std::string& user = "");
  /// Opens one more connection and calls Echo/Unary on it; with "again PAYLOAD" it uses the client
  /// that it opened last.
  std::string call(const std::string& payload);
  /// Closes its connections and ends.
  void leave();
  /// Ends without a chance to close anything.
  void die() { process_.signal(SIGKILL); }
  pid_t pid() const { return process_.pid(); }

 private:
  testing::ChildProcess process_;
  std::size_t answers_ = 0;
};

}  // namespace plugind::e2e
