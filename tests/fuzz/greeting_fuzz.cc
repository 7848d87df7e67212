// What a plugin prints and answers before it is trusted.
#include <cstdlib>
#include <string_view>

#include "daemon/dialect/handshake.h"
#include "daemon/dialect/protobuf.h"
#include "daemon/plugin/printable.h"

namespace {

using plugind::dialect::HandshakeReader;

// The pieces in which the bytes come must make no difference.
std::string handshake_in_pieces(std::string_view text, std::size_t piece) {
  HandshakeReader reader;
  for (std::size_t i = 0; i < text.size(); i += piece) reader.feed(text.substr(i, piece));
  const std::string line = reader.line();
  if (reader.describe_noise().size() > 2'000) std::abort();
  return line;
}

void check_fields_are_within(std::string_view text) {
  plugind::dialect::ProtobufReader reader(text);
  while (const auto field = reader.next()) {
    if (!field->is_bytes || field->bytes.empty()) continue;
    if (field->bytes.data() < text.data() ||
        field->bytes.data() + field->bytes.size() > text.data() + text.size()) {
      std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string line = handshake_in_pieces(text, 1);
  if (size < HandshakeReader::kMaxLineLength && line != handshake_in_pieces(text, 97)) std::abort();
  if (!line.empty()) {
    const auto handshake = plugind::dialect::parse_handshake(line, {1, 5}, "/srv");
    if (handshake) {
      if (handshake->protocol_version != 1 && handshake->protocol_version != 5) std::abort();
    } else if (handshake.error().message.size() > 2'000) {
      std::abort();
    }
  }
  check_fields_are_within(text);
  // Printing twice changes nothing but what the first time was cut.
  const std::string once = plugind::plugin::printable(text, size);
  if (plugind::plugin::printable(once, once.size()) != once) std::abort();
  return 0;
}
