#include "daemon/dialect/native.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <map>
#include <utility>

#include "daemon/dialect/examine.h"
#include "daemon/dialect/health.h"
#include "daemon/dialect/launch.h"

namespace plugind::dialect {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using std::chrono::milliseconds;

namespace {

// Nothing tells that a program has bound its socket, so it is tried with a growing pause.
constexpr milliseconds kFirstPause{2}, kLongestPause{50};
// How late a socket is found, as a part of how long it took the program.
constexpr int kPartOfWait = 16;

// Two sockets, because a path that is bound already cannot be bound again by most servers:
// docs/decisions/0002-native-listen.md.
struct Addresses {
  std::string given;      // As descriptor 3, listening.
  std::string announced;  // In PLUGIND_LISTEN; the program binds it.
};

Addresses addresses_in(const std::filesystem::path& directory) {
  // The first is the longer one: the platform checks its length.
  return {(directory / "inherited.sock").string(), (directory / "instance.sock").string()};
}

ProcessWishes wishes_of(const Addresses& addresses) {
  return {.environment = {{"PLUGIND_LISTEN", "unix:" + addresses.announced}},
          .listen_socket = addresses.given};
}

HealthQuestion health_question(milliseconds timeout) {
  return {.service = "", .unknown_is_ready = true, .timeout = timeout};
}

class NativeGreeting : public Greeting {
 public:
  NativeGreeting(const plugin::StartContext& context, Addresses addresses)
      : manifest_(context.manifest),
        connector_(context.connector),
        clock_(context.clock),
        addresses_(std::move(addresses)) {}

  void on_output(plugin::OutputStream, std::string_view) override {}

  asio::awaitable<std::expected<Greeted, Error>> greet() override {
    for (milliseconds pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
      Greeted greeted = co_await connect_to_either();
      health_.clear();
      connected_ = true;
      HealthQuestion question = health_question(request_bound(manifest_));
      const auto serving =
          co_await await_serving(*greeted.connection, std::move(question), clock_, health_);
      if (serving) co_return greeted;
      // It closed the connection.  If it still runs, it may take another one.
      health_.clear();
      connected_ = false;
      failures_[greeted.endpoint.address] = serving.error().message;
      greeted.connection.reset();
      co_await clock_.sleep(pause);
    }
  }

  Error timed_out(milliseconds after) override {
    if (!health_.empty()) {
      return make_error(Reason::kNotReady,
                        "it is not ready after " + describe(after) + ": " + health_);
    }
    if (connected_) {
      return make_error(Reason::kStartTimeout, "it took the connection, and did not answer " +
                                                   std::string(kHealthCheck) + " within " +
                                                   describe(after) + " of its start");
    }
    std::string message = "no gRPC server answers after " + describe(after) +
                          ", neither on PLUGIND_LISTEN=unix:" + addresses_.announced +
                          " nor on descriptor 3";
    std::string last;
    for (const auto& [address, failure] : failures_) last += (last.empty() ? "" : "; ") + failure;
    if (!last.empty()) message += " (last: " + last + ")";
    return make_error(Reason::kStartTimeout,
                      message +
                          "; the program must listen on one of them, or start.timeout is "
                          "too short");
  }

  std::string explain_exit() override { return ""; }

 private:
  asio::awaitable<Greeted> connect_to_either() {
    auto announced = connect_to(addresses_.announced);
    auto given = connect_to(addresses_.given);
    auto first = co_await (std::move(announced) || std::move(given));
    co_return first.index() == 0 ? std::move(std::get<0>(first)) : std::move(std::get<1>(first));
  }

  asio::awaitable<Greeted> connect_to(std::string path) {
    plugin::Endpoint endpoint{"unix:" + path};
    const auto began = clock_.now();
    for (;;) {
      auto connection = co_await connector_.connect(endpoint, request_bound(manifest_));
      if (connection) {
        co_return Greeted{std::move(*connection), std::move(endpoint), 0};
      }
      // An attempt that start.timeout cuts short tells less than the one before it.
      const auto state = co_await asio::this_coro::cancellation_state;
      std::string& failure = failures_[endpoint.address];
      if (failure.empty() || state.cancelled() == asio::cancellation_type::none) {
        failure = connection.error().message;
      }
      const plugin::Clock::Duration pause = (clock_.now() - began) / kPartOfWait;
      co_await clock_.sleep(std::clamp<plugin::Clock::Duration>(pause, kFirstPause, kLongestPause));
    }
  }

  const plugin::Manifest& manifest_;
  plugin::Connector& connector_;
  plugin::Clock& clock_;
  const Addresses addresses_;
  bool connected_ = false;
  std::string health_;  // The last answer that was not "ready".
  // Why the last connection failed, by address.
  std::map<std::string, std::string> failures_;
};

class NativeDialect : public plugin::Dialect {
 public:
  asio::awaitable<std::expected<plugin::Started, Error>> start(
      plugin::StartContext context) override {
    Addresses addresses = addresses_in(context.directory);
    ProcessWishes wishes = wishes_of(addresses);
    auto greeting = std::make_shared<NativeGreeting>(context, std::move(addresses));
    co_return co_await launch(context, std::move(wishes), std::move(greeting));
  }

  asio::awaitable<std::vector<plugin::Finding>> examine(plugin::StartContext context) override {
    ProcessWishes wishes = wishes_of(addresses_in(context.directory));
    co_return co_await examine_launch(std::move(context), std::move(wishes));
  }

  asio::awaitable<std::expected<std::optional<std::string>, Error>> probe(
      plugin::Started& instance, milliseconds bound) override {
    return ask_health(*instance.connection, health_question(bound));
  }

  // A native plugin has no call for it: the stop sequence begins with SIGTERM at once.
  asio::awaitable<void> request_shutdown(plugin::Started&, plugin::Clock&, milliseconds) override {
    co_return;
  }
};

}  // namespace

std::unique_ptr<plugin::Dialect> make_native_dialect() { return std::make_unique<NativeDialect>(); }

}  // namespace plugind::dialect
