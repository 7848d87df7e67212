// The daemon's own gRPC calls to an instance: health checks, shutdown requests, output streams.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/forward/stream_sink.h"
#include "daemon/plugin/connection.h"
#include "proto/wire/framing.h"

namespace plugind::forward {

class UpstreamCore;

/// One stream.  Deletes itself when the stream has ended.
class OwnCall final : public StreamSink {
 public:
  static boost::asio::awaitable<std::expected<plugin::CallResult, Error>> unary(
      std::shared_ptr<UpstreamCore> core, boost::asio::any_io_executor loop, std::string method,
      std::string request, std::chrono::milliseconds timeout);

  /// No callback is made once `alive` has expired.
  static void server_stream(const std::shared_ptr<UpstreamCore>& core, std::weak_ptr<void> alive,
                            std::string method, std::string request,
                            std::function<void(std::string_view)> on_message,
                            std::function<void(plugin::CallResult)> on_end);

 private:
  using MessageHandler = std::function<void(std::string_view)>;
  using EndHandler = std::function<void(std::expected<plugin::CallResult, Error>)>;

  OwnCall(std::weak_ptr<void> alive, MessageHandler on_message, EndHandler on_end);
  /// False: the connection takes no more streams; the call has been deleted.
  static bool start(UpstreamCore& core, OwnCall* call, const std::string& method,
                    const std::string& request, std::chrono::milliseconds timeout);

  void on_headers(wire::SessionHandler::Block block, wire::HeaderList& headers,
                  bool end_stream) override;
  void on_data(const std::uint8_t* data, std::size_t size) override;
  void on_end_of_data() override {}
  void on_body_sent(std::size_t) override {}
  void on_headers_too_large() override;
  void on_closed(std::uint32_t error_code) override;
  void on_connection_lost(bool sent) override;
  void end(std::expected<plugin::CallResult, Error> outcome);

  std::weak_ptr<void> alive_;
  MessageHandler on_message_;
  EndHandler on_end_;
  std::shared_ptr<class Transport> transport_;
  wire::StreamId stream_ = -1;
  wire::Body body_;
  wire::MessageScanner scanner_;
  std::string message_;
  plugin::CallResult result_;
  bool has_status_ = false;
};

}  // namespace plugind::forward
