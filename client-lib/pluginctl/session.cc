#include "client-lib/pluginctl/session.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <iostream>

#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/text.h"
#include "client-lib/pluginctl/unreachable.h"

namespace plugind::pluginctl {
namespace {

constexpr std::chrono::seconds kConnectBound{5};
/// Replies of plugins; the bound of their requests is the daemon's.
constexpr int kMaxReply = 512 << 20;

/// What can be seen of the socket from outside.
std::string look_at(const Address& address) {
  return address.path.empty() ? "nothing listens there" : find_obstacle(address.path).what;
}

Failure no_daemon(const Address& address, const std::string& cause) {
  return {ExitCode::kNoDaemon,
          "no plugind answers at " + address.text + ": " + cause +
              ". Start it with 'plugind' or 'systemctl --user start plugind', or say where it "
              "listens with --socket or PLUGIND_SOCKET."};
}

Failure no_greeting(const Address& address, const std::string& timeout) {
  return {ExitCode::kTimeout,
          "there was no answer in time: " + address.text + " did not greet within the " + timeout +
              " of --timeout",
          "DEADLINE_EXCEEDED"};
}

}  // namespace

Result<std::unique_ptr<Session>> Session::make(const Options& options) {
  std::unique_ptr<Session> session(new Session);
  auto address = parse_address(options.socket);
  if (!address) return usage(address.error());
  session->address_ = std::move(*address);
  session->address_given_ = !options.socket.empty();
  if (!options.timeout.empty()) {
    const auto timeout = parse_duration(options.timeout);
    if (!timeout) return usage("--timeout: " + timeout.error());
    session->timeout_ = *timeout;
    session->timeout_text_ = options.timeout;
  }
  session->json_ = options.json;
  session->colour_ = !options.json && colour_wanted();
  return session;
}

Result<> Session::connect() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReply);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  channel_ =
      grpc::CreateCustomChannel(address_.target, grpc::InsecureChannelCredentials(), arguments);
  control_ = v1::PluginHost::NewStub(channel_);

  const auto bound =
      std::min<std::chrono::milliseconds>(kConnectBound, timeout_.value_or(kConnectBound));
  const auto deadline = std::chrono::system_clock::now() + bound;
  grpc_connectivity_state state = channel_->GetState(true);
  while (state != GRPC_CHANNEL_READY) {
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE) {
      return std::unexpected(no_daemon(address_, look_at(address_)));
    }
    if (!channel_->WaitForStateChange(state, deadline)) {
      if (bound < kConnectBound) return std::unexpected(no_greeting(address_, timeout_text_));
      return std::unexpected(
          no_daemon(address_, "something listens there, but it does not speak HTTP/2"));
    }
    state = channel_->GetState(true);
  }
  return {};
}

std::unique_ptr<grpc::ClientContext> Session::context(
    std::optional<std::chrono::milliseconds> timeout) const {
  auto context = std::make_unique<grpc::ClientContext>();
  if (timeout_) timeout = timeout_;
  if (timeout) context->set_deadline(std::chrono::system_clock::now() + *timeout);
  return context;
}

void Session::print_json(const google::protobuf::Message& message) const {
  // Cannot fail for the control API's own messages: they hold no Any and only valid times.
  const auto text = to_json(message, JsonStyle::kLine, JsonFields::kAll);
  std::cout << text.value_or("{}") << std::endl;
}

}  // namespace plugind::pluginctl
