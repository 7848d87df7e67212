// What every command works with: the options of the command line and the connection.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "client-lib/pluginctl/address.h"
#include "client-lib/pluginctl/failure.h"
#include "client-lib/pluginctl/json.h"
#include "plugind/v1/plugin_host.grpc.pb.h"

namespace plugind::pluginctl {

struct Options {
  std::string socket;   ///< "" means the default.
  std::string timeout;  ///< "" means the command's own.
  bool json = false;
};

class Session {
 public:
  /// Understands the options; does not connect yet.
  static Result<std::unique_ptr<Session>> make(const Options& options);

  /// Connects and waits for the greeting, for 5 s or a shorter --timeout.  The failure says where
  /// the daemon was looked for and how to start it, or that the --timeout has passed.
  Result<> connect();

  v1::PluginHost::Stub& control() { return *control_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  /// A context with --timeout, else `timeout`, else no deadline.
  std::unique_ptr<grpc::ClientContext> context(
      std::optional<std::chrono::milliseconds> timeout) const;

  const Address& address() const { return address_; }
  /// It was named with --socket.
  bool address_given() const { return address_given_; }
  bool json() const { return json_; }
  bool colour() const { return colour_; }

  /// Writes a message to stdout as one line of JSON with all its fields.
  void print_json(const google::protobuf::Message& message) const;

 private:
  Session() = default;

  Address address_;
  bool address_given_ = false;
  std::optional<std::chrono::milliseconds> timeout_;
  std::string timeout_text_;  ///< As it was written.
  bool json_ = false;
  bool colour_ = false;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PluginHost::Stub> control_;
};

/// How long commands wait that the daemon answers at once.
inline constexpr std::chrono::seconds kPromptly{10};

}  // namespace plugind::pluginctl
