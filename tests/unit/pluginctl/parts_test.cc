// The parts of pluginctl that need no daemon.
#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>

#include "client-lib/pluginctl/address.h"
#include "client-lib/pluginctl/json.h"
#include "client-lib/pluginctl/metadata.h"
#include "client-lib/pluginctl/schema.h"
#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/table.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

std::vector<std::string> split(const std::vector<std::string>& pieces) {
  JsonSplitter splitter;
  std::vector<std::string> values;
  const auto take = [&] {
    for (;;) {
      const auto value = splitter.next();
      if (!value) {
        values.push_back("error: " + value.error());
        return;
      }
      if (!*value) return;
      values.push_back(**value);
    }
  };
  for (const std::string& piece : pieces) {
    splitter.feed(piece);
    take();
  }
  splitter.finish();
  take();
  return values;
}

using Values = std::vector<std::string>;

TEST(JsonSplitter, FindsWhereValuesEnd) {
  EXPECT_EQ(split({""}), Values{});
  EXPECT_EQ(split({" \n\t"}), Values{});
  EXPECT_EQ(split({"{}{} []\n{\"a\":{}}"}), (Values{"{}", "{}", "[]", "{\"a\":{}}"}));
  EXPECT_EQ(split({R"({"a":"}\"{"} "x y" 1 true)"}),
            (Values{R"({"a":"}\"{"})", "\"x y\"", "1", "true"}));
  EXPECT_EQ(split({R"("\\" "\\\"")"}), (Values{R"("\\")", R"("\\\"")"}));
}

TEST(JsonSplitter, DoesNotCareHowTheTextIsCut) {
  const std::string text = R"({"a":"\"}"} 12 {"b":[1,{"c":2}]} "s")";
  const Values whole = split({text});
  EXPECT_EQ(whole.size(), 4u);
  std::vector<std::string> letters;
  for (const char c : text) letters.emplace_back(1, c);
  EXPECT_EQ(split(letters), whole);
}

TEST(JsonSplitter, GivesAValueAsSoonAsItEnds) {
  JsonSplitter splitter;
  splitter.feed("{\"a\":1}");
  EXPECT_EQ(splitter.next()->value(), "{\"a\":1}");
}

TEST(JsonSplitter, SaysWhatDoesNotEnd) {
  EXPECT_EQ(split({"{\"a\":"}),
            Values{"error: the last JSON value does not end: a bracket is not closed"});
  EXPECT_EQ(split({"{} \"abc"}),
            (Values{"{}", "error: the last JSON value does not end: a '\"' is not closed"}));
  EXPECT_EQ(split({"}"}), Values{"}"});  // not valid, which from_json says
}

TEST(Json, ReadsAndWrites) {
  google::protobuf::Struct message;
  ASSERT_TRUE(from_json(R"({"a":[1,"x"]})", message));
  EXPECT_EQ(to_json(message, JsonStyle::kLine), R"({"a":[1,"x"]})");
  EXPECT_FALSE(from_json("{", message));
}

