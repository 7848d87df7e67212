// What plugins print: whatever it is, each line gets one level and belongs to one trace.
//
// The first four bytes of an input choose the pieces and the selection; the rest is printed, to
// stderr, and after each byte 0 to the other stream.
#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugin/output_log.h"
#include "tests/fuzz/input.h"

namespace {

using namespace plugind;
using plugin::LogLevel;
using plugin::LogLine;
using plugin::OutputLog;
using plugin::OutputStream;

const std::chrono::system_clock::time_point kStart{};

/// Prints `text` in pieces; each piece takes a second.
void print(OutputLog& log, std::string_view text, std::size_t piece) {
  auto now = kStart;
  OutputStream stream = OutputStream::kStderr;
  while (!text.empty()) {
    const std::size_t size = std::min({piece, text.size(), text.find('\0')});
    log.append("a#1", stream, text.substr(0, size), now);
    text.remove_prefix(size);
    if (text.starts_with('\0')) {
      text.remove_prefix(1);
      stream = stream == OutputStream::kStderr ? OutputStream::kStdout : OutputStream::kStderr;
    }
    now += std::chrono::seconds(1);
  }
  log.finish("a#1", now);
}

void check_lines(const std::vector<LogLine>& lines) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    REQUIRE(lines[i].text.size() <= OutputLog::Limits{}.line_length);
    REQUIRE(lines[i].level >= LogLevel::kNone && lines[i].level <= LogLevel::kFatal);
    REQUIRE(lines[i].continuation == (lines[i].head != lines[i].sequence));
    if (!lines[i].continuation || lines[0].sequence > lines[i].head) continue;
    const LogLine& head = lines[lines[i].head - lines[0].sequence];
    REQUIRE(!head.continuation && head.stream == lines[i].stream);
    REQUIRE(head.level == lines[i].level);
  }
}

void check_selection(const OutputLog& log, const plugin::LogSelection& selection) {
  const auto all = log.tail(SIZE_MAX);
  const auto picked = log.select(selection);
  std::vector<bool> is_picked(all.size());
  for (const LogLine& line : picked) is_picked[line.sequence - all[0].sequence] = true;
  REQUIRE(std::ranges::count(is_picked, true) == static_cast<std::ptrdiff_t>(picked.size()));
  std::size_t wanted = 0;
  for (std::size_t i = all.size(); i-- > 0;) {
    const auto of_same_trace = [&](const LogLine& line) { return line.head == all[i].head; };
    const bool due = selection.wants(all[i]) && wanted++ < selection.lines;
    if (selection.lines == SIZE_MAX && due) REQUIRE(is_picked[i]);
    if (is_picked[i]) REQUIRE(due || std::ranges::any_of(picked, of_same_trace));
    // What comes later in a trace was looked at first, so only earlier lines could be missing.
    for (std::size_t k = 0; k < i && is_picked[i]; ++k) {
      if (of_same_trace(all[k])) REQUIRE(is_picked[k]);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::size_t piece = 1 + input.byte();
  plugin::LogSelection selection;
  if (const std::uint8_t lines = input.byte(); lines != 255) selection.lines = lines;
  selection.since = kStart + std::chrono::seconds(input.byte());
  selection.lowest = static_cast<LogLevel>(input.byte() % 7);
  const std::string_view text = input.bytes(SIZE_MAX);

  OutputLog log;
  print(log, text, piece);
  const auto lines = log.tail(SIZE_MAX);
  check_lines(lines);
  if (lines.size() <= 200) check_selection(log, selection);

  OutputLog whole;
  print(whole, text, SIZE_MAX);
  const auto again = whole.tail(SIZE_MAX);
  REQUIRE(again.size() == lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    REQUIRE(lines[i].text == again[i].text && lines[i].level == again[i].level);
    REQUIRE(lines[i].head == again[i].head && lines[i].truncated == again[i].truncated);
  }
  return 0;
}
