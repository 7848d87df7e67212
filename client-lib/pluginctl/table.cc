#include "client-lib/pluginctl/table.h"

#include <algorithm>
#include <utility>

#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

/// In characters, taking every character for one column wide.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Table::Table(std::vector<std::string> header) {
  std::vector<Cell>& row = rows_.emplace_back();
  for (std::string& title : header) row.emplace_back(std::move(title), Colour::kBold);
}

void Table::add(std::vector<Cell> row) {
  for (Cell& cell : row) cell.text = cell.text.empty() ? "-" : printable(cell.text);
  rows_.push_back(std::move(row));
}

std::string Table::text(bool colour, std::size_t indent) const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row[i].text));
    }
  }
  std::string result;
  for (const auto& row : rows_) {
    result.append(indent, ' ');
    for (std::size_t i = 0; i < row.size(); ++i) {
      result += paint(row[i].text, row[i].colour, colour);
      if (i + 1 < row.size()) result.append(widths[i] - width_of(row[i].text) + 2, ' ');
    }
    result += '\n';
  }
  return result;
}

}  // namespace plugind::pluginctl
