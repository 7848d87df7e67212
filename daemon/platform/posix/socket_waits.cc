#include "daemon/platform/socket_waits.h"

#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {

boost::system::error_code forget_waits(boost::asio::generic::stream_protocol::socket& socket) {
  boost::system::error_code ec;
  const auto protocol = socket.local_endpoint(ec).protocol();
  if (ec) return ec;
  UniqueFd descriptor(socket.release(ec));
  if (ec) return ec;
  socket.assign(protocol, descriptor.get(), ec);
  if (ec) return ec;
  descriptor.release();
  // That it is, the new registration does not know.
  socket.non_blocking(true, ec);
  return ec;
}

}  // namespace plugind::platform
