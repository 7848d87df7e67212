#include "client-lib/pluginctl/dynamic_call.h"

#include <google/protobuf/dynamic_message.h>

#include <mutex>
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
/// while it waits for standard input, and must then touch nothing else any more: the messages'
/// descriptors are gone.
class Sending {
 public:
  Sending(const pb::Descriptor* type, std::unique_ptr<JsonInput> json, std::shared_ptr<RawCall> to)
      : input_(std::move(json)), call_(std::move(to)) {
    translator_.emplace(type);
  }

  void run() {
    while (send(input_->next())) {
    }
  }

  /// The call has ended.  The failure is the input's, if that was why.
  Result<> end() {
    // It may go on where a reply could not be shown; the thread may be in write().
    call_->cancel();
    const std::lock_guard lock(mutex_);
    translator_.reset();
    if (failure_) return std::unexpected(*failure_);
    return {};
  }

 private:
  /// Whether more may be sent.
  bool send(const Result<std::optional<std::string>>& value) {
    const std::lock_guard lock(mutex_);
    if (!translator_) return false;
    if (!value) return fail(value.error());
    if (!*value) {
      call_->writes_done();
      return false;
    }
    const auto bytes = translator_->to_bytes(**value);
    if (!bytes) return fail(bytes.error());
    return call_->write(*bytes);  // False: the call has ended and will say why.
  }

  bool fail(const Failure& failure) {
    failure_ = failure;
    call_->cancel();
    return false;
  }

  const std::unique_ptr<JsonInput> input_;
  const std::shared_ptr<RawCall> call_;
  std::mutex mutex_;  // For what follows, and held while it is used.
  std::optional<Translator> translator_;
  std::optional<Failure> failure_;
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
  std::thread([sending] { sending->run(); }).detach();
  auto received = receive(call, *raw);
  if (const auto sent = sending->end(); !sent) return sent;
  return received;
}

}  // namespace plugind::pluginctl
