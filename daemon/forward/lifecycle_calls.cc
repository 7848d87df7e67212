// What an unmodified go-plugin host says about its plugin's life is answered here: the daemon owns
// that life (hashicorp/go-plugin, internal/plugin/grpc_controller.proto and grpc_stdio.proto).
#include <array>
#include <string>

#include "daemon/forward/call.h"
#include "daemon/forward/downstream.h"
#include "daemon/forward/status_reply.h"

namespace plugind::forward {

namespace {

// A host that does not read its copy of the output loses lines rather than the daemon's memory.
constexpr std::size_t kOutputBound = 256 << 10;

/// A StdioData message with its gRPC prefix: channel (1) STDOUT = 1 or STDERR = 2, data (2).
std::string stdio_message(const plugin::LogLine& line) {
  std::string message;
  message += '\x08';
  message += line.stream == plugin::OutputStream::kStdout ? '\x01' : '\x02';
  message += '\x12';
  std::size_t size = line.text.size() + 1;
  while (size >= 0x80) {
    message += static_cast<char>(size | 0x80);
    size >>= 7;
  }
  message += static_cast<char>(size);
  message += line.text;
  message += '\n';
  std::array<std::uint8_t, wire::kMessagePrefixSize> prefix;
  wire::write_message_prefix(prefix.data(), static_cast<std::uint32_t>(message.size()));
  message.insert(message.begin(), prefix.begin(), prefix.end());
  return message;
}

}  // namespace

bool Call::answer_lifecycle_call() {
  const std::string_view path = request_.get(":path");
  if (path == "/plugin.GRPCController/Shutdown") {
    downstream_->end_interest(*plugin_);
    wire::HeaderList headers;
    add_response_start(headers);
    down().submit_response(down_stream_, headers, &down_body_);
    std::array<std::uint8_t, wire::kMessagePrefixSize> empty_message;
    wire::write_message_prefix(empty_message.data(), 0);
    down_body_.bytes.append(empty_message.data(), empty_message.size());
    trailers_.add("grpc-status", "0");
    down().finish_with_trailers(down_stream_, down_body_, trailers_);
    down_transport_->touch();
    response_started_ = true;
    response_ended();
    return true;
  }
  if (path == "/plugin.GRPCStdio/StreamStdio") {
    follow_output();
    return true;
  }
  return false;
}

void Call::follow_output() {
  wire::HeaderList headers;
  add_response_start(headers);
  down().submit_response(down_stream_, headers, &down_body_);
  down_transport_->touch();
  response_started_ = true;
  const auto pass_on = [this](const plugin::LogLine& line) {
    if (downstream_ == nullptr || response_ended_) return;
    if (down_body_.bytes.size() > kOutputBound) return;
    const std::string message = stdio_message(line);
    down_body_.bytes.append(message.data(), message.size());
    down().resume(down_stream_, down_body_);
    down_transport_->touch();
  };
  output_subscription_ = plugin_->follow_output(host_id(), pass_on);
}

}  // namespace plugind::forward
