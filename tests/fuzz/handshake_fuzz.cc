// What a go-plugin plugin prints and answers before it is trusted: its handshake, its health, and
// the output that it sends afterwards.
//
// An input is a script: "@" at the start of a line begins a section, the next character says what
// the section's text is:
//   o  printed to stdout        h  the next health answer: a digit, the gRPC status, and the reply
//   e  printed to stderr        s  a message of the stdio stream
//   p  printed to stdout, many times over
//   t  (no text) time passes    x  (no text) the process ends
//   r  (no text) nobody listens at the announced address
// Text before the first section is printed to stdout.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/dialect/go_plugin.h"
#include "daemon/dialect/handshake.h"
#include "daemon/dialect/protobuf.h"
#include "daemon/plugin/dialect.h"
#include "daemon/plugin/printable.h"
#include "tests/fuzz/input.h"
#include "tests/support/fake_connection.h"
#include "tests/support/fake_process.h"
#include "tests/support/manual_clock.h"

namespace {

using namespace plugind;
using dialect::HandshakeReader;
using std::chrono::milliseconds;

const std::vector<std::uint32_t> kVersions{1, 5};

// -- the parsers by themselves -------------------------------------------------------------------

struct Read {
  std::string line, noise;
  bool overflowed;
  bool operator==(const Read&) const = default;
};

Read read_in_pieces(std::string_view text, std::size_t piece) {
  HandshakeReader reader;
  for (std::size_t i = 0; i < text.size(); i += piece) reader.feed(text.substr(i, piece));
  Read result{reader.line(), "", reader.overflowed()};
  result.noise = reader.describe_noise();
  return result;
}

void check_handshake(std::string_view text) {
  const Read read = read_in_pieces(text, 1);
  REQUIRE(read.line.size() <= HandshakeReader::kMaxLineLength);
  REQUIRE(read.noise.size() < 2'000 && fuzz::is_fit_for_messages(read.noise));
  REQUIRE(read.line.empty() || dialect::looks_like_handshake(read.line));
  // The pieces in which the bytes come make no difference.
  if (text.size() < HandshakeReader::kMaxBytes) REQUIRE(read == read_in_pieces(text, 97));
  const auto handshake = dialect::parse_handshake(read.line, kVersions, "/srv");
  if (!handshake) {
    REQUIRE(handshake.error().message.size() < 2'000);
    REQUIRE(fuzz::is_fit_for_messages(handshake.error().message));
    return;
  }
  REQUIRE(handshake->protocol_version == 1 || handshake->protocol_version == 5);
  const std::string& address = handshake->endpoint.address;
  REQUIRE(address.starts_with("unix:/") || address.starts_with("tcp:127.") ||
          address.starts_with("tcp:[::1]:") || address.starts_with("tcp:localhost:"));
  REQUIRE(address.find('\0') == address.npos);
}

void check_fields(std::string_view message) {
  dialect::ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    REQUIRE(field->number > 0);
    if (!field->is_bytes || field->bytes.empty()) continue;
    REQUIRE(field->bytes.data() > message.data());
    REQUIRE(field->bytes.data() + field->bytes.size() <= message.data() + message.size());
  }
  REQUIRE(!reader.next());
}

void check_printable(std::string_view text) {
  const std::string once = plugin::printable(text, text.size(), true);
  REQUIRE(fuzz::is_fit_for_messages(once));
  REQUIRE(plugin::printable(once, once.size(), true) == once);
  REQUIRE(plugin::printable(text, 20).size() <= 20 * 4 + 3);
  // What is fit already stays as it is.
  if (fuzz::is_fit_for_messages(text)) REQUIRE(once == text);
}

// So that short inputs come over the bounds of lines and bytes.
std::string repeated(std::string_view text) {
  std::string result;
  while (result.size() < 20'000 && !text.empty()) result += text;
  return result;
}

// -- a start, with everything around it played
// -----------------------------------------------------

class Start {
 public:
  explicit Start(bool refuses) : refuses_(refuses) {
    manifest_.file = "/etc/plugins.d/kv.toml";
    manifest_.name = "kv";
    manifest_.command = {"/opt/kv"};
    manifest_.go_plugin.protocol_versions = kVersions;
    // Whoever is refused gives up before this.
    manifest_.start_timeout = milliseconds(refuses ? 10'000 : 1'000);
    connector_.on_connect = [this](testing::FakeConnection& connection) {
      if (refuses_) return testing::FakeConnector::Verdict::kRefuse;
      connection.on_unary = [this](const auto& call) { return answer(call); };
      return testing::FakeConnector::Verdict::kAccept;
    };
    boost::asio::co_spawn(
        loop_,
        dialect_->start(plugin::StartContext{manifest_, "kv#1", "/run/kv#1", processes_, connector_,
                                             clock_, log_}),
        [this](std::exception_ptr thrown, Result value) {
          REQUIRE(!thrown && !result_);
          result_ = std::move(value);
        });
    testing::run_ready(loop_);
    REQUIRE(processes_.spawned.size() == 1);
  }

  void section(char kind, std::string_view text) {
    switch (kind) {
      case 'o':
        processes_.last().print_stdout(text);
        break;
      case 'p':
        processes_.last().print_stdout(repeated(text));
        break;
      case 'e':
        processes_.last().print_stderr(text);
        break;
      case 'h':
        healths_.emplace_back(text);
        break;
      case 's':
        if (!connector_.connections.empty() && !connector_.last().streams.empty()) {
          connector_.last().send(0, text);
        }
        break;
      case 't':
        clock_.advance(milliseconds(600));
        break;
      case 'x':
        processes_.last().exit(1);
        break;
    }
    testing::run_ready(loop_);
  }

  // Every start ends: ready, or with an error that can be shown and nothing left behind.
  void finish() {
    clock_.advance(milliseconds(60'000));
    REQUIRE(result_);
    if (*result_) {
      REQUIRE(says_serving_);
      REQUIRE((*result_)->process && (*result_)->connection);
      REQUIRE((*result_)->protocol_version == 1 || (*result_)->protocol_version == 5);
    } else {
      const Error& error = result_->error();
      REQUIRE(processes_.living() == 0);
      REQUIRE(!error.message.empty() && error.message.size() < 4'000);
      REQUIRE(fuzz::is_fit_for_messages(error.message));
    }
    const auto lines = log_.tail(SIZE_MAX);
    for (const plugin::LogLine& line : lines) {
      REQUIRE(line.text.size() <= plugin::OutputLog::Limits{}.line_length);
      REQUIRE(line.text.find('\n') == line.text.npos);
    }
    result_.reset();
    testing::run_ready(loop_);
    REQUIRE(processes_.living() == 0);
    REQUIRE(clock_.sleepers() == 0);
  }

 private:
  using Result = std::expected<plugin::Started, Error>;

  std::optional<testing::FakeConnection::Answer> answer(
      const testing::FakeConnection::Unary& call) {
    REQUIRE(call.method == "/grpc.health.v1.Health/Check");
    if (healths_.empty()) return std::nullopt;
    std::string text = std::move(healths_.front());
    healths_.pop_front();
    const int code = text.empty() ? 0 : (text[0] - '0') & 15;
    if (!text.empty()) text.erase(0, 1);
    // A server without the service counts as ready.
    if (code == 0 || code == static_cast<int>(StatusCode::kUnimplemented)) says_serving_ = true;
    return plugin::CallResult{static_cast<StatusCode>(code), text, text};
  }

  const bool refuses_;
  boost::asio::io_context loop_;
  testing::ManualClock clock_{loop_};
  testing::FakeProcessFactory processes_;
  testing::FakeConnector connector_{clock_};
  plugin::OutputLog log_;
  plugin::Manifest manifest_;
  std::unique_ptr<plugin::Dialect> dialect_ = dialect::make_go_plugin_dialect();
  std::deque<std::string> healths_;
  bool says_serving_ = false;
  std::optional<Result> result_;
};

struct Section {
  char kind;
  std::string_view text;
};

std::vector<Section> sections_of(std::string_view script) {
  std::vector<Section> sections;
  char kind = 'o';
  while (true) {
    std::size_t end = script.starts_with('@') && sections.empty() && kind == 'o' ? 0 : script.npos;
    if (end != 0) {
      end = script.find("\n@");
      if (end != script.npos) ++end;
    }
    std::string_view text = script.substr(0, end);
    // The line's end belongs to what is printed once, and to no message.
    if ((kind == 'h' || kind == 's' || kind == 'p') && text.ends_with('\n')) text.remove_suffix(1);
    sections.push_back({kind, text});
    if (end == script.npos || script.size() < end + 2) return sections;
    kind = script[end + 1];
    script.remove_prefix(end + 2);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view script(reinterpret_cast<const char*>(data), size);
  const auto sections = sections_of(script);
  std::string printed;
  for (const Section& section : sections) {
    check_fields(section.text);
    check_printable(section.text);
    if (section.kind == 'o') printed += section.text;
    if (section.kind == 'p') printed += repeated(section.text);
  }
  check_handshake(printed);
  Start start(std::ranges::find(sections, 'r', &Section::kind) != sections.end());
  // The answers first: they are asked for as soon as the handshake is there.
  for (const bool first : {true, false}) {
    for (const Section& section : sections) {
      if ((section.kind == 'h') == first) start.section(section.kind, section.text);
    }
  }
  start.finish();
  return 0;
}
