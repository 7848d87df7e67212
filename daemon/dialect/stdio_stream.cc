#include "daemon/dialect/stdio_stream.h"

#include <memory>

#include "daemon/dialect/lines.h"
#include "daemon/dialect/protobuf.h"

namespace plugind::dialect {
namespace {

constexpr std::size_t kMaxLineLength = 16 << 10;

// The plugin's pipes write to the same log.  Only whole lines go into it, so that the chunks of
// this stream, which are cut anywhere, do not end up in the middle of theirs.
class StdioCopy {
 public:
  StdioCopy(std::string instance, plugin::OutputLog& log, plugin::Clock& clock)
      : instance_(std::move(instance)), log_(log), clock_(clock) {}

  // A plugin.StdioData: 1 is the channel, 2 the bytes.
  void on_message(std::string_view message) {
    constexpr std::uint64_t kStdout = 1, kStderr = 2;
    std::uint64_t channel = 0;
    std::string_view data;
    ProtobufReader reader(message);
    while (const auto field = reader.next()) {
      if (field->number == 1 && !field->is_bytes) channel = field->number_value;
      if (field->number == 2 && field->is_bytes) data = field->bytes;
    }
    if (reader.failed()) return;
    if (channel == kStdout) stdout_.feed(data);
    if (channel == kStderr) stderr_.feed(data);
  }

  void on_end() {
    stdout_.finish();
    stderr_.finish();
  }

 private:
  void add(plugin::OutputStream stream, std::string_view line) {
    log_.append(instance_, stream, std::string(line) + "\n", clock_.wall_now());
  }

  const std::string instance_;
  plugin::OutputLog& log_;
  plugin::Clock& clock_;
  LineSplitter stdout_{kMaxLineLength,
                       [this](std::string_view line) { add(plugin::OutputStream::kStdout, line); }};
  LineSplitter stderr_{kMaxLineLength,
                       [this](std::string_view line) { add(plugin::OutputStream::kStderr, line); }};
};

}  // namespace

void copy_stdio(plugin::Connection& connection, std::string instance, plugin::OutputLog& log,
                plugin::Clock& clock) {
  auto copy = std::make_shared<StdioCopy>(std::move(instance), log, clock);
  connection.server_stream(
      "/plugin.GRPCStdio/StreamStdio", "",
      [copy](std::string_view message) { copy->on_message(message); },
      [copy](const plugin::CallResult&) { copy->on_end(); });
}

}  // namespace plugind::dialect
