#include "client-lib/src/pending_call.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "client-lib/src/client.h"

namespace plugind::client {

PendingCall* PendingCall::create(Client& client, const void* request, std::size_t size,
                                 std::uint64_t tag) {
  if (size > SIZE_MAX - sizeof(PendingCall)) return nullptr;
  void* memory = std::malloc(sizeof(PendingCall) + size);
  if (memory == nullptr) return nullptr;
  auto* call = ::new (memory) PendingCall(client, tag);
  if (size > 0) std::memcpy(static_cast<void*>(call + 1), request, size);
  call->invocation.message = call + 1;
  call->invocation.size = size;
  call->invocation.listener = call;
  return call;
}

void PendingCall::destroy(PendingCall* call) {
  call->~PendingCall();
  std::free(call);
}

PendingCall::~PendingCall() {
  pd_reply_free(reply);
  pd_error_free(error);
}

void PendingCall::on_call_ended() { client.on_pending_ended(*this); }

}  // namespace plugind::client
