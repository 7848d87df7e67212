// The small codecs: what is decoded stays within its bounds, and what is encoded decodes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "proto/wire/base64.h"
#include "proto/wire/framing.h"
#include "proto/wire/grpc_timeout.h"
#include "proto/wire/percent.h"
#include "proto/wire/status_details.h"

namespace {

using namespace plugind::wire;

#define REQUIRE(condition) \
  if (!(condition)) std::abort()

void fuzz_base64(std::string_view text) {
  std::vector<std::uint8_t> bytes(base64_decoded_bound(text.size()));
  const auto size = base64_decode(text, bytes.data());
  REQUIRE(!size || *size <= bytes.size());

  std::string encoded(base64_encoded_size(text.size()), '\0');
  REQUIRE(base64_encode(text.data(), text.size(), encoded.data()) == encoded.size());
  std::vector<std::uint8_t> again(base64_decoded_bound(encoded.size()));
  const auto decoded = base64_decode(encoded, again.data());
  REQUIRE(decoded);
  REQUIRE(std::string_view(reinterpret_cast<char*>(again.data()), *decoded) == text);
}

void fuzz_percent(std::string_view text) {
  std::string decoded(text.size(), '\0');
  REQUIRE(percent_decode(text, decoded.data()) <= text.size());
  std::string encoded(percent_encoded_size(text), '\0');
  REQUIRE(percent_encode(text, encoded.data()) == encoded.size());
  encoded.resize(percent_decode(encoded, encoded.data()));
  REQUIRE(encoded == text);
}

void fuzz_timeout(std::string_view text) {
  const auto timeout = parse_grpc_timeout(text);
  if (!timeout) return;
  REQUIRE(*timeout >= 0);
  const auto again = parse_grpc_timeout(format_grpc_timeout(*timeout).view());
  REQUIRE(again && *again >= *timeout);
}

void fuzz_framing(std::string_view bytes) {
  MessageScanner scanner;
  std::uint64_t announced = 0;
  std::uint64_t seen = 0;
  while (!bytes.empty()) {
    const std::size_t step = 1 + static_cast<std::uint8_t>(bytes.front()) % 40;
    const std::string_view piece = bytes.substr(0, step);
    bytes.remove_prefix(piece.size());
    const auto* data = reinterpret_cast<const std::uint8_t*>(piece.data());
    std::size_t size = piece.size();
    while (true) {
      const auto next = scanner.next(data, size);
      if (next.event == MessageScanner::Event::kNeedMore) break;
      if (next.event == MessageScanner::Event::kInvalid) return;
      if (next.event == MessageScanner::Event::kBegin) announced += next.size;
      if (next.event == MessageScanner::Event::kPayload) seen += next.size;
      REQUIRE(seen <= announced);
      if (next.event == MessageScanner::Event::kEnd) REQUIRE(seen == announced);
    }
    REQUIRE(size == 0);
  }
}

void fuzz_details(std::string_view bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const auto details = decode_status_details(data, bytes.size(), "plugind");
  if (!details) return;
  StatusDetails known;
  known.code = details->code;
  known.message = details->message;
  known.reason = details->reason;
  known.domain = details->domain;
  std::vector<std::uint8_t> encoded(encoded_status_details_size(known));
  REQUIRE(encode_status_details(known, encoded.data()) == encoded.size());
  const auto again = decode_status_details(encoded.data(), encoded.size(), "plugind");
  REQUIRE(again && again->code == known.code && again->message == known.message &&
          again->reason == known.reason && again->domain == known.domain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 5) {
    case 0:
      fuzz_base64(rest);
      break;
    case 1:
      fuzz_percent(rest);
      break;
    case 2:
      fuzz_timeout(rest);
      break;
    case 3:
      fuzz_framing(rest);
      break;
    case 4:
      fuzz_details(rest);
      break;
  }
  return 0;
}
