#include "client-lib/src/call.h"

#include <cstdlib>
#include <cstring>

#include "client-lib/src/status.h"

namespace plugind::client {
namespace {

// As much of a request waits in the body as the connection can send at a time.
constexpr std::size_t kBodyHighWater = 256u << 10;
// Memory for a reply grows as it arrives: a prefix alone must not make us allocate 2 GiB.
constexpr std::size_t kFirstCapacity = 1u << 20;

}  // namespace

Call::Call(const void* request, std::size_t request_size, Listener* listener)
    : listener_(listener),
      request_(static_cast<const std::uint8_t*>(request)),
      request_left_(request_size) {}

Call::~Call() {
  std::free(reply_);
  pd_error_free(error_);
}

bool Call::fill_body() {
  if (!has_prefix_) {
    std::uint8_t prefix[wire::kMessagePrefixSize];
    wire::write_message_prefix(prefix, static_cast<std::uint32_t>(request_left_));
    if (!body_.bytes.append(prefix, sizeof(prefix))) return false;
    has_prefix_ = true;
  }
  if (request_left_ > 0 && body_.bytes.size() < kBodyHighWater) {
    std::size_t size = kBodyHighWater - body_.bytes.size();
    if (size > request_left_) size = request_left_;
    if (!body_.bytes.append(request_, size)) return false;
    request_ += size;
    request_left_ -= size;
  }
  if (request_left_ == 0) body_.finished = true;
  return true;
}

void Call::on_headers(wire::SessionHandler::Block block, const wire::HeaderList& headers,
                      bool end_stream) {
  if (is_done()) return;
  if (block == wire::SessionHandler::Block::kResponse) {
    pd_error* error = check_response(headers);
    if (error != nullptr) return fail(error);
  }
  if (end_stream) on_status(headers);
}

void Call::on_status(const wire::HeaderList& headers) {
  pd_error* error = read_status(headers);
  if (error != nullptr) return fail(error);
  if (!has_reply_ || !scanner_.is_between_messages()) {
    return fail(make_error(kInternal, "",
                           has_reply_ ? "the reply was cut short but its status is OK"
                                      : "the call ended with status OK but without a reply; is the "
                                        "method a unary one?"));
  }
  end();
}

void Call::on_data(const std::uint8_t* data, std::size_t size) {
  while (!is_done()) {
    const wire::MessageScanner::Step step = scanner_.next(data, size);
    switch (step.event) {
      case wire::MessageScanner::Event::kNeedMore:
        return;
      case wire::MessageScanner::Event::kBegin:
        if (has_reply_) {
          return fail(make_error(kInternal, "",
                                 "the method answered with more than one message; pd_invoke makes "
                                 "unary calls only"));
        }
        if (step.compressed) {
          return fail(make_error(kInternal, "",
                                 "the reply is compressed although compression was not offered"));
        }
        if (step.size > kMaxMessage) {
          return fail(make_error(kResourceExhausted, "",
                                 "the reply has %zu bytes; this library takes at most %zu",
                                 step.size, kMaxMessage));
        }
        if (!begin_reply(step.size)) return fail(out_of_memory());
        break;
      case wire::MessageScanner::Event::kPayload:
        if (!append(step.data, step.size)) return fail(out_of_memory());
        break;
      case wire::MessageScanner::Event::kEnd:
        break;
      case wire::MessageScanner::Event::kInvalid:
        return fail(make_error(kInternal, "", "the reply's body is not gRPC's"));
    }
  }
}

void Call::on_end_of_data() {
  if (is_done()) return;
  fail(make_error(kUnknown, "", "the call ended without a grpc-status"));
}

void Call::on_stream_closed(std::uint32_t error_code) {
  if (is_done()) return;
  if (error_code == wire::kRefusedStream) return refuse();
  fail(make_reset_error(error_code));
}

bool Call::begin_reply(std::size_t size) {
  has_reply_ = true;
  reply_left_ = size;
  const std::size_t capacity = size < kFirstCapacity ? size : kFirstCapacity;
  reply_ = static_cast<pd_reply*>(std::malloc(sizeof(pd_reply) + capacity));
  if (reply_ == nullptr) return false;
  *reply_ = {0, capacity};
  return true;
}

bool Call::append(const std::uint8_t* data, std::size_t size) {
  if (reply_->size + size > reply_->capacity) {
    // The scanner never reports more than the prefix announced, so the last step fits exactly.
    const std::size_t end = reply_->size + reply_left_;
    std::size_t capacity = reply_->capacity * 2;
    if (capacity < reply_->size + size) capacity = reply_->size + size;
    if (capacity > end) capacity = end;
    void* grown = std::realloc(reply_, sizeof(pd_reply) + capacity);
    if (grown == nullptr) return false;
    reply_ = static_cast<pd_reply*>(grown);
    reply_->capacity = capacity;
  }
  std::memcpy(reinterpret_cast<std::uint8_t*>(reply_ + 1) + reply_->size, data, size);
  reply_->size += size;
  reply_left_ -= size;
  return true;
}

void Call::end() {
  waiter.finish();
  if (listener_ != nullptr) listener_->on_call_ended();
}

void Call::fail(pd_error* error) {
  if (is_done()) return pd_error_free(error);
  error_ = error;
  end();
}

void Call::refuse() {
  if (is_done()) return;
  is_refused_ = true;
  end();
}

void Call::abandon() {
  listener_ = nullptr;
  request_ = nullptr;
  request_left_ = 0;
  waiter.is_done = true;
}

pd_reply* Call::take_reply() {
  pd_reply* reply = reply_;
  reply_ = nullptr;
  return reply;
}

pd_error* Call::take_error() {
  pd_error* error = error_;
  error_ = nullptr;
  return error;
}

}  // namespace plugind::client

const void* pd_reply_data(const pd_reply* reply) { return reply + 1; }
size_t pd_reply_size(const pd_reply* reply) { return reply->size; }
void pd_reply_free(pd_reply* reply) { std::free(reply); }
