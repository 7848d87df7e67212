#include "daemon/app/process_factory.h"

#include <utility>

#include "daemon/platform/process.h"
#include "daemon/platform/sealed_program.h"
#include "daemon/platform/signals.h"

namespace plugind::app {
namespace {

plugin::OutputStream convert(platform::OutputStream stream) {
  return stream == platform::OutputStream::kStdout ? plugin::OutputStream::kStdout
                                                   : plugin::OutputStream::kStderr;
}

std::optional<plugin::ResourceUse> convert(const std::optional<platform::ResourceUse>& use) {
  if (!use) return std::nullopt;
  const auto& [user_time, system_time, peak_memory, peak_is_bound] = *use;
  return plugin::ResourceUse{user_time, system_time, peak_memory, peak_is_bound};
}

plugin::MemoryKill convert(platform::MemoryKill kill) {
  switch (kill) {
    case platform::MemoryKill::kNone:
      break;
    case platform::MemoryKill::kLikely:
      return plugin::MemoryKill::kLikely;
    case platform::MemoryKill::kOverLimit:
      return plugin::MemoryKill::kOverLimit;
  }
  return plugin::MemoryKill::kNone;
}

plugin::ExitStatus convert(const platform::ExitStatus& status) {
  const auto& [code, signal, memory_kill, core_dumped, core, use] = status;
  return {code, signal, convert(memory_kill), core_dumped, {core.file, core.note}, convert(use)};
}

plugin::HeldLimit convert(const platform::HeldLimit& limit) {
  using Holder = plugin::HeldLimit::Holder;
  const auto holder = limit.holder == platform::LimitHolder::kControlGroup   ? Holder::kControlGroup
                      : limit.holder == platform::LimitHolder::kProcessLimit ? Holder::kProcessLimit
                                                                             : Holder::kNothing;
  return {limit.name, holder, limit.note};
}

platform::ResourceLimits convert(const plugin::ResourceLimits& limits) {
  const auto& [memory, cpu, processes, open_files, required] = limits;
  return {memory, cpu, processes, open_files, required};
}

platform::Sandbox convert(plugin::Sandbox sandbox) {
  auto& [write_paths, network] = sandbox;
  return {std::move(write_paths), network};
}

std::optional<platform::RunAs> convert(const std::optional<plugin::RunAs>& user) {
  if (!user) return std::nullopt;
  return platform::RunAs{user->user.id, user->group.id, user->groups};
}

platform::Signal convert(plugin::StopSignal signal) {
  switch (signal) {
    case plugin::StopSignal::kTerminate:
      break;
    case plugin::StopSignal::kInterrupt:
      return platform::Signal::kInterrupt;
    case plugin::StopSignal::kQuit:
      return platform::Signal::kQuit;
    case plugin::StopSignal::kHangup:
      return platform::Signal::kHangup;
    case plugin::StopSignal::kUser1:
      return platform::Signal::kUser1;
    case plugin::StopSignal::kUser2:
      return platform::Signal::kUser2;
  }
  return platform::Signal::kTerminate;
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
  void signal_tree(plugin::StopSignal signal) override {
    process_->signal_tree(app::convert(signal));
  }
  void kill_tree() override { process_->kill_tree(); }
  boost::asio::awaitable<void> wait_tree_gone() override { return process_->wait_tree_gone(); }
  std::vector<std::int64_t> tree_pids() const override { return process_->tree_pids(); }
  std::vector<plugin::HeldLimit> limits() const override {
    std::vector<plugin::HeldLimit> result;
    for (const auto& limit : process_->limits()) result.push_back(app::convert(limit));
    return result;
  }
  std::optional<plugin::CurrentUse> use() const override {
    const auto use = process_->use();
    return use ? std::optional(plugin::CurrentUse{use->cpu_time, use->memory}) : std::nullopt;
  }

 private:
  // Static, with the inner wait already made: the Process may be destroyed while somebody waits.
  static boost::asio::awaitable<plugin::ExitStatus> convert(
      boost::asio::awaitable<platform::ExitStatus> wait) {
    co_return app::convert(co_await std::move(wait));
  }

  std::unique_ptr<platform::Process> process_;
};

struct PlatformProgram : plugin::PinnedProgram {
  std::shared_ptr<const platform::SealedProgram> sealed;
};

platform::SpawnRequest request_of(plugin::ProcessSpec spec) {
  platform::SpawnRequest request{.executable = std::move(spec.executable),
                                 .arguments = std::move(spec.arguments),
                                 .environment = std::move(spec.environment),
                                 .working_directory = std::move(spec.working_directory),
                                 .listen_socket = std::move(spec.listen_socket),
                                 .tree_name = std::move(spec.tree_name),
                                 .limits = app::convert(spec.limits),
                                 .run_as = app::convert(spec.run_as),
                                 .private_directory = std::move(spec.private_directory),
                                 .umask = spec.umask,
                                 .sealed = {},
                                 .no_new_privileges = spec.no_new_privileges,
                                 .sandbox = app::convert(std::move(spec.sandbox)),
                                 .on_output = {}};
  if (spec.pinned) {
    request.sealed = static_cast<const PlatformProgram&>(*spec.pinned).sealed;
  }
  if (spec.on_output) {
    request.on_output = [on_output = std::move(spec.on_output)](platform::OutputStream stream,
                                                                std::string_view bytes) {
      on_output(convert(stream), bytes);
    };
  }
  return request;
}

class PlatformProcessFactory : public plugin::ProcessFactory {
 public:
  explicit PlatformProcessFactory(platform::ProcessTrees& trees)
      : trees_(trees), sealer_(trees.loop()) {}

  std::expected<std::unique_ptr<plugin::Process>, Error> spawn(plugin::ProcessSpec spec) override {
    auto process = platform::spawn(trees_, request_of(std::move(spec)));
    if (!process) return std::unexpected(process.error());
    return std::make_unique<PlatformProcess>(std::move(*process));
  }

  std::expected<plugin::Rehearsal, Error> rehearse(plugin::ProcessSpec spec) override {
    auto rehearsal = platform::rehearse(trees_, request_of(std::move(spec)));
    if (!rehearsal) return std::unexpected(std::move(rehearsal.error()));
    plugin::Rehearsal result;
    for (const auto& limit : rehearsal->limits) result.limits.push_back(app::convert(limit));
    result.not_tried = std::move(rehearsal->not_tried);
    return result;
  }

  boost::asio::awaitable<std::expected<std::shared_ptr<const plugin::PinnedProgram>, Error>> pin(
      std::string executable, std::string sha256) override {
    return pin(sealer_.seal(std::move(executable), std::move(sha256)));
  }

 private:
  // Static, with the sealing already begun: the factory may go while somebody waits.
  static boost::asio::awaitable<std::expected<std::shared_ptr<const plugin::PinnedProgram>, Error>>
  pin(boost::asio::awaitable<platform::ProgramSealer::Result> sealing) {
    auto sealed = co_await std::move(sealing);
    if (!sealed) co_return std::unexpected(std::move(sealed.error()));
    auto program = std::make_shared<PlatformProgram>();
    program->sealed = std::move(*sealed);
    co_return program;
  }

  platform::ProcessTrees& trees_;
  platform::ProgramSealer sealer_;
};

}  // namespace

std::unique_ptr<plugin::ProcessFactory> make_process_factory(platform::ProcessTrees& trees) {
  return std::make_unique<PlatformProcessFactory>(trees);
}

}  // namespace plugind::app
