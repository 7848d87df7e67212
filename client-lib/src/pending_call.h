// pd_call: a call that no thread has to wait for.
#pragma once

#include <cstdint>

#include "client-lib/src/invocation.h"

namespace plugind::client {

class Client;

/// One allocation: the object, then a copy of the request.  All but `client` and `tag` need the
/// client's lock.
class PendingCall final : private Call::Listener {
 public:
  /// Null when memory is short.
  static PendingCall* create(Client& client, const void* request, std::size_t size,
                             std::uint64_t tag);
  static void destroy(PendingCall* call);
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;

  Client& client;
  const std::uint64_t tag;
  Invocation invocation;
  Link<PendingCall> under_way_link;
  Link<PendingCall> ended_link;
  Link<PendingCall> deadline_link;
  // The outcome.
  pd_reply* reply = nullptr;
  pd_error* error = nullptr;
  bool is_settled = false;   ///< It has one.
  bool is_answered = false;  ///< It was given away.
  bool is_held = false;      ///< A thread starts or settles it; others wait for Client::changed_.
  bool is_cancelled = false;
  bool is_waited_for = false;

 private:
  PendingCall(Client& owner, std::uint64_t its_tag) : client(owner), tag(its_tag) {}
  ~PendingCall();
  void on_call_ended() override;
};

}  // namespace plugind::client
