#include "tests/support/fake_process.h"

#include <algorithm>

namespace plugind::testing {

namespace asio = boost::asio;
using plugin::ExitStatus;

// What the code under test holds.
class FakeProcessHandle : public plugin::Process {
 public:
  explicit FakeProcessHandle(std::shared_ptr<FakeProcess> process) : process_(std::move(process)) {}
  ~FakeProcessHandle() override {
    process_->destroyed = true;
    process_->end_tree();
  }

  std::int64_t pid() const override { return process_->pid; }

  asio::awaitable<ExitStatus> wait() override {
    const std::shared_ptr<FakeProcess> process = process_;
    co_await process->ended_.wait();
    co_return *process->status;
  }

  std::optional<ExitStatus> exit_status() const override { return process_->status; }

  void signal_tree(plugin::StopSignal signal) override {
    process_->signals.push_back(signal);
    if (process_->ends_on == signal) {
      process_->grandchildren.clear();
      process_->exit(0);
    }
    if (signal != plugin::StopSignal::kTerminate) return;
    ++process_->terminated;
    if (process_->ends_on_terminate && process_->alive()) process_->die(15);
  }

  void kill_tree() override {
    ++process_->killed;
    if (!process_->ends_late) process_->end_tree();
  }

  asio::awaitable<void> wait_tree_gone() override { return process_->tree_gone_.wait(); }

  std::vector<std::int64_t> tree_pids() const override {
    std::vector<std::int64_t> pids;
    if (process_->alive()) pids.push_back(process_->pid);
    pids.insert(pids.end(), process_->grandchildren.begin(), process_->grandchildren.end());
    return pids;
  }

 private:
  std::shared_ptr<FakeProcess> process_;
};

void FakeProcess::print(plugin::OutputStream stream, std::string_view bytes) {
  if (!destroyed && spec.on_output) spec.on_output(stream, bytes);
}

void FakeProcess::exit(int code) { end({.code = code, .signal = {}}); }

void FakeProcess::die(int signal) { end({.code = {}, .signal = signal}); }

void FakeProcess::end(ExitStatus how) {
  if (status) return;
  status = std::move(how);
  ended_.open();
  if (gone()) tree_gone_.open();
}

void FakeProcess::end_tree() {
  grandchildren.clear();
  if (alive()) {
    die(9);
  } else {
    tree_gone_.open();
  }
}

std::optional<std::string> FakeProcess::variable(std::string_view name) const {
  const std::string prefix = std::string(name) + "=";
  for (const std::string& entry : spec.environment) {
    if (entry.starts_with(prefix)) return entry.substr(prefix.size());
  }
  return std::nullopt;
}

std::expected<std::unique_ptr<plugin::Process>, Error> FakeProcessFactory::spawn(
    plugin::ProcessSpec spec) {
  if (next_error) return std::unexpected(*std::exchange(next_error, std::nullopt));
  auto process = std::make_shared<FakeProcess>();
  process->spec = std::move(spec);
  process->pid = static_cast<std::int64_t>(1000 + spawned.size());
  spawned.push_back(process);
  if (on_spawn) on_spawn(*process);
  return std::make_unique<FakeProcessHandle>(process);
}

std::expected<plugin::Rehearsal, Error> FakeProcessFactory::rehearse(plugin::ProcessSpec spec) {
  rehearsed.push_back(std::move(spec));
  return rehearsal;
}

boost::asio::awaitable<std::expected<std::shared_ptr<const plugin::PinnedProgram>, Error>>
FakeProcessFactory::pin(std::string executable, std::string sha256) {
  struct FakeProgram : plugin::PinnedProgram {};
  pinned.push_back(executable + " " + sha256);
  if (next_pin_error) co_return std::unexpected(*std::exchange(next_pin_error, std::nullopt));
  co_return std::make_shared<const FakeProgram>();
}

std::size_t FakeProcessFactory::living() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(spawned, [](const auto& process) { return !process->gone(); }));
}

}  // namespace plugind::testing
