#include "client-lib/pluginctl/raw_call.h"

#include <vector>

namespace plugind::pluginctl {
namespace {

std::string to_string(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!buffer.Dump(&slices).ok()) return bytes;
  bytes.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

}  // namespace

RawCall::RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                 std::unique_ptr<grpc::ClientContext> context)
    : context_(std::move(context)), stub_(channel) {
  stub_.PrepareBidiStreamingCall(context_.get(), method, grpc::StubOptions(), this);
  AddHold();
  StartCall();
}

RawCall::~RawCall() {
  context_->TryCancel();
  finish();
}

// Operations are started with the lock held: none is started after release().

bool RawCall::write(const std::string& message) {
  std::unique_lock lock(mutex_);
  if (!held_) return false;
  const grpc::Slice slice(message);
  outgoing_ = grpc::ByteBuffer(&slice, 1);
  writing_ = true;
  StartWrite(&outgoing_);
  changed_.wait(lock, [this] { return !writing_; });
  return write_ok_;
}

void RawCall::writes_done() {
  const std::lock_guard lock(mutex_);
  if (held_) StartWritesDone();
}

bool RawCall::read(std::string& message) {
  std::unique_lock lock(mutex_);
  if (!held_) return false;
  reading_ = true;
  StartRead(&incoming_);
  changed_.wait(lock, [this] { return !reading_; });
  if (read_ok_) message = to_string(incoming_);
  return read_ok_;
}

grpc::Status RawCall::finish() {
  release();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return done_; });
  return status_;
}

void RawCall::cancel() { context_->TryCancel(); }

void RawCall::release() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(held_, false)) RemoveHold();
}

void RawCall::OnReadDone(bool ok) {
  const std::lock_guard lock(mutex_);
  reading_ = false;
  read_ok_ = ok;
  changed_.notify_all();
}

void RawCall::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  write_ok_ = ok;
  changed_.notify_all();
}

void RawCall::OnDone(const grpc::Status& status) {
  const std::lock_guard lock(mutex_);
  status_ = status;
  done_ = true;
  changed_.notify_all();
}

}  // namespace plugind::pluginctl
