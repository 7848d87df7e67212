#include <CLI/CLI.hpp>
#include <cstdint>
#include <iostream>
#include <memory>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

struct LogOptions {
  std::string name;
  bool follow = false;
  std::uint32_t tail = 100;
};

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
            << printable(line.text()) << (line.truncated() ? " [cut off]" : "") << "\n";
}

Result<> show_logs(Session& session, const LogOptions& options) {
  v1::StreamLogsRequest request;
  request.set_name(options.name);
  request.set_follow(options.follow);
  request.set_tail(options.tail);
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
  command->add_option("-n,--lines", options->tail, "Begin with the last N lines")
      ->option_text("N")
      ->capture_default_str();
  command->callback([options, choose] {
    choose([options](Session& session) { return show_logs(session, *options); });
  });
}

}  // namespace plugind::pluginctl
