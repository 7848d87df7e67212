// The small codecs: what is decoded stays within its bounds, and what is encoded decodes.
//
// The first byte of an input chooses the codec.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/wire/base64.h"
#include "proto/wire/buffer.h"
#include "proto/wire/framing.h"
#include "proto/wire/grpc_timeout.h"
#include "proto/wire/header_list.h"
#include "proto/wire/percent.h"
#include "proto/wire/status_details.h"
#include "tests/fuzz/input.h"

namespace {

using namespace plugind;
using namespace plugind::wire;

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
  REQUIRE(text.size() >= 2 && text.size() <= 9);
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
  for (const std::string_view part : {details->message, details->reason, details->domain}) {
    if (part.empty()) continue;
    REQUIRE(part.data() >= bytes.data() &&
            part.data() + part.size() <= bytes.data() + bytes.size());
  }
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

// Against a list that is simple.
void fuzz_headers(fuzz::Input input) {
  struct Field {
    std::string_view name, value;
    bool never_index;
  };
  HeaderList list;
  std::vector<Field> model;
  while (!input.empty()) {
    const std::uint8_t sizes = input.byte();
    if (sizes == 0xff) {
      list.clear();
      model.clear();
      continue;
    }
    const std::string_view name = input.bytes(sizes & 7);
    if (name.empty()) continue;  // A field of HTTP has a name.
    const std::string_view value = input.bytes((sizes >> 3) * std::size_t{33});
    REQUIRE(list.add(name, value, (sizes & 1) != 0));
    model.push_back({name, value, (sizes & 1) != 0});
  }
  HeaderList moved = std::move(list);
  REQUIRE(moved.count() == model.size());
  for (std::size_t i = 0; i < model.size(); ++i) {
    REQUIRE(moved[i].name == model[i].name && moved[i].value == model[i].value);
    REQUIRE(moved[i].never_index == model[i].never_index);
    const auto first = std::ranges::find(model, model[i].name, &Field::name);
    REQUIRE(moved.get(model[i].name) == first->value && moved.has(model[i].name));
  }
}

// Two queues that share memory, against strings.
void fuzz_queues(fuzz::Input input) {
  ByteQueue queues[2];
  std::string models[2];
  std::uint8_t next = 0;
  while (!input.empty()) {
    const std::uint8_t operation = input.byte();
    const std::size_t amount = input.byte() * ((operation & 64) != 0 ? 300u : 1u);
    const std::size_t which = operation >> 7;
    ByteQueue& queue = queues[which];
    std::string& model = models[which];
    const std::size_t size = std::min(amount, model.size());
    switch (operation % 4) {
      case 0: {
        if (model.size() > 400'000) break;
        std::string bytes(amount, '\0');
        for (char& c : bytes) c = static_cast<char>(next++);
        REQUIRE(queue.append(bytes.data(), bytes.size()));
        model += bytes;
        break;
      }
      case 1:
        REQUIRE(queue.move_to(queues[1 - which], size));
        models[1 - which] += model.substr(0, size);
        model.erase(0, size);
        break;
      case 2:
        queue.pop(size);
        model.erase(0, size);
        break;
      case 3:
        if (amount == 0) queue.clear(), model.clear();
        break;
    }
    for (std::size_t i = 0; i < 2; ++i) {
      REQUIRE(queues[i].size() == models[i].size() && queues[i].empty() == models[i].empty());
      Slice slices[4];
      const std::size_t count = queues[i].peek(slices, 4);
      std::string_view rest = models[i];
      for (std::size_t k = 0; k < count; ++k) {
        const std::string_view slice(reinterpret_cast<const char*>(slices[k].data), slices[k].size);
        REQUIRE(rest.starts_with(slice));
        rest.remove_prefix(slice.size());
      }
      REQUIRE(count == 4 || rest.empty());
      const std::size_t head = std::min<std::size_t>(models[i].size(), 700);
      std::string copy(head, '\0');
      queues[i].copy_out(copy.data(), head);
      REQUIRE(models[i].starts_with(copy));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 7) {
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
    case 5:
      fuzz_headers({data + 1, size - 1});
      break;
    case 6:
      fuzz_queues({data + 1, size - 1});
      break;
  }
  return 0;
}
