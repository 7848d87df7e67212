// What the daemon's part of the program takes.  In the program with this, malloc() and the calls by
// which Asio reads and writes sockets are counted on their way.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>

/// Sums over all of daemon_share().
struct DaemonShare {
  std::uint64_t allocations = 0;  ///< Calls of malloc(), calloc() and realloc().
  std::uint64_t transfers = 0;    ///< Reads and writes of a socket, those in vain included.
};
extern DaemonShare daemon_share_so_far;

/// Does what there is to do on one of the daemon's loops.  callgrind is told this name
/// (--toggle-collect).  One thread at a time.
extern "C" void daemon_share(boost::asio::io_context& loop);
