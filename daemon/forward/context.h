// What every connection and call of one loop shares.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>

#include "daemon/forward/access.h"
#include "daemon/forward/admission.h"
#include "daemon/forward/calls_at_plugins.h"
#include "daemon/forward/deadlines.h"
#include "daemon/forward/flush_queue.h"
#include "daemon/forward/header_pool.h"
#include "daemon/forward/refusal_log.h"
#include "daemon/forward/router.h"
#include "daemon/platform/local_socket.h"
#include "daemon/platform/peer_identity.h"
#include "daemon/plugin/call_target.h"
#include "proto/wire/session.h"

namespace plugind::forward {

class ControlLink;

/// Of one loop.
struct Counters {
  std::uint64_t calls = 0;
  CallsAtPlugins calls_at_plugins;
};

/// What holds for hosts and their connections.
struct HostPolicy {
  AccessPolicy access{};
  Admission::Bounds connections{};
  /// After so long without a call a connection is closed; 0: never.
  std::chrono::milliseconds idle_timeout{0};
  /// So long a host that has been told all may take to close its connection.
  std::chrono::milliseconds linger{250};
  /// Of plugin sockets.  The front socket's lock guards the whole runtime directory.
  platform::LocalSocketOptions plugin_sockets{.lock = false};
  /// Who is at the other end of a socket.  Tests make hosts of other users with it.
  std::function<std::expected<platform::PeerIdentity, Error>(int socket)> identify =
      platform::peer_identity;
};

/// Called with one line for the log.
using Report = std::function<void(const std::string& event, const std::string& detail)>;

/// A loop of several that forward; every connection and call stays on one.
struct LaneNumber {
  std::uint32_t index = 0;
  std::uint32_t count = 1;
};

struct Context {
  boost::asio::any_io_executor loop;
  LaneNumber lane;
  FlushQueue& queue;
  Deadlines& deadlines;
  plugin::CallTargets& plugins;
  Router& router;
  ControlLink& control;
  wire::Limits limits;
  HostPolicy policy;
  Report report;
  RefusalLog refusals;
  HeaderPool header_pool;
  bool draining = false;
  Counters counters;
};

}  // namespace plugind::forward
