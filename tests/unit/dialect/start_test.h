// One start of one plugin, with everything around it played by the test.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "daemon/plugin/dialect.h"
#include "tests/support/fake_connection.h"
#include "tests/support/fake_process.h"
#include "tests/support/manual_clock.h"

namespace plugind::dialect {

using namespace std::chrono_literals;
using testing::FakeConnection;
using testing::FakeConnector;
using testing::FakeProcess;
using Verdict = FakeConnector::Verdict;

class StartTest : public ::testing::Test {
 protected:
  using Result = std::expected<plugin::Started, Error>;

  StartTest() {
    manifest.file = "/etc/plugins.d/kv.toml";
    manifest.name = "kv";
    manifest.command = {"/opt/kv", "--flag"};
    manifest.start_timeout = 10s;
  }
  ~StartTest() override {
    if (!finished) cancel_start();
    // Whatever happened, a start that is over without an instance leaves no process.
    if (!(result && *result)) {
      EXPECT_EQ(processes.living(), 0u);
    }
    result.reset();
    testing::run_ready(loop);
    EXPECT_EQ(processes.living(), 0u);
    EXPECT_EQ(clock.sleepers(), 0u);
  }

  void start() {
    plugin::StartContext context{manifest,  "kv#1",           "/run/plugind/instances/kv#1",
                                 processes, connector,        clock,
                                 log,       requirements_met, &failed};
    boost::asio::co_spawn(loop, dialect->start(context),
                          boost::asio::bind_cancellation_slot(
                              cancel.slot(), [this](std::exception_ptr thrown, Result value) {
                                finished = true;
                                if (!thrown) result = std::move(value);
                              }));
    testing::run_ready(loop);
  }
  void run() { testing::run_ready(loop); }
  void cancel_start() {
    cancel.emit(boost::asio::cancellation_type::terminal);
    run();
  }

  /// Asks the instance that is ready how it is: `probed` says "well", what is wrong, "error", or ""
  /// as long as there is no answer.
  void probe(std::chrono::milliseconds bound) {
    probed.clear();
    boost::asio::co_spawn(loop, dialect->probe(**result, bound),
                          [this](std::exception_ptr, const auto& answer) {
                            probed = !answer ? "error" : answer->value_or("well");
                          });
    testing::run_ready(loop);
  }

  FakeProcess& process() { return processes.last(); }
  bool ready() const { return result && result->has_value(); }
  /// The error that the start ended with.
  Error error() const {
    if (!result || *result) {
      ADD_FAILURE() << (result ? "the start succeeded" : "the start is not over");
      return make_error(Reason::kInternal, "");
    }
    return result->error();
  }
  void expect_error(Reason reason, const std::string& message) const {
    const Error e = error();
    EXPECT_EQ(reason_name(e.reason), reason_name(reason));
    EXPECT_EQ(e.message, message);
  }
  std::string log_text() const {
    std::string text;
    for (const plugin::LogLine& line : log.tail(1000)) {
      text += (line.stream == plugin::OutputStream::kStdout ? "out: " : "err: ") + line.text + "\n";
    }
    return text;
  }

  boost::asio::io_context loop;
  testing::ManualClock clock{loop};
  testing::FakeProcessFactory processes;
  FakeConnector connector{clock};
  plugin::OutputLog log;
  plugin::Manifest manifest;
  std::shared_ptr<bool> requirements_met;
  plugin::FailedStart failed;
  std::unique_ptr<plugin::Dialect> dialect;
  boost::asio::cancellation_signal cancel;
  std::optional<Result> result;
  bool finished = false;
  std::string probed;
};

/// A grpc.health.v1.HealthCheckResponse.
inline plugin::CallResult health(int status) {
  return {StatusCode::kOk, "", std::string("\x08") + static_cast<char>(status)};
}
inline plugin::CallResult failed_call(StatusCode code) { return {code, "so it is", ""}; }

}  // namespace plugind::dialect
