// What Asio has told the system about a socket.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/system/error_code.hpp>

namespace plugind::platform {

/// Has the system forget which events of the socket somebody once waited for.  Asio's epoll reactor
/// never takes a wait for room to write back: epoll then tells of room with each wait that begins,
/// and whenever the peer reads, for nothing.  Nothing may wait for the socket.  It stays
/// non-blocking.  After an error it is of no use any more.
boost::system::error_code forget_waits(boost::asio::generic::stream_protocol::socket& socket);

}  // namespace plugind::platform
