#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

struct LogOptions {
  std::string name;
  bool follow = false;
  std::optional<std::uint32_t> tail;
  std::optional<google::protobuf::Timestamp> since;
  std::string level;
};

constexpr std::uint32_t kUsualTail = 100;

std::string level_name(v1::LogLevel level) {
  return enum_text(v1::LogLevel_Name(level), "LOG_LEVEL_");
}

v1::LogLevel parse_level(const std::string& text) {
  for (int level = v1::LOG_LEVEL_TRACE; level <= v1::LOG_LEVEL_FATAL; ++level) {
    const auto one = static_cast<v1::LogLevel>(level);
    if (level_name(one) == text) return one;
  }
  return v1::LOG_LEVEL_UNSPECIFIED;
}

/// A column for the eye: the level, "-" for none, "|" for a line that goes on with a trace.
std::string level_text(const v1::LogLine& line, bool colour) {
  constexpr std::size_t kWidth = 5;
  std::string text = "-";
  if (line.continuation()) {
    text = "|";
  } else if (line.level() != v1::LOG_LEVEL_UNSPECIFIED) {
    text = v1::LogLevel_IsValid(line.level()) ? level_name(line.level())
                                              : std::to_string(line.level());
  }
  text.resize(std::max(text.size(), kWidth), ' ');
  if (line.level() >= v1::LOG_LEVEL_ERROR) return paint(text, Colour::kRed, colour);
  if (line.level() == v1::LOG_LEVEL_WARN) return paint(text, Colour::kYellow, colour);
  return text;
}

void print(const v1::StreamLogsResponse& response, bool colour) {
  if (response.entry_case() == v1::StreamLogsResponse::kDropped) {
    std::cout << paint("-- " + std::to_string(response.dropped()) +
                           " lines are missing here: they came faster than they were read --",
                       Colour::kYellow, colour)
              << "\n";
    return;
  }
  const v1::LogLine& line = response.line();
  const bool is_stderr = line.stream() == v1::OUTPUT_STREAM_STDERR;
  std::cout << paint(exact_time_text(line.time()), Colour::kDim, colour) << " "
            << printable(line.instance()) << " "
            << (is_stderr ? paint("stderr", Colour::kYellow, colour) : "stdout") << " "
            << level_text(line, colour) << " " << printable(line.text())
            << (line.truncated() ? " [cut off]" : "") << "\n";
}

Result<> show_logs(Session& session, const LogOptions& options) {
  v1::StreamLogsRequest request;
  request.set_name(options.name);
  request.set_follow(options.follow);
  if (options.since) *request.mutable_since() = *options.since;
  // Who says since when wants all since then.
  if (options.tail || !options.since) request.set_tail(options.tail.value_or(kUsualTail));
  request.set_min_level(parse_level(options.level));
  const auto context = session.context(
      options.follow ? std::nullopt : std::optional<std::chrono::milliseconds>(kPromptly));
  const auto reader = session.control().StreamLogs(context.get(), request);
  v1::StreamLogsResponse response;
  while (reader->Read(&response)) {
    if (session.json()) {
      session.print_json(response);
    } else {
      print(response, session.colour());
      if (options.follow) std::cout.flush();
    }
  }
  return result_of(reader->Finish());
}

}  // namespace

void add_logs(CLI::App& app, const Choose& choose) {
  auto options = std::make_shared<LogOptions>();
  CLI::App* command = app.add_subcommand("logs", "What a plugin printed");
  command->add_option("NAME", options->name, "NAME or NAME@VERSION")->required();
  command->add_flag("-f,--follow", options->follow, "Go on with what it prints from now on");
  command
      ->add_option("-n,--lines", options->tail,
                   "Begin with the last N lines; 100 unless given, with --since all")
      ->option_text("N");
  command
      ->add_option_function<std::string>(
          "--since",
          [options](const std::string& text) {
            const auto since = parse_since(text, std::chrono::system_clock::now());
            if (!since) throw CLI::ValidationError("--since", since.error());
            options->since = *since;
          },
          "Only lines since then: 10m, or 2026-01-31T23:59:59Z")
      ->option_text("TIME");
  command
      ->add_option("--level", options->level,
                   "Only lines of this level and above; what has none counts as info")
      ->option_text("LEVEL")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "fatal"}));
  command->callback([options, choose] {
    choose([options](Session& session) { return show_logs(session, *options); });
  });
}

}  // namespace plugind::pluginctl
