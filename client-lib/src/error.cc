#include "client-lib/src/error.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "proto/wire/percent.h"

namespace plugind::client {
namespace {

// It is never written: pd_error_free knows it.
constinit pd_error kOutOfMemory = {kResourceExhausted, "this process is out of memory", ""};

// An error with room for a message of `message_size` bytes, which is written to *message.
pd_error* allocate(int code, std::size_t message_size, std::string_view reason, char** message) {
  void* memory = std::malloc(sizeof(pd_error) + message_size + 1 + reason.size() + 1);
  if (memory == nullptr) return nullptr;
  auto* error = static_cast<pd_error*>(memory);
  char* text = reinterpret_cast<char*>(error + 1);
  if (!reason.empty()) std::memcpy(text, reason.data(), reason.size());
  text[reason.size()] = '\0';
  error->code = code;
  error->reason = text;
  *message = text + reason.size() + 1;
  error->message = *message;
  return error;
}

}  // namespace

pd_error* out_of_memory() { return &kOutOfMemory; }

pd_error* make_error(int code, std::string_view reason, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  const int size = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  if (size < 0) return out_of_memory();
  char* message = nullptr;
  pd_error* error = allocate(code, static_cast<std::size_t>(size), reason, &message);
  if (error == nullptr) return out_of_memory();
  va_start(arguments, format);
  std::vsnprintf(message, static_cast<std::size_t>(size) + 1, format, arguments);
  va_end(arguments);
  return error;
}

pd_error* make_status_error(int code, std::string_view message, std::string_view reason) {
  char* text = nullptr;
  pd_error* error = allocate(code, message.size(), reason, &text);
  if (error == nullptr) return out_of_memory();
  text[wire::percent_decode(message, text)] = '\0';
  return error;
}

void give_error(pd_error* error, pd_error** to) {
  if (to != nullptr) {
    *to = error;
  } else {
    pd_error_free(error);
  }
}

}  // namespace plugind::client

int pd_error_code(const pd_error* error) { return error->code; }
const char* pd_error_message(const pd_error* error) { return error->message; }
const char* pd_error_reason(const pd_error* error) { return error->reason; }

void pd_error_free(pd_error* error) {
  if (error != plugind::client::out_of_memory()) std::free(error);
}
