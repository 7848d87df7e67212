#include "tests/e2e/daemon_test.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "tests/unit/wire/rpc_status.pb.h"

namespace plugind::e2e {

namespace fs = std::filesystem;

namespace {

const char* const kOtherDaemon = std::getenv("PLUGIND_TEST_DAEMON");

}  // namespace

const std::string kPlugind = kOtherDaemon != nullptr ? kOtherDaemon : PLUGIND,
                  kTestPlugin = TEST_PLUGIN, kMisbehave = MISBEHAVE, kEchoCpp = ECHO_CPP;
#ifdef DAEMON_IS_SANITIZED
const bool kSanitized = true;
#else
const bool kSanitized = kOtherDaemon != nullptr;
#endif

namespace {

/// As TOML wants it.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '"' || c == '\\') {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned char>(c));
      result += escape;
    } else {
      result += c;
    }
  }
  return result + '"';
}

/// So many that what they follow, which is what failed, is not lost among them.
std::string last_lines(const std::string& log) {
  constexpr int kMost = 60;
  std::size_t begin = log.size();
  for (int lines = 0; lines <= kMost && begin != log.npos && begin > 0; ++lines) {
    begin = log.rfind('\n', begin - 1);
  }
  return begin == log.npos || begin == 0 ? log : "…" + log.substr(begin);
}

}  // namespace

Told told(const grpc::Status& status) {
  Told result{status.error_code(), status.error_message(), "", "", {}};
  wire_test::Status details;
  wire_test::ErrorInfo info;
  if (!details.ParseFromString(status.error_details()) || details.details_size() != 1 ||
      details.details(0).type_url() != "type.googleapis.com/google.rpc.ErrorInfo" ||
      !info.ParseFromString(details.details(0).value())) {
    return result;
  }
  EXPECT_EQ(details.code(), status.error_code());
  result.domain = info.domain();
  result.reason = info.reason();
  result.metadata = {info.metadata().begin(), info.metadata().end()};
  return result;
}

Bystander::Bystander(std::shared_ptr<grpc::Channel> channel)
    : stub_(echo::v1::Echo::NewStub(std::move(channel))), thread_([this] {
        do {
          Context context;
          echo::v1::EchoMessage message;
          message.set_payload("call " + std::to_string(calls_));
          echo::v1::EchoMessage reply;
          const grpc::Status status = stub_->Unary(&context, message, &reply);
          if (!status.ok()) {
            complaint_ = message.payload() + ": " + status.error_message();
          } else if (reply.payload() != message.payload()) {
            complaint_ = message.payload() + " was answered with " + reply.payload();
          }
          ++calls_;
        } while (complaint_.empty() && !stop_);
      }) {
  // Before anything happens that it could be disturbed by.
  eventually([this] { return calls_ > 0; });
}

std::string Bystander::complaint() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  return complaint_;
}

void DaemonTest::manifest(const std::string& name, const std::vector<std::string>& command,
                          const std::string& more) const {
  std::string text = "name = \"" + name + "\"\ncommand = [";
  for (const std::string& part : command) text += quoted(part) + ", ";
  directory_.write("manifests/" + name + ".toml", text + "]\n" + more);
}

void DaemonTest::usual_manifests() const {
  manifest("echo", {kTestPlugin}, "services = ['echo.v1.Echo']\n");
  manifest("kv", {kTestPlugin}, "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right' }\n");
}

void DaemonTest::start(std::vector<std::string> arguments, std::vector<std::string> command) {
  daemon_ = std::make_unique<testing::DaemonProcess>(directory_, std::move(arguments),
                                                     std::move(command));
  ASSERT_TRUE(daemon_->wait_started()) << daemon_->log();
  ASSERT_EQ(daemon_info().pid(), daemon_->pid()) << daemon_->log();
  cgroup_ = daemon_->cgroup();
}

void DaemonTest::stop() {
  daemon_->process().signal(SIGTERM);
  EXPECT_EQ(daemon_->process().wait(), Exit{.code = 0}) << daemon_->log();
  expect_nothing_left();
}

void DaemonTest::expect_nothing_left() {
  ASSERT_FALSE(daemon_->process().running());
  EXPECT_EQ(testing::describe(directory_.processes()), "");
  // Whatever lost its parent is ours now, even if it changed its environment.
  EXPECT_EQ(testing::describe(testing::children_of(::getpid())), "");
  std::string left;
  std::error_code ec;
  for (const auto& entry : fs::recursive_directory_iterator(directory_.runtime(), ec)) {
    const std::string name = fs::relative(entry.path(), directory_.runtime());
    if (name != "plugins" && name != "instances" && name != "users") left += name + " ";
  }
  EXPECT_EQ(left, "") << "files in the runtime directory";
  EXPECT_FALSE(!cgroup_.empty() && fs::exists(cgroup_)) << cgroup_;
}

void DaemonTest::TearDown() {
  if (daemon_ == nullptr) return;
  if (daemon_->process().running()) stop();
  if (HasFailure()) {
    std::fprintf(stderr, "the daemon's log:\n%s\n", last_lines(daemon_->log()).c_str());
  }
}

std::shared_ptr<grpc::Channel> DaemonTest::channel_to(const fs::path& socket) const {
  grpc::ChannelArguments arguments;
  // A connection of its own for each channel, so that tests know what hosts there are.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel("unix:" + socket.string(), grpc::InsecureChannelCredentials(),
                                   arguments);
}

v1::Plugin DaemonTest::get_plugin(const std::string& name) const {
  Context context;
  v1::GetPluginRequest request;
  request.set_name(name);
  v1::GetPluginResponse response;
  const grpc::Status status = control()->GetPlugin(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.plugin();
}

v1::DaemonInfo DaemonTest::daemon_info() const {
  Context context;
  context.set_wait_for_ready(true);
  v1::GetDaemonInfoResponse response;
  const grpc::Status status = control()->GetDaemonInfo(&context, {}, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.daemon();
}

grpc::Status DaemonTest::call(const std::shared_ptr<grpc::Channel>& channel,
                              const std::string& payload, std::string* reply,
                              const std::string& plugin) const {
  Context context;
  if (!plugin.empty()) context.AddMetadata("plugind-plugin", plugin);
  EchoMessage request;
  request.set_payload(payload);
  EchoMessage response;
  grpc::Status status = Echo::NewStub(channel)->Unary(&context, request, &response);
  if (reply != nullptr) *reply = response.payload();
  return status;
}

std::string DaemonTest::answer(const std::string& plugin, const std::string& payload) const {
  std::string reply;
  const grpc::Status status = call(front(), payload, &reply, plugin);
  EXPECT_TRUE(status.ok()) << plugin << " " << payload << ": " << status.error_message();
  return reply;
}

Told DaemonTest::failure(const std::string& plugin, const std::string& payload) const {
  return told(call(front(), payload, nullptr, plugin));
}

}  // namespace plugind::e2e
