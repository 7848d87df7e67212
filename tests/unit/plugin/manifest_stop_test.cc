// The list `stop.steps` of a manifest: what is read of it, and every mistake with its place.
#include <gtest/gtest.h>

#include "daemon/plugin/manifest.h"

namespace plugind::plugin {
namespace {

using namespace std::chrono_literals;

std::expected<Manifest, Error> parse(const std::string& rest, const std::string& dialect) {
  const std::string text =
      "name = \"kv\"\ncommand = [\"kv\"]\ndialect = \"" + dialect + "\"\n" + rest;
  return parse_manifest(text, "kv.toml");
}

Manifest parsed(const std::string& rest, const std::string& dialect = "native") {
  const auto manifest = parse(rest, dialect);
  EXPECT_TRUE(manifest) << manifest.error().message;
  return manifest ? *manifest : Manifest{};
}

std::string mistakes(const std::string& rest, const std::string& dialect = "native") {
  const auto manifest = parse(rest, dialect);
  return manifest ? "no mistake" : manifest.error().message;
}

std::string wrong_step(const std::string& inner) {
  return mistakes("stop.steps = [{ " + inner + " }]");
}

TEST(ManifestStopTest, ReadsStepsInOrder) {
  const Manifest m = parsed(R"([stop]
drain = "1m"
[[stop.steps]]
action = "ask"
timeout = "5s"
[[stop.steps]]
action = "SIGINT"
timeout = "1h"
[[stop.steps]]
timeout = "1ms"
action = "SIGTERM"
)",
                            "go-plugin");
  ASSERT_TRUE(m.stop_steps);
  EXPECT_EQ(*m.stop_steps,
            (std::vector<StopStep>{
                {std::nullopt, 5s}, {StopSignal::kInterrupt, 1h}, {StopSignal::kTerminate, 1ms}}));
  EXPECT_EQ(m.stop_drain, 1min);
}

TEST(ManifestStopTest, KnowsItsSignalsByName) {
  for (const StopSignal signal : {StopSignal::kTerminate, StopSignal::kInterrupt, StopSignal::kQuit,
                                  StopSignal::kHangup, StopSignal::kUser1, StopSignal::kUser2}) {
    const std::string name(to_string(signal));
    EXPECT_TRUE(name.starts_with("SIG")) << name;
    const Manifest m = parsed("stop.steps = [{ action = \"" + name + "\", timeout = \"1s\" }]");
    ASSERT_TRUE(m.stop_steps && m.stop_steps->size() == 1) << name;
    EXPECT_EQ(m.stop_steps->front().signal, signal) << name;
  }
}

TEST(ManifestStopTest, NoneAreOthersThanNoSteps) {
  EXPECT_FALSE(parsed("").stop_steps);
  EXPECT_EQ(parsed("stop.steps = []").stop_steps, std::vector<StopStep>{});
}

TEST(ManifestStopTest, TellsWhatIsWrongWithAStep) {
  const std::string no_action =
      "kv.toml:4:15: `stop.steps.action` is missing; write for example action = \"SIGTERM\"";
  const std::string no_timeout =
      "kv.toml:4:15: `stop.steps.timeout` is missing; write for example timeout = \"5s\"";
  EXPECT_EQ(wrong_step("action = \"SIGINT\""), no_timeout);
  EXPECT_EQ(wrong_step("timeout = \"5s\""), no_action);
  EXPECT_EQ(wrong_step(""), no_action + "\n" + no_timeout);
  EXPECT_EQ(wrong_step("action = \"SIGITN\", timeout = \"5s\""),
            "kv.toml:4:26: `stop.steps.action` is one of \"ask\", \"SIGTERM\", \"SIGINT\", "
            "\"SIGQUIT\", \"SIGHUP\", \"SIGUSR1\", \"SIGUSR2\", not \"SIGITN\"; did you mean "
            "\"SIGINT\"?");
  EXPECT_EQ(wrong_step("action = \"SIGKILL\", timeout = \"5s\""),
            "kv.toml:4:26: `stop.steps.action`: SIGKILL ends every stop by itself; leave this step "
            "out");
  EXPECT_EQ(wrong_step("action = 15, timeout = \"5s\""),
            "kv.toml:4:26: `stop.steps.action` must be text, for example \"SIGTERM\"");
  EXPECT_EQ(wrong_step("action = \"SIGINT\", timeout = 5"),
            "kv.toml:4:46: `stop.steps.timeout` must be text, for example \"5s\"");
  for (const char* const timeout : {"0s", "3601s"}) {
    EXPECT_EQ(
        wrong_step("action = \"SIGINT\", timeout = \"" + std::string(timeout) + "\""),
        "kv.toml:4:46: `stop.steps.timeout` must be from 1ms to 1h, not " + std::string(timeout));
  }
  EXPECT_TRUE(wrong_step("action = \"SIGINT\", timeout = \"5\"")
                  .starts_with("kv.toml:4:46: `stop.steps.timeout`: \"5\" "));
  EXPECT_EQ(wrong_step("action = \"SIGINT\", timout = \"5s\", timeout = \"5s\""),
            "kv.toml:4:36: unknown key `stop.steps.timout`; did you mean `timeout`?");
}

TEST(ManifestStopTest, TellsWhatIsWrongWithTheList) {
  EXPECT_TRUE(mistakes("stop.steps = \"SIGINT\"")
                  .starts_with("kv.toml:4:14: `stop.steps` must be a list of tables, not text"));
  EXPECT_TRUE(mistakes("stop.steps = [\"SIGINT\"]")
                  .starts_with("kv.toml:4:15: `stop.steps` must be a list of tables, not text"));
  std::string list = "stop.steps = [";
  for (int i = 0; i < 8; ++i) list += "{ action = \"SIGINT\", timeout = \"1s\" },";
  EXPECT_EQ(parsed(list + "]").stop_steps->size(), 8u);
  EXPECT_EQ(mistakes(list + "{ action = \"SIGINT\", timeout = \"1s\" }]"),
            "kv.toml:4:14: `stop.steps` takes at most 8 items");
}

TEST(ManifestStopTest, TheGraceIsAStepsOwn) {
  EXPECT_EQ(mistakes("stop.grace = \"5s\"\nstop.steps = []"),
            "kv.toml:4:6: `stop.grace` is the time after SIGTERM, and `stop.steps` gives each step "
            "its own; leave one of them out");
}

TEST(ManifestStopTest, OnlyADialectWithARequestCanAsk) {
  const std::string steps =
      "stop.steps = [{ action = \"SIGINT\", timeout = \"1s\" }, { action = \"ask\", timeout = "
      "\"1s\" }]";
  EXPECT_EQ(mistakes(steps),
            "kv.toml:4:6: `stop.steps`: \"ask\" needs dialect = \"go-plugin\": the native dialect "
            "has no request to end but signals");
  EXPECT_EQ(mistakes(steps, "go-plugin"), "no mistake");
}

}  // namespace
}  // namespace plugind::plugin
