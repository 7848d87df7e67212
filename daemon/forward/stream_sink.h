// Gets the events of one stream that this daemon opened to an instance.
#pragma once

#include <boost/intrusive/list_hook.hpp>
#include <cstddef>
#include <cstdint>

#include "proto/wire/session.h"

namespace plugind::forward {

class StreamSink : public boost::intrusive::list_base_hook<> {
 public:
  virtual void on_headers(wire::SessionHandler::Block block, wire::HeaderList& headers,
                          bool end_stream) = 0;
  /// Each byte must be given back to the session by consume().
  virtual void on_data(const std::uint8_t* data, std::size_t size) = 0;
  virtual void on_end_of_data() = 0;
  virtual void on_body_sent(std::size_t size) = 0;
  virtual void on_headers_too_large() = 0;
  /// The stream has ended; no event follows, and the sink is no longer referred to.
  virtual void on_closed(std::uint32_t error_code) = 0;
  /// The connection is gone.  `sent`: bytes of the request have left this process.  No event
  /// follows, and the sink is no longer referred to.
  virtual void on_connection_lost(bool sent) = 0;

 protected:
  ~StreamSink() = default;

 private:
  friend class UpstreamCore;
  static constexpr std::uint64_t kNotQueued = UINT64_MAX;
  std::uint64_t headers_queued_at_ = kNotQueued;  // Position in the connection's output.
};

}  // namespace plugind::forward
