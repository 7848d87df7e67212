#include "daemon/plugin/output_log.h"

#include <algorithm>

namespace plugind::plugin {

OutputLog::OutputLog() : OutputLog(Limits{}) {}

OutputLog::OutputLog(Limits limits)
    : limits_(limits), followers_(std::make_shared<std::list<Follower>>()) {}

OutputLog::Partial& OutputLog::partial(const std::string& instance, OutputStream stream) {
  for (Partial& p : partials_) {
    if (p.stream == stream && p.instance == instance) return p;
  }
  return partials_.emplace_back(Partial{instance, stream, {}, false});
}

void OutputLog::append(const std::string& instance, OutputStream stream, std::string_view bytes,
                       std::chrono::system_clock::time_point now) {
  Partial& rest = partial(instance, stream);
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    const std::size_t room = limits_.line_length - rest.text.size();
    rest.text.append(piece.substr(0, room));
    rest.truncated |= piece.size() > room;
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    if (!rest.text.empty() && rest.text.back() == '\r') rest.text.pop_back();
    add_line(instance, stream, std::exchange(rest.text, {}), std::exchange(rest.truncated, false),
             now);
  }
}

void OutputLog::finish(const std::string& instance, std::chrono::system_clock::time_point now) {
  for (Partial& p : partials_) {
    if (p.instance == instance && !p.text.empty()) {
      add_line(instance, p.stream, std::move(p.text), p.truncated, now);
    }
  }
  std::erase_if(partials_, [&](const Partial& p) { return p.instance == instance; });
}

void OutputLog::add_line(const std::string& instance, OutputStream stream, std::string text,
                         bool truncated, std::chrono::system_clock::time_point now) {
  bytes_ += text.size();
  lines_.push_back({next_sequence_++, now, instance, stream, std::move(text), truncated});
  while (lines_.size() > limits_.lines || (bytes_ > limits_.bytes && lines_.size() > 1)) {
    bytes_ -= lines_.front().text.size();
    lines_.pop_front();
  }
  // A follower may end its own subscription while it is called.
  for (auto it = followers_->begin(); it != followers_->end();) {
    const Follower follower = *it++;
    follower(lines_.back());
  }
}

std::vector<LogLine> OutputLog::tail(std::size_t count) const {
  const std::size_t n = std::min(count, lines_.size());
  return {lines_.end() - static_cast<std::ptrdiff_t>(n), lines_.end()};
}

std::string OutputLog::last_stderr(const std::string& instance, std::size_t count,
                                   std::size_t max_bytes) const {
  std::vector<std::string_view> picked;
  std::size_t size = 0;
  auto take = [&](std::string_view text) {
    if (picked.size() >= count || size >= max_bytes) return false;
    if (size + text.size() + 1 > max_bytes) {
      if (!picked.empty()) return false;
      text = text.substr(0, max_bytes - 1);  // Better its beginning than nothing.
    }
    picked.push_back(text);
    size += text.size() + 1;
    return true;
  };
  for (const Partial& p : partials_) {
    if (p.instance == instance && p.stream == OutputStream::kStderr && !p.text.empty()) {
      take(p.text);
    }
  }
  for (auto it = lines_.rbegin(); it != lines_.rend(); ++it) {
    if (it->instance != instance || it->stream != OutputStream::kStderr) continue;
    if (!take(it->text)) break;
  }
  std::string joined;
  for (auto it = picked.rbegin(); it != picked.rend(); ++it) {
    if (!joined.empty()) joined += '\n';
    joined += *it;
  }
  return joined;
}

OutputLog::Subscription OutputLog::follow(Follower follower) {
  auto it = followers_->insert(followers_->end(), std::move(follower));
  return Subscription(this, [followers = followers_, it](void*) { followers->erase(it); });
}

}  // namespace plugind::plugin
