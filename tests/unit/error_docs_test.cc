// docs/errors.md carries the table of reasons of daemon/error.h.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "daemon/error.h"

namespace plugind {
namespace {

constexpr std::string_view kBegin = "<!-- generated: the reasons -->\n";
constexpr std::string_view kEnd = "<!-- end of generated -->\n";

std::string status_name(StatusCode code) {
  constexpr std::array kNames{"OK",
                              "CANCELLED",
                              "UNKNOWN",
                              "INVALID_ARGUMENT",
                              "DEADLINE_EXCEEDED",
                              "NOT_FOUND",
                              "ALREADY_EXISTS",
                              "PERMISSION_DENIED",
                              "RESOURCE_EXHAUSTED",
                              "FAILED_PRECONDITION",
                              "ABORTED",
                              "OUT_OF_RANGE",
                              "UNIMPLEMENTED",
                              "INTERNAL",
                              "UNAVAILABLE",
                              "DATA_LOSS",
                              "UNAUTHENTICATED"};
  return kNames.at(static_cast<std::size_t>(code));
}

std::string reason_table() {
  std::string table = "| reason | status | meaning |\n| --- | --- | --- |\n";
#define X(name, wire, status, text) \
  table +=                          \
      std::string("| `") + wire + "` | " + status_name(StatusCode::k##status) + " | " text " |\n";
  PLUGIND_REASONS(X)
#undef X
  return table;
}

TEST(ErrorDocsTest, TheTableOfReasonsIsCurrent) {
  const std::string path = std::string(PLUGIND_SOURCE_ROOT) + "/docs/errors.md";
  std::ifstream in(path);
  const std::string page((std::istreambuf_iterator<char>(in)), {});
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = page.find(kEnd);
  ASSERT_TRUE(begin != page.npos && end != page.npos && begin < end)
      << path << " lacks the lines " << kBegin << " and " << kEnd;
  const std::string expected =
      page.substr(0, begin) + std::string(kBegin) + reason_table() + page.substr(end);
  if (std::getenv("PLUGIND_UPDATE_DOCS")) std::ofstream(path) << expected;
  std::ifstream again(path);
  const std::string current((std::istreambuf_iterator<char>(again)), {});
  EXPECT_TRUE(current == expected) << path << " is not what daemon/error.h says.\n"
                                   << "Regenerate it: PLUGIND_UPDATE_DOCS=1 meson test -C build "
                                      "unit-error";
}

TEST(ErrorDocsTest, EveryReasonHasANameAndItsStatus) {
#define X(name, wire, status, text)              \
  EXPECT_EQ(reason_name(Reason::k##name), wire); \
  EXPECT_EQ(reason_status(Reason::k##name), StatusCode::k##status);
  PLUGIND_REASONS(X)
#undef X
}

}  // namespace
}  // namespace plugind
