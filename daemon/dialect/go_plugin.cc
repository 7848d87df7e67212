#include "daemon/dialect/go_plugin.h"

#include <algorithm>
#include <map>
#include <utility>

#include "daemon/dialect/examine.h"
#include "daemon/dialect/handshake.h"
#include "daemon/dialect/health.h"
#include "daemon/dialect/launch.h"
#include "daemon/dialect/stdio_stream.h"
#include "daemon/platform/local_socket.h"
#include "daemon/plugin/gate.h"
#include "daemon/plugin/printable.h"

namespace plugind::dialect {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// Implementations in other languages may announce an address a moment before they listen on it.
constexpr milliseconds kConnectGrace{5'000};
constexpr milliseconds kFirstPause{2}, kLongestPause{100};
constexpr std::size_t kAddressShown = 200;
// The longest name that go-plugin gives its socket: os.CreateTemp's, of "plugin".
constexpr const char* kLongestSocketName = "plugin4294967295";
// Plugins whose noise is remembered.
constexpr std::size_t kMostNoisy = 1'024;

// To whom nothing but noise came.
constexpr std::string_view kNoHandshake =
    "a go-plugin plugin prints its handshake first: correct `dialect`, or name a program in "
    "`command` that serves a plugin";

// What go-plugin prints when the cookie is not what the plugin expects.
constexpr std::string_view kWrongCookie = "This binary is a plugin";

std::string join(const std::vector<std::uint32_t>& numbers) {
  std::string text;
  for (const std::uint32_t number : numbers) {
    if (!text.empty()) text += ',';
    text += std::to_string(number);
  }
  return text;
}

Variables environment_of(const plugin::StartContext& context) {
  const plugin::GoPluginOptions& options = context.manifest.go_plugin;
  Variables variables{
      // go-plugin's own defaults; only plugins without Unix sockets look at them.
      {"PLUGIN_MIN_PORT", "10000"},
      {"PLUGIN_MAX_PORT", "25000"},
      {"PLUGIN_PROTOCOL_VERSIONS", join(options.protocol_versions)},
      {"PLUGIN_UNIX_SOCKET_DIR", context.directory.string()},
  };
  if (!options.cookie_key.empty()) variables[options.cookie_key] = options.cookie_value;
  return variables;
}

HealthQuestion health_question(milliseconds timeout) {
  return {.service = "plugin", .unknown_is_ready = false, .timeout = timeout};
}

class GoPluginGreeting : public Greeting {
 public:
  explicit GoPluginGreeting(const plugin::StartContext& context) : context_(context) {}

  void on_output(plugin::OutputStream stream, std::string_view bytes) override {
    if (stream != plugin::OutputStream::kStdout) return;
    reader_.feed(bytes);
    if (!reader_.line().empty() || reader_.overflowed()) line_came_.open();
  }

  asio::awaitable<std::expected<Greeted, Error>> greet() override {
    co_await line_came_.wait();
    if (reader_.overflowed()) {
      co_return std::unexpected(
          make_error(Reason::kHandshakeInvalid, reader_.describe_noise(), kNoHandshake, "; "));
    }
    const plugin::Manifest& manifest = context_.manifest;
    auto handshake =
        parse_handshake(reader_.line(), manifest.go_plugin.protocol_versions,
                        manifest.working_directory.empty() ? context_.directory.string()
                                                           : manifest.working_directory);
    if (!handshake) co_return std::unexpected(std::move(handshake.error()));
    address_ = plugin::printable(handshake->endpoint.address, kAddressShown);
    // From here its address would be that of a stranger.
    if (!manifest.sandbox.network && handshake->endpoint.address.starts_with("tcp:")) {
      co_return std::unexpected(network_missed());
    }

    auto connection = co_await connect(handshake->endpoint);
    if (!connection) co_return std::unexpected(std::move(connection.error()));
    connected_ = true;
    // Early: until somebody reads it, the plugin blocks as soon as it prints more than a pipe
    // holds.
    copy_stdio(**connection, context_.instance, context_.log, context_.clock);
    HealthQuestion question = health_question(request_bound(manifest));
    auto serving =
        co_await await_serving(**connection, std::move(question), context_.clock, health_);
    if (!serving) co_return std::unexpected(connection_failed(serving.error().message));
    co_return Greeted{std::move(*connection), std::move(handshake->endpoint),
                      handshake->protocol_version};
  }

  Error timed_out(milliseconds after) override {
    if (!health_.empty()) {
      return make_error(Reason::kNotReady,
                        "it is not ready after " + describe(after) + ": " + health_);
    }
    if (!address_.empty()) {
      const std::string what =
          connected_ ? "its gRPC server there did not answer " + std::string(kHealthCheck)
                     : "nothing answered there as a gRPC server";
      return make_error(Reason::kStartTimeout, "it announced " + address_ + ", and " + what +
                                                   " within " + describe(after) + " of its start");
    }
    if (const std::string noise = reader_.describe_noise(); !noise.empty()) {
      return make_error(
          Reason::kHandshakeInvalid,
          "it gave no go-plugin handshake within " + describe(after) + "; " + noise,
          std::string(kNoHandshake) + ", or raise start.timeout if it is slow to start", "; ");
    }
    return make_error(Reason::kStartTimeout,
                      "it printed nothing to stdout within " + describe(after) +
                          ", not even go-plugin's handshake; raise start.timeout if it is slow to "
                          "start");
  }

  /// What came before the handshake; "" if nothing did.
  std::string noise() { return reader_.describe_noise(); }

  std::string explain_exit() override {
    if (context_.log.last_stderr(context_.instance, 50, 16 << 10).find(kWrongCookie) !=
        std::string::npos) {
      const std::string& key = context_.manifest.go_plugin.cookie_key;
      return "the cookie in the manifest is wrong: the plugin does not know it was started by a "
             "host. " +
             (key.empty() ? "The manifest has no go-plugin.cookie_key"
                          : "The manifest sets " + key) +
             "; make go-plugin.cookie_key and go-plugin.cookie_value the MagicCookieKey and "
             "MagicCookieValue of the plugin's source";
    }
    const std::string noise = reader_.line().empty() ? reader_.describe_noise() : "";
    return noise.empty() ? "" : noise + "; " + std::string(kNoHandshake);
  }

 private:
  Error network_missed() const {
    Error error = make_error(
        Reason::kIsolationUnavailable,
        "it listens on " + address_ + ", where `sandbox.network` lets nobody reach it",
        "let it listen on a Unix socket in PLUGIN_UNIX_SOCKET_DIR, or remove that from the "
        "manifest");
    error.details.emplace_back("setting", "sandbox.network");
    return error;
  }

  Error connection_failed(const std::string& why) const {
    return make_error(
        Reason::kConnectFailed,
        "it announced " + address_ +
            ", but no gRPC server answers there: " + plugin::printable(why, 400) +
            "; plugind speaks plain HTTP/2, so a plugin with a TLSProvider of its own "
            "cannot be used");
  }

  asio::awaitable<std::expected<std::unique_ptr<plugin::Connection>, Error>> connect(
      plugin::Endpoint endpoint) {
    plugin::Clock& clock = context_.clock;
    const auto give_up = clock.now() + kConnectGrace;
    for (milliseconds pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
      auto connection =
          co_await context_.connector.connect(endpoint, request_bound(context_.manifest));
      if (connection) co_return connection;
      if (clock.now() >= give_up) {
        co_return std::unexpected(connection_failed(connection.error().message));
      }
      co_await clock.sleep(pause);
    }
  }

  const plugin::StartContext context_;
  HandshakeReader reader_;
  plugin::Gate line_came_;
  std::string address_;  // Once it was announced; fit to be shown.
  bool connected_ = false;
  std::string health_;  // The last answer that was not "ready".
};

class GoPluginDialect : public plugin::Dialect {
 public:
  asio::awaitable<std::expected<plugin::Started, Error>> start(
      plugin::StartContext context) override {
    auto greeting = std::make_shared<GoPluginGreeting>(context);
    ProcessWishes wishes{.environment = environment_of(context), .listen_socket = ""};
    const std::string name = context.manifest.name;
    auto started = co_await launch(context, std::move(wishes), greeting);
    if (started) remember_noise(name, greeting->noise());
    co_return started;
  }

  asio::awaitable<std::vector<plugin::Finding>> examine(plugin::StartContext context) override {
    ProcessWishes wishes{.environment = environment_of(context), .listen_socket = ""};
    const std::string name = context.manifest.name;
    const std::string socket = (context.directory / kLongestSocketName).string();
    auto findings = co_await examine_launch(std::move(context), std::move(wishes));
    if (const auto fits = platform::check_socket_path(socket); !fits) {
      findings.push_back(plugin::finding_of("socket-path", fits.error()));
    }
    if (const auto found = noise_.find(name); found != noise_.end()) {
      findings.push_back({plugin::Severity::kWarning, "handshake", "",
                          "at its last start " + found->second,
                          "print such lines to stderr: the first line of stdout is for the "
                          "handshake, and hosts that start the plugin themselves take no other"});
    }
    co_return findings;
  }

  asio::awaitable<std::expected<std::optional<std::string>, Error>> probe(
      plugin::Started& instance, milliseconds bound) override {
    return ask_health(*instance.connection, health_question(bound));
  }

  // The server stops before it has answered, so that an UNAVAILABLE or a closed connection is the
  // usual success; whatever comes back, the stop sequence follows.
  asio::awaitable<void> request_shutdown(plugin::Started& instance, plugin::Clock&,
                                         milliseconds bound) override {
    if (!instance.connection) co_return;
    co_await instance.connection->unary("/plugin.GRPCController/Shutdown", "", bound);
  }

 private:
  void remember_noise(const std::string& name, std::string noise) {
    if (noise.empty()) {
      noise_.erase(name);
    } else if (noise_.contains(name) || noise_.size() < kMostNoisy) {
      noise_[name] = std::move(noise);
    }
  }

  // By plugin: what its last start printed before the handshake.
  std::map<std::string, std::string> noise_;
};

}  // namespace

std::unique_ptr<plugin::Dialect> make_go_plugin_dialect() {
  return std::make_unique<GoPluginDialect>();
}

}  // namespace plugind::dialect
