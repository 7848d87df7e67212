#include "daemon/dialect/lines.h"

#include <utility>

namespace plugind::dialect {

void LineSplitter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    partial_ += piece.substr(0, max_length_ - partial_.size());
    if (end == bytes.npos) return;
    bytes.remove_prefix(end + 1);
    end_line();
  }
}

void LineSplitter::finish() {
  if (!partial_.empty()) end_line();
}

void LineSplitter::end_line() {
  std::string line = std::exchange(partial_, {});
  if (line.ends_with('\r')) line.pop_back();
  sink_(line);
}

}  // namespace plugind::dialect
