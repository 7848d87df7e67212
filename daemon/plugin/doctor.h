// Looks for what usually goes wrong with plugins: what stands in the way of a start, and what is
// remembered of earlier ones.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/finding.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::plugin {

/// What the daemon remembers of a plugin.  `will_fail`: it is known already why the next start
/// fails, so that the last failure need not be told as well.
std::vector<Finding> remembered(const PluginStatus& status, bool will_fail);

/// Lives on the loop.
class Doctor {
 public:
  /// So many at a time; each has directories and perhaps processes of its own.
  static constexpr std::size_t kMostAtOnce = 4;
  using Callback = std::function<void(std::expected<std::vector<Finding>, Error>)>;

  /// What `environment` refers to outlives the doctor.
  explicit Doctor(const Environment& environment);
  /// Nothing is under way any more: see stop().
  ~Doctor();
  Doctor(const Doctor&) = delete;
  Doctor& operator=(const Doctor&) = delete;

  /// Looks at these plugins, one after the other.  Nothing of them is started, but for the commands
  /// of their `requires`.  Error: TooManyDiagnoses; Draining.
  void examine(std::vector<PluginStatus> plugins, Callback done);
  /// Ends what is under way (Draining); `done` is called when nothing of it is left.
  void stop(std::function<void()> done);

 private:
  using Cancels = std::list<boost::asio::cancellation_signal>;

  boost::asio::awaitable<std::vector<Finding>> run(std::vector<PluginStatus> plugins);
  boost::asio::awaitable<std::vector<Finding>> examine_one(const PluginStatus& status);
  void ended(Cancels::iterator one);

  const Environment environment_;
  Cancels running_;
  bool stopping_ = false;
  std::function<void()> stopped_;
  std::uint64_t next_ = 1;
};

}  // namespace plugind::plugin
