#include "daemon/plugin/crash_log.h"

#include <utility>

#include "daemon/plugin/printable.h"

namespace plugind::plugin {

void CrashLog::keep(std::uint32_t most) {
  most_ = most;
  trim();
}

void CrashLog::add(std::shared_ptr<CrashReport> report) {
  report->number = next_number_++;
  reports_.push_back(std::move(report));
  trim();
}

void CrashLog::trim() {
  while (reports_.size() > most_) reports_.pop_front();
}

std::vector<CrashReport> CrashLog::newest_first() const {
  std::vector<CrashReport> all;
  all.reserve(reports_.size());
  for (auto it = reports_.rbegin(); it != reports_.rend(); ++it) all.push_back(**it);
  return all;
}

void InstanceEnd::lose(LostCall call) {
  ++report_->calls_lost;
  if (report_->calls.size() < CrashReport::kMaxCalls) {
    call.method = printable(call.method, CrashReport::kMaxMethod);
    report_->calls.push_back(std::move(call));
  }
  if (reported_) add_to_log();
}

void InstanceEnd::forget_losses() {
  report_->calls_lost = 0;
  report_->calls.clear();
}

void InstanceEnd::report(CrashReport report, bool failed) {
  report.calls_lost = report_->calls_lost;
  report.calls = std::move(report_->calls);
  *report_ = std::move(report);
  reported_ = true;
  if (failed || report_->calls_lost > 0) add_to_log();
}

void InstanceEnd::add_to_log() {
  if (!std::exchange(logged_, true)) log_->add(report_);
}

}  // namespace plugind::plugin
