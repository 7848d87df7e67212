// pd_* for tests: outcomes that can be compared, and memory that frees itself.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "client-lib/include/plugind/plugind.h"

namespace plugind::test {

struct Outcome {
  int code = 0;
  std::string message;  // The reply, or the error's message.
  std::string reason;
};

inline Outcome outcome_of(pd_error* error) {
  Outcome outcome{pd_error_code(error), pd_error_message(error), pd_error_reason(error)};
  pd_error_free(error);
  return outcome;
}

/// Frees both.
inline Outcome outcome_of(pd_reply* reply, pd_error* error) {
  EXPECT_EQ(reply == nullptr, error != nullptr);
  if (error != nullptr) return outcome_of(error);
  Outcome outcome;
  outcome.message.assign(static_cast<const char*>(pd_reply_data(reply)), pd_reply_size(reply));
  pd_reply_free(reply);
  return outcome;
}

struct FreeOptions {
  void operator()(pd_options* options) const { pd_options_free(options); }
};
using Options = std::unique_ptr<pd_options, FreeOptions>;

inline Options with_timeout(std::int64_t milliseconds) {
  Options options(pd_options_new());
  pd_options_set_timeout_ms(options.get(), milliseconds);
  return options;
}

/// A pd_call; frees it.
class PendingCall {
 public:
  explicit PendingCall(pd_call* call) : call_(call) {}
  PendingCall(PendingCall&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  ~PendingCall() { pd_call_free(call_); }

  pd_call* get() const { return call_; }
  void free() { pd_call_free(std::exchange(call_, nullptr)); }
  void cancel() { pd_call_cancel(call_); }
  Outcome wait() {
    pd_error* error = nullptr;
    pd_reply* reply = pd_call_wait(call_, &error);
    return outcome_of(reply, error);
  }

 private:
  pd_call* call_;
};

/// A connected pd_client.
class Client {
 public:
  explicit Client(const std::string& address, std::int64_t timeout_ms = 0) {
    pd_error* error = nullptr;
    client_ = pd_connect(address.c_str(), timeout_ms, &error);
    EXPECT_EQ(client_ == nullptr, error != nullptr);
    if (error != nullptr) ADD_FAILURE() << outcome_of(error).message;
  }
  ~Client() { close(); }
  void close() { pd_close(std::exchange(client_, nullptr)); }
  pd_client* get() { return client_; }

  Outcome call(const std::string& method, const std::string& request = "",
               const pd_options* options = nullptr, const char* plugin = nullptr) {
    pd_error* error = nullptr;
    pd_reply* reply = pd_invoke(client_, plugin, ("/test.Test/" + method).c_str(), request.data(),
                                request.size(), options, &error);
    return outcome_of(reply, error);
  }

  PendingCall begin(const std::string& method, const std::string& request = "",
                    const pd_options* options = nullptr, std::uint64_t tag = 0) {
    pd_error* error = nullptr;
    pd_call* call = pd_call_begin(client_, nullptr, ("/test.Test/" + method).c_str(),
                                  request.data(), request.size(), options, tag, &error);
    EXPECT_EQ(call == nullptr, error != nullptr);
    if (error != nullptr) ADD_FAILURE() << outcome_of(error).message;
    return PendingCall(call);
  }

 private:
  pd_client* client_;
};

}  // namespace plugind::test
