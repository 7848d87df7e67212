#include "daemon/plugin/output_log.h"

#include <algorithm>

namespace plugind::plugin {

OutputLog::OutputLog() : OutputLog(Limits{}) {}

OutputLog::OutputLog(Limits limits)
    : limits_(limits), followers_(std::make_shared<std::list<std::shared_ptr<const Follower>>>()) {}

OutputLog::Partial& OutputLog::partial(const std::string& instance, OutputStream stream) {
  for (Partial& p : partials_) {
    if (p.stream == stream && p.instance == instance) return p;
  }
  return partials_.emplace_back(Partial{instance, stream, {}, false, {}, 0});
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
    add_line(rest, now);
  }
}

void OutputLog::finish(const std::string& instance, std::chrono::system_clock::time_point now) {
  for (Partial& p : partials_) {
    if (p.instance == instance && !p.text.empty()) add_line(p, now);
  }
  std::erase_if(partials_, [&](const Partial& p) { return p.instance == instance; });
}

void OutputLog::add_line(Partial& partial, std::chrono::system_clock::time_point now) {
  bytes_ += partial.text.size();
  const std::uint64_t sequence = next_sequence_++;
  const LineMark mark = partial.marker.mark(partial.text);
  if (!mark.continuation) partial.head = sequence;
  lines_.push_back({sequence, now, partial.instance, partial.stream,
                    std::exchange(partial.text, {}), std::exchange(partial.truncated, false),
                    mark.level, mark.continuation, partial.head});
  while (lines_.size() > limits_.lines || (bytes_ > limits_.bytes && lines_.size() > 1)) {
    bytes_ -= lines_.front().text.size();
    lines_.pop_front();
  }
  // A follower may end its own subscription while it is called.
  for (auto it = followers_->begin(); it != followers_->end();) {
    const std::shared_ptr<const Follower> follower = *it++;
    (*follower)(lines_.back());
  }
}

std::vector<LogLine> OutputLog::tail(std::size_t count) const {
  const std::size_t n = std::min(count, lines_.size());
  return {lines_.end() - static_cast<std::ptrdiff_t>(n), lines_.end()};
}

std::vector<LogLine> OutputLog::select(const LogSelection& selection) const {
  std::vector<LogLine> picked;
  std::vector<std::uint64_t> open;  // Traces that have a line in `picked`, and more before it.
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
    const bool full = picked.size() >= selection.lines;
    if (full && open.empty()) break;
    const auto trace = std::ranges::find(open, line->head);
    if (trace == open.end() && (full || !selection.wants(*line))) continue;
    picked.push_back(*line);
    if (line->continuation && trace == open.end()) open.push_back(line->head);
    if (!line->continuation && trace != open.end()) open.erase(trace);
  }
  std::ranges::reverse(picked);
  return picked;
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
  auto it =
      followers_->insert(followers_->end(), std::make_shared<const Follower>(std::move(follower)));
  return Subscription(this, [followers = followers_, it](void*) { followers->erase(it); });
}

}  // namespace plugind::plugin
