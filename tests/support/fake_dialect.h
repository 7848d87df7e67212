// A dialect whose instances are ready as soon as their process and connection exist.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "daemon/plugin/dialect.h"

namespace plugind::testing {

class FakeDialect final : public plugin::Dialect {
 public:
  boost::asio::awaitable<std::expected<plugin::Started, Error>> start(
      plugin::StartContext context) override {
    ++starts;
    directories.push_back(context.directory);
    if (start_takes.count() > 0) co_await context.clock.sleep(start_takes);
    if (next_error) {
      if (next_failed) *context.failed = *std::exchange(next_failed, std::nullopt);
      co_return std::unexpected(*std::exchange(next_error, std::nullopt));
    }
    plugin::ProcessSpec spec;
    spec.tree_name = context.instance;
    spec.on_output = [&log = context.log, &clock = context.clock, id = context.instance](
                         plugin::OutputStream stream, std::string_view bytes) {
      log.append(id, stream, bytes, clock.wall_now());
    };
    auto process = context.processes.spawn(std::move(spec));
    if (!process) co_return std::unexpected(process.error());
    const plugin::ShownProcess shown(context, **process);
    if (greeting_takes.count() > 0) co_await context.clock.sleep(greeting_takes);
    plugin::Started started;
    started.endpoint.address = "unix:" + (context.directory / "instance.sock").string();
    auto connection =
        co_await context.connector.connect(started.endpoint, std::chrono::milliseconds(100));
    if (!connection) co_return std::unexpected(connection.error());
    started.process = std::move(*process);
    started.connection = std::move(*connection);
    co_return started;
  }

  boost::asio::awaitable<std::vector<plugin::Finding>> examine(
      plugin::StartContext context) override {
    examined.push_back(context.directory);
    if (examine_takes.count() > 0) co_await context.clock.sleep(examine_takes);
    co_return findings;
  }

  boost::asio::awaitable<std::expected<std::optional<std::string>, Error>> probe(
      plugin::Started& instance, std::chrono::milliseconds bound) override {
    ++probes;
    probe_bound = bound;
    if (probe_is_lost || !instance.connection->alive()) {
      co_return std::unexpected(make_error(Reason::kPluginProtocolError, "it is gone"));
    }
    co_return ailment;
  }

  boost::asio::awaitable<void> request_shutdown(plugin::Started&, plugin::Clock& clock,
                                                std::chrono::milliseconds bound) override {
    ++shutdown_requests;
    if (on_shutdown) on_shutdown();
    if (shutdown_takes.count() > 0) co_await clock.sleep(std::min(shutdown_takes, bound));
  }

  std::chrono::milliseconds start_takes{0};     ///< Before there is a process.
  std::chrono::milliseconds greeting_takes{0};  ///< With one.
  std::chrono::milliseconds examine_takes{0};
  std::vector<plugin::Finding> findings;  ///< What examine() finds.
  std::vector<std::filesystem::path> examined;
  std::optional<Error> next_error;                 ///< The next start fails with it.
  std::optional<plugin::FailedStart> next_failed;  ///< What it then says besides.
  std::optional<std::string> ailment;              ///< What probe() finds wrong.
  bool probe_is_lost = false;                      ///< probe() finds its connection gone.
  std::chrono::milliseconds probe_bound{0};
  int probes = 0;
  int starts = 0;
  int shutdown_requests = 0;
  std::chrono::milliseconds shutdown_takes{0};  ///< The answer to one.
  std::function<void()> on_shutdown;            ///< Called with each.
  std::vector<std::filesystem::path> directories;
};

}  // namespace plugind::testing