TEST(Text, Durations) {
  const auto text = [](std::int64_t milliseconds) {
    google::protobuf::Duration duration;
    duration.set_seconds(milliseconds / 1'000);
    duration.set_nanos(static_cast<std::int32_t>(milliseconds % 1'000 * 1'000'000));
    return duration_text(duration);
  };
  EXPECT_EQ(text(0), "0ms");
  EXPECT_EQ(text(1), "1ms");
  EXPECT_EQ(text(1'500), "1500ms");
  EXPECT_EQ(text(5'000), "5s");
  EXPECT_EQ(text(90'000), "90s");
  EXPECT_EQ(text(120'000), "2m");
  EXPECT_EQ(text(7'200'000), "2h");

  EXPECT_EQ(parse_duration("500ms"), std::chrono::milliseconds(500));
  EXPECT_EQ(parse_duration("2m"), std::chrono::minutes(2));
  for (const char* wrong : {"", "5", "s", "-5s", "0s", "5 s", "5sec", "99999999999999999999s"}) {
    EXPECT_FALSE(parse_duration(wrong)) << wrong;
  }
}

TEST(Text, TimesSince) {
  const auto now = std::chrono::system_clock::time_point(std::chrono::hours(1));
  const auto seconds = [&](std::string_view text) -> std::int64_t {
    const auto time = parse_since(text, now);
    return time ? time->seconds() : -1;
  };
  EXPECT_EQ(seconds("10m"), 3'000);
  EXPECT_EQ(parse_since("1500ms", now)->nanos(), 500'000'000);
  EXPECT_EQ(seconds("1970-01-01T00:00:07Z"), 7);
  EXPECT_EQ(seconds("1970-01-01T01:00:07.25+01:00"), 7);
  for (const char* wrong : {"", "yesterday", "10", "1970-01-01 00:00:07", "1970-01-01T00:00:07",
                            "1970-13-01T00:00:07Z"}) {
    EXPECT_FALSE(parse_since(wrong, now)) << wrong;
  }
  EXPECT_NE(parse_since("x", now).error().find("such as 10m"), std::string::npos);
}

TEST(Text, Ages) {
  const std::chrono::system_clock::time_point now{std::chrono::seconds(1'000'000)};
  const auto text = [&](std::int64_t seconds) {
    google::protobuf::Timestamp then;
    then.set_seconds(1'000'000 - seconds);
    return age_text(then, now);
  };
  EXPECT_EQ(text(0), "0s");
  EXPECT_EQ(text(-5), "0s");
  EXPECT_EQ(text(119), "119s");
  EXPECT_EQ(text(120), "2m");
  EXPECT_EQ(text(7'200), "2h");
  EXPECT_EQ(text(200'000), "2d");
  EXPECT_EQ(age_text({}, now), "-");
}

TEST(Text, Sizes) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(1'023), "1023 B");
  EXPECT_EQ(size_text(1'536), "1.5 KiB");
  EXPECT_EQ(size_text(256u << 20), "256 MiB");
}

TEST(Text, ControlCharactersDoNotReachTheTerminal) {
  EXPECT_EQ(printable("a\tb é\n"), "a\tb é");
  EXPECT_EQ(printable("a\nb"), "a | b");
  EXPECT_EQ(printable("a\nb\n", Lines::kKeep), "a\nb");
  EXPECT_EQ(printable("\x1b]0;x\x07"), "\\x1b]0;x\\x07");
  EXPECT_EQ(printable("\xC2\x9B[31m"), "\\x9b[31m");
  EXPECT_EQ(printable("\x7F\r"), "\\x7f\\x0d");
}

TEST(Text, EnumeratorsAsWords) {
  EXPECT_EQ(enum_text("START_MODE_ON_DEMAND", "START_MODE_"), "on-demand");
  EXPECT_EQ(enum_text("OTHER", "START_MODE_"), "other");
  EXPECT_EQ(state_text(v1::INSTANCE_STATE_BACKOFF), "backoff");
  EXPECT_EQ(state_text(static_cast<v1::InstanceState>(77)), "state 77");
}

TEST(Table, LinesUpWithAndWithoutColour) {
  Table table({"A", "LONGER", "C"});
  table.add({"é", Cell("x", Colour::kRed), ""});
  table.add({"four", "", "last"});
  EXPECT_EQ(table.text(false, 2),
            "  A     LONGER  C\n"
            "  é     x       -\n"
            "  four  -       last\n");
  EXPECT_EQ(table.text(true),
            "\033[1mA\033[0m     \033[1mLONGER\033[0m  \033[1mC\033[0m\n"
            "é     \033[31mx\033[0m       -\n"
            "four  -       last\n");
}

TEST(Address, IsUnderstoodAsLibplugindDoes) {
  EXPECT_EQ(parse_address("/run/x.sock")->target, "unix:/run/x.sock");
  EXPECT_EQ(parse_address("unix:/run/x.sock")->path, "/run/x.sock");
  EXPECT_EQ(parse_address("tcp:127.0.0.1:7433")->target, "ipv4:127.0.0.1:7433");
  EXPECT_EQ(parse_address("tcp:localhost:7433")->target, "ipv4:127.0.0.1:7433");
  EXPECT_EQ(parse_address("tcp:[::1]:7433")->target, "ipv6:[::1]:7433");
  for (const char* wrong : {"x.sock", "unix:x.sock", "tcp:10.0.0.1:80", "tcp:127.0.0.1",
                            "tcp:127.0.0.1:0", "tcp:127.0.0.1:99999", "tcp:127.evil.org:80"}) {
    EXPECT_FALSE(parse_address(wrong)) << wrong;
  }
}

TEST(Metadata, NamesAndValues) {
  const auto good = parse_metadata({"Name: a b ", "x-bin:AAEC/w==", "empty:"});
  ASSERT_TRUE(good);
  EXPECT_EQ((*good)[0], (std::pair<std::string, std::string>("name", "a b")));
  EXPECT_EQ((*good)[1].second, std::string("\0\1\2\xFF", 4));
  EXPECT_EQ((*good)[2].second, "");
  for (const char* wrong :
       {"novalue", ":x", "na me:x", "grpc-timeout:1S", "x:\xC3\xA9", "x-bin:not base64!"}) {
    EXPECT_FALSE(parse_metadata({wrong})) << wrong;
  }
}

TEST(MethodName, InAllItsSpellings) {
  for (const char* text : {"a.b.C/Do", "/a.b.C/Do", "a.b.C.Do"}) {
    EXPECT_EQ(parse_method(text)->path(), "/a.b.C/Do") << text;
  }
  for (const char* wrong : {"", "Do", "/", "a/", "/a", "a/b/c"}) {
    EXPECT_FALSE(parse_method(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace plugind::pluginctl
