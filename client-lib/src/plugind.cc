// The functions of plugind.h that are about a client.  Those about options, replies and errors
// stand beside their types.
#include "client-lib/include/plugind/plugind.h"

#include "client-lib/src/client.h"
#include "client-lib/src/memory.h"

namespace {

using plugind::client::Client;

constexpr std::int64_t kDefaultConnectTimeoutMs = 5'000;

Client* unwrap(pd_client* client) { return reinterpret_cast<Client*>(client); }
pd_client* wrap(Client* client) { return reinterpret_cast<pd_client*>(client); }

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
    failure = make_error(kInvalidArgument, "", "the client is NULL: call pd_connect first");
  } else {
    reply = unwrap(client)->invoke({plugin, method, request, request_size, options}, &failure);
  }
  if (failure != nullptr) give_error(failure, error);
  return reply;
}
