// What every connection and call of one loop shares.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>

#include "daemon/forward/deadlines.h"
#include "daemon/forward/flush_queue.h"
#include "daemon/forward/host_table.h"
#include "daemon/forward/router.h"
#include "proto/wire/session.h"

namespace plugind::forward {

class ControlLink;

struct Counters {
  std::uint64_t calls = 0;
  std::size_t calls_at_plugins = 0;  ///< Passed on to a plugin, and not ended.
  std::uint64_t connections = 0;     ///< Open ones of hosts.
};

struct Context {
  boost::asio::any_io_executor loop;
  FlushQueue& queue;
  Deadlines& deadlines;
  HostTable& hosts;
  Router& router;
  ControlLink& control;
  wire::Limits limits;
  bool draining = false;
  Counters counters;
};

}  // namespace plugind::forward
