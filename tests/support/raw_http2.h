// HTTP/2 written by hand, right or wrong, on a Unix socket.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/child_process.h"

namespace plugind::testing {

/// RFC 9113, 6: what is used here.
enum class FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr std::uint8_t kEndStream = 0x1, kAck = 0x1, kEndHeaders = 0x4;

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string frame(FrameType type, std::uint8_t flags, std::uint32_t stream,
                  const std::string& payload);
/// The preface of a client and an empty SETTINGS frame.
std::string http2_preface();
/// As HPACK literals that nobody indexes.
std::string header_block(const Headers& headers);
/// The headers of a gRPC call with changes: a value of "" takes the header away.
Headers grpc_headers(const std::string& path, const Headers& changes = {});

struct Frame {
  FrameType type = FrameType::kData;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;
  std::string payload;
};

class RawConnection {
 public:
  /// Throws if nobody listens.
  explicit RawConnection(const std::filesystem::path& socket);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  /// False when the peer has closed before it took all of it.
  bool send(const std::string& bytes) const;
  /// Everything that comes until the peer closes; nullopt if it does not before the deadline.
  std::optional<std::string> read_to_end(std::chrono::milliseconds deadline = kDeadline);
  /// The next frame of this type; nullopt at the end or after the deadline.
  std::optional<Frame> read_frame(FrameType type);
  /// The next frame of any type.
  std::optional<Frame> read_frame();

 private:
  bool read_more(std::chrono::milliseconds deadline);

  int socket_;
  bool ended_ = false;
  std::string received_;
};

/// Decodes header blocks of one connection, in order.
class HeaderDecoder {
 public:
  HeaderDecoder();
  ~HeaderDecoder();
  HeaderDecoder(const HeaderDecoder&) = delete;
  HeaderDecoder& operator=(const HeaderDecoder&) = delete;
  /// The value of each name; throws if it is no header block.
  Headers decode(const std::string& block);

 private:
  void* inflater_;
};

/// "" if there is none.
std::string value_of(const Headers& headers, const std::string& name);

}  // namespace plugind::testing
