// pd_error, and the words that this library itself answers with.
#pragma once

#include <cstddef>
#include <string_view>

#include "client-lib/include/plugind/plugind.h"

/// One allocation: the struct, then the message and the reason.
struct pd_error {
  int code;
  const char* message;
  const char* reason;
};

namespace plugind::client {

/// gRPC status codes.
enum Code : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

// Not inline: the symbols that GCC makes of inline variables cannot be made local.
constexpr char kReasonUnreachable[] = "DAEMON_UNREACHABLE";
constexpr char kReasonGone[] = "DAEMON_GONE";
constexpr char kReasonTimeout[] = "CALL_TIMEOUT";
constexpr char kReasonClosed[] = "CLIENT_CLOSED";
constexpr char kReasonCancelled[] = "CALL_CANCELLED";
constexpr char kReasonForked[] = "CLIENT_FORKED";

/// Never null: where memory is short, an error in static storage that says so.
[[gnu::format(printf, 3, 4)]] pd_error* make_error(int code, std::string_view reason,
                                                   const char* format, ...);

/// The error of a gRPC status that was received.  `message` is percent-encoded.
pd_error* make_status_error(int code, std::string_view message, std::string_view reason);

pd_error* out_of_memory();

/// Hands `error` to the caller of the C API, or frees it when nobody wants it.
void give_error(pd_error* error, pd_error** to);

}  // namespace plugind::client
