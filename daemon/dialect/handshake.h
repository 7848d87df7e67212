// go-plugin's handshake: a line on stdout that says where the plugin listens.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/dialect/lines.h"
#include "daemon/error.h"
#include "daemon/plugin/connection.h"

namespace plugind::dialect {

struct Handshake {
  plugin::Endpoint endpoint;
  std::uint32_t protocol_version = 0;  ///< Of the plugin's own protocol.
};

/// Whether a line is meant to be a handshake: a number, and at least four fields cut by '|'.
bool looks_like_handshake(std::string_view line);

/// Reads "1|APP_VERSION|NETWORK|ADDRESS|grpc[|SERVER_CERT[|MUX]]".  A relative socket path is taken
/// from `working_directory`.  Errors: HandshakeInvalid; ProtocolUnsupported for another core
/// protocol, a version that is not in `versions`, net/rpc, TLS, and an address that is not local.
std::expected<Handshake, Error> parse_handshake(std::string_view line,
                                                const std::vector<std::uint32_t>& versions,
                                                std::string_view working_directory);

/// Looks for the handshake in what a process prints.
class HandshakeReader {
 public:
  static constexpr std::size_t kMaxLines = 100;
  static constexpr std::size_t kMaxBytes = 64 << 10;
  static constexpr std::size_t kMaxLineLength = 16 << 10;

  HandshakeReader();
  HandshakeReader(const HandshakeReader&) = delete;
  HandshakeReader& operator=(const HandshakeReader&) = delete;

  void feed(std::string_view bytes);

  /// The line that looks like a handshake; "" until there is one.
  const std::string& line() const { return line_; }
  /// Too much came before a handshake; no more is looked at.
  bool overflowed() const { return overflowed_; }
  /// What came instead of a handshake, for a message: "printed 3 lines that are not it: …".  "" if
  /// nothing did.
  std::string describe_noise();

 private:
  void on_line(std::string_view line);

  LineSplitter splitter_;
  std::string line_;
  std::size_t bytes_ = 0;
  std::size_t noise_lines_ = 0;
  std::vector<std::string> noise_;  // The first ones.
  bool overflowed_ = false;
};

}  // namespace plugind::dialect
