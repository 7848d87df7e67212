#include "client-lib/pluginctl/dynamic_call.h"

#include <google/protobuf/dynamic_message.h>

#include <optional>
#include <thread>
#include <utility>

namespace plugind::pluginctl {
namespace {

namespace pb = google::protobuf;

/// JSON of a message type to its bytes and back.
class Translator {
 public:
  explicit Translator(const pb::Descriptor* type) : prototype_(factory_.GetPrototype(type)) {}

  Result<std::string> to_bytes(const std::string& json) const {
    const std::unique_ptr<pb::Message> message(prototype_->New());
    if (auto read = from_json(json, *message); !read) {
      return usage("the input is no " + prototype_->GetDescriptor()->full_name() + ": " +
                   read.error());
    }
    return message->SerializeAsString();
  }

  Result<std::string> to_text(const std::string& bytes, JsonStyle style) const {
    const std::unique_ptr<pb::Message> message(prototype_->New());
    std::string problem = "its bytes do not parse";
    if (message->ParseFromString(bytes)) {
      auto text = to_json(*message, style);
      if (text) return std::move(*text);
      problem = text.error();
    }
    return std::unexpected(Failure{ExitCode::kAnswered,
                                   "the reply cannot be shown as " +
                                       prototype_->GetDescriptor()->full_name() + ": " + problem});
  }

 private:
  pb::DynamicMessageFactory factory_;
  const pb::Message* prototype_;
};

/// The one request of a method that takes one.
Result<std::string> only_request(const Translator& translator, JsonInput& input) {
  auto first = input.next();
  if (!first) return std::unexpected(first.error());
  auto second = *first ? input.next() : Result<std::optional<std::string>>{};
  if (!second) return std::unexpected(second.error());
  if (*second) return usage("the method takes one request, and there are several JSON values");
  return translator.to_bytes(first->value_or("{}"));
}

/// Sends every value of the input.  Shared with the thread that does it, which may outlive the call
/// while it waits for standard input.
struct Sending {
  Sending(const pb::Descriptor* type, std::unique_ptr<JsonInput> json, std::shared_ptr<RawCall> to)
      : translator(type), input(std::move(json)), call(std::move(to)) {}

  Result<> run() {
    for (;;) {
      auto value = input->next();
      if (!value) return std::unexpected(value.error());
      if (!*value) break;
      const auto bytes = translator.to_bytes(**value);
      if (!bytes) return std::unexpected(bytes.error());
      if (!call->write(*bytes)) return {};  // The call has ended and will say why.
    }
    call->writes_done();
    return {};
  }

  Translator translator;
  std::unique_ptr<JsonInput> input;
  std::shared_ptr<RawCall> call;
  std::mutex mutex;
  std::optional<Failure> failure;
};

Result<> receive(const DynamicCall& call, RawCall& raw) {
  const Translator translator(call.method->output_type());
  std::string bytes;
  std::optional<Failure> failure;
  while (raw.read(bytes)) {
    const auto text = translator.to_text(bytes, call.style);
    if (!text) return std::unexpected(text.error());
    call.on_reply(*text);
  }
  return result_of(raw.finish());
}

}  // namespace

Result<> make_call(const DynamicCall& call, std::unique_ptr<JsonInput> input) {
  if (!call.method->client_streaming()) {
    const auto request = only_request(Translator(call.method->input_type()), *input);
    if (!request) return std::unexpected(request.error());
    const auto raw = call.start();
    if (raw->write(*request)) raw->writes_done();
    return receive(call, *raw);
  }

  std::shared_ptr<RawCall> raw = call.start();
  const auto sending = std::make_shared<Sending>(call.method->input_type(), std::move(input), raw);
  std::thread([sending] {
    auto sent = sending->run();
    if (sent) return;
    const std::lock_guard lock(sending->mutex);
    sending->failure = sent.error();
    sending->call->cancel();
  }).detach();
  auto received = receive(call, *raw);
  const std::lock_guard lock(sending->mutex);
  if (sending->failure) return std::unexpected(*sending->failure);
  return received;
}

}  // namespace plugind::pluginctl
