#include "daemon/app/process_factory.h"

#include <utility>

#include "daemon/platform/process.h"

namespace plugind::app {
namespace {

plugin::OutputStream convert(platform::OutputStream stream) {
  return stream == platform::OutputStream::kStdout ? plugin::OutputStream::kStdout
                                                   : plugin::OutputStream::kStderr;
}

plugin::ExitStatus convert(const platform::ExitStatus& status) {
  return {.code = status.code, .signal = status.signal, .core_dumped = status.core_dumped};
}

class PlatformProcess : public plugin::Process {
 public:
  explicit PlatformProcess(std::unique_ptr<platform::Process> process)
      : process_(std::move(process)) {}

  std::int64_t pid() const override { return process_->pid(); }
  boost::asio::awaitable<plugin::ExitStatus> wait() override { return convert(process_->wait()); }
  std::optional<plugin::ExitStatus> exit_status() const override {
    const auto status = process_->exit_status();
    return status ? std::optional(app::convert(*status)) : std::nullopt;
  }
  void terminate_tree() override { process_->terminate_tree(); }
  void kill_tree() override { process_->kill_tree(); }
  boost::asio::awaitable<void> wait_tree_gone() override { return process_->wait_tree_gone(); }
  std::vector<std::int64_t> tree_pids() const override { return process_->tree_pids(); }

 private:
  // Static, with the inner wait already made: the Process may be destroyed while somebody waits.
  static boost::asio::awaitable<plugin::ExitStatus> convert(
      boost::asio::awaitable<platform::ExitStatus> wait) {
    co_return app::convert(co_await std::move(wait));
  }

  std::unique_ptr<platform::Process> process_;
};

class PlatformProcessFactory : public plugin::ProcessFactory {
 public:
  explicit PlatformProcessFactory(platform::ProcessTrees& trees) : trees_(trees) {}

  std::expected<std::unique_ptr<plugin::Process>, Error> spawn(plugin::ProcessSpec spec) override {
    platform::SpawnRequest request{.executable = std::move(spec.executable),
                                   .arguments = std::move(spec.arguments),
                                   .environment = std::move(spec.environment),
                                   .working_directory = std::move(spec.working_directory),
                                   .listen_socket = std::move(spec.listen_socket),
                                   .tree_name = std::move(spec.tree_name),
                                   .on_output = {}};
    if (spec.on_output) {
      request.on_output = [on_output = std::move(spec.on_output)](platform::OutputStream stream,
                                                                  std::string_view bytes) {
        on_output(convert(stream), bytes);
      };
    }
    auto process = platform::spawn(trees_, std::move(request));
    if (!process) return std::unexpected(process.error());
    return std::make_unique<PlatformProcess>(std::move(*process));
  }

 private:
  platform::ProcessTrees& trees_;
};

}  // namespace

std::unique_ptr<plugin::ProcessFactory> make_process_factory(platform::ProcessTrees& trees) {
  return std::make_unique<PlatformProcessFactory>(trees);
}

}  // namespace plugind::app
