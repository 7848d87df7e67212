#include "client-lib/pluginctl/findings_text.h"

#include <algorithm>
#include <array>

#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

struct Kind {
  v1::Severity severity;
  const char* word;
  const char* words;
  Colour colour;
};
constexpr std::array kKinds{Kind{v1::SEVERITY_ERROR, "error", "errors", Colour::kRed},
                            Kind{v1::SEVERITY_WARNING, "warning", "warnings", Colour::kYellow},
                            Kind{v1::SEVERITY_NOTE, "note", "notes", Colour::kDim}};

/// A newer daemon may send a severity that this program does not know.
const Kind& kind_of(const v1::Finding& finding) {
  const auto found = std::ranges::find(kKinds, finding.severity(), &Kind::severity);
  return found == kKinds.end() ? kKinds[1] : *found;
}

constexpr std::size_t kColumn = 9;

std::string summary(const v1::DiagnoseResponse& diagnosis, const std::string& plugin) {
  std::string text;
  for (const Kind& kind : kKinds) {
    const auto count = std::ranges::count_if(diagnosis.findings(), [&](const v1::Finding& finding) {
      return &kind_of(finding) == &kind;
    });
    if (count == 0) continue;
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " +
            (count == 1 ? kind.word : kind.words);
  }
  if (has_errors(diagnosis)) return text;
  const std::string all = "plugind and " + std::to_string(diagnosis.plugins()) +
                          (diagnosis.plugins() == 1 ? " plugin" : " plugins");
  return "nothing is wrong with " + (plugin.empty() ? all : printable(plugin)) +
         (text.empty() ? "" : ": " + text);
}

}  // namespace

bool has_errors(const v1::DiagnoseResponse& diagnosis) {
  return std::ranges::any_of(diagnosis.findings(), [](const v1::Finding& finding) {
    return finding.severity() == v1::SEVERITY_ERROR;
  });
}

std::string findings_text(const v1::DiagnoseResponse& diagnosis, const std::string& plugin,
                          bool colour) {
  std::string text;
  for (const v1::Finding& finding : diagnosis.findings()) {
    const Kind& kind = kind_of(finding);
    const std::string word = kind.word;
    text += paint(word, kind.colour, colour) + std::string(kColumn - word.size(), ' ') +
            (finding.plugin().empty() ? "plugind" : printable(finding.plugin())) + ": " +
            printable(finding.what()) + "\n";
    if (!finding.remedy().empty()) {
      text += std::string(kColumn, ' ') + "to do: " + printable(finding.remedy()) + "\n";
    }
  }
  return text + summary(diagnosis, plugin) + "\n";
}

}  // namespace plugind::pluginctl
