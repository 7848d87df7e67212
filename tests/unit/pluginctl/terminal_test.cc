// The built pluginctl on a terminal.
#include <gtest/gtest.h>

#include <regex>

#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/pluginctl/program.h"

namespace plugind::pluginctl {
namespace {

TEST(OnATerminal, AListIsColouredUnlessThatIsNotWanted) {
  control::FakeDaemon daemon;
  daemon.on_loop([&] {
    auto& kv = daemon.admin().add("kv");
    kv.state = plugin::InstanceState::kReady;
    kv.since = std::chrono::system_clock::now() - std::chrono::hours(72);
  });
  const auto shown = [&](Program::Environment environment,
                         std::vector<std::string> arguments = {}) {
    environment.emplace("PLUGIND_SOCKET", daemon.address());
    arguments.push_back("list");
    const Outcome outcome = run_on_terminal(std::move(arguments), std::move(environment));
    EXPECT_EQ(outcome.exit_code, 0);
    return outcome.out;
  };
  const std::string coloured = shown({{"TERM", "xterm"}});
  EXPECT_NE(coloured.find("\033[32mready\033[0m"), coloured.npos) << coloured;
  EXPECT_EQ(shown({{"TERM", "xterm"}, {"NO_COLOR", ""}}), coloured) << "as no-color.org says";
  const std::string plain = std::regex_replace(coloured, std::regex("\033\\[[0-9]*m"), "");
  EXPECT_EQ(shown({{"TERM", "xterm"}, {"NO_COLOR", "1"}}), plain);
  EXPECT_EQ(shown({{"TERM", "dumb"}}), plain);
  EXPECT_EQ(shown({}), plain) << "what it understands is not known";
  const std::string json = shown({{"TERM", "xterm"}}, {"--json"});
  EXPECT_TRUE(json.starts_with("{") && json.find('\033') == json.npos) << json;
}

}  // namespace
}  // namespace plugind::pluginctl
