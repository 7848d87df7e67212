// The last crash reports of a plugin, and how one comes about.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/crash_report.h"

namespace plugind::plugin {

/// Those of all plugins that had one name, one after another.  Lives on the loop.
class CrashLog {
 public:
  /// Of more than `most` reports the oldest are dropped.
  void keep(std::uint32_t most);
  /// Whether any is kept.
  bool keeps() const { return most_ > 0; }
  /// Gives it its number.
  void add(std::shared_ptr<CrashReport> report);

  std::size_t size() const { return reports_.size(); }
  /// Null if there is none.
  const CrashReport* last() const { return reports_.empty() ? nullptr : reports_.back().get(); }
  std::vector<CrashReport> newest_first() const;

 private:
  void trim();

  std::uint32_t most_ = 0;
  std::uint64_t next_number_ = 1;
  std::deque<std::shared_ptr<const CrashReport>> reports_;
};

/// How one instance ends, for whoever asks, which may be later than it lives: calls of other loops
/// hear of their loss by a way of their own.  Lives on the loop that owns the plugins.
class InstanceEnd {
 public:
  explicit InstanceEnd(std::shared_ptr<CrashLog> log) : log_(std::move(log)) {}

  /// Why calls on it fail; absent as long as that is not known.
  const std::optional<Error>& error() const { return error_; }
  void set_error(Error error) { error_ = std::move(error); }

  /// A call was on the instance when its connection went.
  void lose(LostCall call);
  /// It was only the connection.
  void forget_losses();
  /// It has ended by itself, or could not start.  The report is kept if it `failed` or, now or
  /// later, a call was lost.  All but the calls is filled in.
  void report(CrashReport report, bool failed);

  bool keeps_reports() const { return log_->keeps(); }

 private:
  void add_to_log();

  const std::shared_ptr<CrashLog> log_;
  std::optional<Error> error_;
  std::shared_ptr<CrashReport> report_ = std::make_shared<CrashReport>();
  bool reported_ = false;
  bool logged_ = false;
};

}  // namespace plugind::plugin
