// Columns that line up.
#pragma once

#include <string>
#include <vector>

#include "client-lib/pluginctl/style.h"

namespace plugind::pluginctl {

struct Cell {
  Cell(std::string cell_text, Colour cell_colour = Colour::kNone)
      : text(std::move(cell_text)), colour(cell_colour) {}
  Cell(const char* cell_text) : text(cell_text) {}

  std::string text;
  Colour colour = Colour::kNone;
};

class Table {
 public:
  explicit Table(std::vector<std::string> header);
  /// As many cells as the header has.  An empty text is shown as "-".
  void add(std::vector<Cell> row);
  /// Each line ends with a line end and has no trailing spaces; `indent` spaces before it.
  std::string text(bool colour, std::size_t indent = 0) const;

 private:
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace plugind::pluginctl
