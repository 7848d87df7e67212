// The functions of plugind.h that are about a client.  Those about options, replies and errors
// stand beside their types.
#include "client-lib/include/plugind/plugind.h"

#include "client-lib/src/client.h"
#include "client-lib/src/memory.h"

namespace {

using plugind::client::Client;
using plugind::client::PendingCall;

constexpr std::int64_t kDefaultConnectTimeoutMs = 5'000;

Client* unwrap(pd_client* client) { return reinterpret_cast<Client*>(client); }
pd_client* wrap(Client* client) { return reinterpret_cast<pd_client*>(client); }
PendingCall* unwrap(pd_call* call) { return reinterpret_cast<PendingCall*>(call); }
pd_call* wrap(PendingCall* call) { return reinterpret_cast<pd_call*>(call); }

pd_error* null_client() {
  return plugind::client::make_error(plugind::client::kInvalidArgument, "",
                                     "the client is NULL: call pd_connect first");
}

}  // namespace

const char* pd_version(void) { return PD_VERSION; }

pd_client* pd_connect(const char* address, int64_t timeout_ms, pd_error** error) {
  using namespace plugind::client;
  Address parsed;
  if (pd_error* failure = parse_address(address, parsed)) {
    give_error(failure, error);
    return nullptr;
  }
  auto* client = create<Client>(parsed, timeout_ms > 0 ? timeout_ms : kDefaultConnectTimeoutMs);
  pd_error* failure = client != nullptr ? client->open() : out_of_memory();
  if (failure == nullptr) return wrap(client);
  if (client != nullptr) Client::close(client);
  give_error(failure, error);
  return nullptr;
}

void pd_close(pd_client* client) {
  if (client != nullptr) Client::close(unwrap(client));
}

pd_reply* pd_invoke(pd_client* client, const char* plugin, const char* method, const void* request,
                    size_t request_size, const pd_options* options, pd_error** error) {
  using namespace plugind::client;
  pd_error* failure = nullptr;
  pd_reply* reply = nullptr;
  if (client == nullptr) {
    failure = null_client();
  } else {
    reply = unwrap(client)->invoke({plugin, method, request, request_size, options}, &failure);
  }
  if (failure != nullptr) give_error(failure, error);
  return reply;
}

pd_call* pd_call_begin(pd_client* client, const char* plugin, const char* method,
                       const void* request, size_t request_size, const pd_options* options,
                       uint64_t tag, pd_error** error) {
  using namespace plugind::client;
  pd_error* failure = nullptr;
  PendingCall* call = nullptr;
  if (client == nullptr) {
    failure = null_client();
  } else {
    call = unwrap(client)->begin({plugin, method, request, request_size, options}, tag, &failure);
  }
  if (failure != nullptr) give_error(failure, error);
  return wrap(call);
}

pd_reply* pd_call_wait(pd_call* call, pd_error** error) {
  using namespace plugind::client;
  pd_error* failure = nullptr;
  pd_reply* reply = nullptr;
  if (call == nullptr) {
    failure = make_error(kInvalidArgument, "", "the call is NULL: call pd_call_begin first");
  } else {
    reply = unwrap(call)->client.wait(*unwrap(call), &failure);
  }
  if (failure != nullptr) give_error(failure, error);
  return reply;
}

void pd_call_cancel(pd_call* call) {
  if (call != nullptr) unwrap(call)->client.cancel(*unwrap(call));
}

void pd_call_free(pd_call* call) {
  if (call != nullptr) Client::release(unwrap(call));
}

uint64_t pd_call_tag(const pd_call* call) {
  return reinterpret_cast<const PendingCall*>(call)->tag;
}

pd_call* pd_next(pd_client* client, int64_t timeout_ms) {
  return client == nullptr ? nullptr : wrap(unwrap(client)->next(timeout_ms));
}

void pd_flush(pd_client* client) {
  if (client != nullptr) unwrap(client)->flush();
}
