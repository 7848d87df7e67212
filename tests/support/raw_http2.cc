#include "tests/support/raw_http2.h"

#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace plugind::testing {

namespace {

constexpr std::size_t kFrameHeader = 9;

void append_number(std::string& bytes, std::uint32_t value, int size) {
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) {
    bytes += static_cast<char>(value >> shift);
  }
}

std::uint32_t read_number(const std::string& bytes, std::size_t at, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i)
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

/// RFC 7541, 5.2, without Huffman.
void append_string(std::string& block, const std::string& text) {
  std::size_t left = text.size();
  if (left < 127) {
    block += static_cast<char>(left);
  } else {
    block += '\x7f';
    for (left -= 127; left >= 128; left >>= 7) block += static_cast<char>(left % 128 + 128);
    block += static_cast<char>(left);
  }
  block += text;
}

}  // namespace

std::string frame(FrameType type, std::uint8_t flags, std::uint32_t stream,
                  const std::string& payload) {
  std::string bytes;
  append_number(bytes, static_cast<std::uint32_t>(payload.size()), 3);
  bytes += static_cast<char>(type);
  bytes += static_cast<char>(flags);
  append_number(bytes, stream, 4);
  return bytes + payload;
}

std::string http2_preface() {
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(FrameType::kSettings, 0, 0, "");
}

std::string header_block(const Headers& headers) {
  std::string block;
  for (const auto& [name, value] : headers) {
    block += '\0';
    append_string(block, name);
    append_string(block, value);
  }
  return block;
}

Headers grpc_headers(const std::string& path, const Headers& changes) {
  Headers headers{{":method", "POST"}, {":scheme", "http"},
                  {":path", path},     {":authority", "localhost"},
                  {"te", "trailers"},  {"content-type", "application/grpc"}};
  for (const auto& change : changes) {
    const auto it = std::ranges::find(headers, change.first, &Headers::value_type::first);
    if (it == headers.end()) {
      headers.push_back(change);
    } else if (change.second.empty()) {
      headers.erase(it);
    } else {
      it->second = change.second;
    }
  }
  return headers;
}

RawConnection::RawConnection(const std::filesystem::path& socket)
    : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket.string().copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("connect " + socket.string() + ": " + std::strerror(errno));
  }
}

RawConnection::~RawConnection() { ::close(socket_); }

bool RawConnection::send(const std::string& bytes) const {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool RawConnection::read_more(std::chrono::milliseconds deadline) {
  pollfd readable{socket_, POLLIN, 0};
  if (ended_ || ::poll(&readable, 1, static_cast<int>(deadline.count())) != 1) return false;
  char buffer[1 << 16];
  const ssize_t n = ::recv(socket_, buffer, sizeof buffer, 0);
  if (n > 0) received_.append(buffer, static_cast<std::size_t>(n));
  ended_ = n <= 0;  // A reset is an end, too.
  return !ended_;
}

std::optional<std::string> RawConnection::read_to_end(std::chrono::milliseconds deadline) {
  while (read_more(deadline)) {
  }
  if (!ended_) return std::nullopt;
  return received_;
}

std::optional<Frame> RawConnection::read_frame(FrameType type) {
  while (auto frame = read_frame()) {
    if (frame->type == type) return frame;
  }
  return std::nullopt;
}

std::optional<Frame> RawConnection::read_frame() {
  while (received_.size() < kFrameHeader ||
         received_.size() < kFrameHeader + read_number(received_, 0, 3)) {
    if (!read_more(kDeadline)) return std::nullopt;
  }
  const std::size_t size = read_number(received_, 0, 3);
  Frame result{static_cast<FrameType>(received_[3]), static_cast<std::uint8_t>(received_[4]),
               read_number(received_, 5, 4), received_.substr(kFrameHeader, size)};
  received_.erase(0, kFrameHeader + size);
  return result;
}

HeaderDecoder::HeaderDecoder() {
  nghttp2_hd_inflater* inflater = nullptr;
  if (nghttp2_hd_inflate_new(&inflater) != 0) throw std::bad_alloc();
  inflater_ = inflater;
}

HeaderDecoder::~HeaderDecoder() {
  nghttp2_hd_inflate_del(static_cast<nghttp2_hd_inflater*>(inflater_));
}

Headers HeaderDecoder::decode(const std::string& block) {
  auto* inflater = static_cast<nghttp2_hd_inflater*>(inflater_);
  auto* bytes = reinterpret_cast<const std::uint8_t*>(block.data());
  std::size_t left = block.size();
  Headers headers;
  while (true) {
    nghttp2_nv field;
    int flags = 0;
    const auto used = nghttp2_hd_inflate_hd2(inflater, &field, &flags, bytes, left, 1);
    if (used < 0) throw std::runtime_error(nghttp2_strerror(static_cast<int>(used)));
    bytes += used;
    left -= static_cast<std::size_t>(used);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      headers.emplace_back(std::string(reinterpret_cast<char*>(field.name), field.namelen),
                           std::string(reinterpret_cast<char*>(field.value), field.valuelen));
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    if (left == 0 && (flags & NGHTTP2_HD_INFLATE_EMIT) == 0) break;
  }
  nghttp2_hd_inflate_end_headers(inflater);
  return headers;
}

std::string value_of(const Headers& headers, const std::string& name) {
  const auto it = std::ranges::find(headers, name, &Headers::value_type::first);
  return it == headers.end() ? "" : it->second;
}

}  // namespace plugind::testing
