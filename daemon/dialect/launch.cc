#include "daemon/dialect/launch.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <optional>
#include <utility>

#include "daemon/dialect/requirements.h"
#include "daemon/plugin/printable.h"

namespace plugind::dialect {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using plugin::StartContext;
using std::chrono::milliseconds;

namespace {

// A process that dies closes its connection first and is seen to be dead a moment later.
constexpr milliseconds kDeathGrace{200};
// The kernel needs a moment to end killed processes; one that cannot be killed is given up on.
constexpr milliseconds kKillBound{5'000};
// What to do about an end of which no more is known.
constexpr const char* kTryByHand =
    "run its `command` by hand to see why; variables that it misses go into `env` or `env_allow` "
    "of the manifest";
constexpr std::size_t kStderrLines = 5;
constexpr std::size_t kStderrBytes = 1'024;

/// When the process printed something last.  Shared with what reads its output, which may outlive
/// the start.
using LastOutput = std::shared_ptr<plugin::Clock::TimePoint>;

std::expected<plugin::ProcessSpec, Error> make_spec(const StartContext& context,
                                                    std::string listen_socket,
                                                    const Variables& variables,
                                                    const std::shared_ptr<Greeting>& greeting,
                                                    const LastOutput& last_output) {
  auto program = find_program(context.manifest, variables);
  if (!program) return std::unexpected(std::move(program.error()));
  plugin::ProcessSpec spec = spec_without_program(context, variables, std::move(listen_socket));
  spec.executable = std::move(*program);
  // The process outlives the greeting; log and clock outlive the process.
  spec.on_output = [&log = context.log, &clock = context.clock, instance = context.instance,
                    listener = std::weak_ptr(greeting),
                    last_output](plugin::OutputStream stream, std::string_view bytes) {
    log.append(instance, stream, bytes, clock.wall_now());
    if (const auto greeting = listener.lock()) {
      *last_output = clock.now();
      greeting->on_output(stream, bytes);
    }
  };
  return spec;
}

/// What a program may not expect that ends at once; "" if it is as others are.
std::string sandbox_note(const plugin::Sandbox& sandbox) {
  if (!sandbox.any()) return "";
  std::string text = "; by its manifest it ";
  if (!sandbox.network) text += "has no network (`sandbox.network`)";
  if (!sandbox.network && sandbox.write_paths) text += " and ";
  if (sandbox.write_paths) text += "can write to a few paths only (`sandbox.write_paths`)";
  return text;
}

Error exited(const plugin::ExitStatus& status, milliseconds after, const std::string& explanation,
             const plugin::Manifest& manifest) {
  const std::string memory_remedy = status.memory_remedy(manifest.limits);
  Error error =
      make_error(Reason::kStartExited, "it ended with " + status.describe() + " after " +
                                           describe(after) + ", before it was ready" +
                                           memory_remedy + sandbox_note(manifest.sandbox));
  if (!explanation.empty()) {
    error.message += "; " + explanation;
  } else if (memory_remedy.empty()) {
    error.message += std::string("; ") + kTryByHand;
  }
  status.add_details(error);
  return error;
}

void append_stderr(Error& error, const StartContext& context) {
  const std::string tail = context.log.last_stderr(context.instance, kStderrLines, kStderrBytes);
  if (tail.empty()) return;
  error.message += "; its last stderr:\n" + plugin::printable(tail, kStderrBytes, true);
}

// Until nothing of the tree is left.
asio::awaitable<void> clear_away(plugin::Process& process, plugin::Clock& clock) {
  process.kill_tree();
  auto gone = process.wait_tree_gone();
  auto given_up = clock.sleep(kKillBound);
  co_await (std::move(gone) || std::move(given_up));
}

// Until the start has taken too long: start.timeout, which counts anew whenever the process prints
// something if there is a start.timeout_max, but that in any case.
asio::awaitable<void> start_deadline(const StartContext& context, LastOutput last_output) {
  const plugin::Manifest& manifest = context.manifest;
  const auto began = context.clock.now();
  const auto last = began + std::max(manifest.start_timeout, manifest.start_timeout_max);
  auto deadline = began + manifest.start_timeout;
  while (true) {
    co_await context.clock.sleep(deadline - context.clock.now());
    const auto extended =
        manifest.start_timeout_max.count() == 0
            ? deadline
            : std::min(last, std::max(began, *last_output) + manifest.start_timeout);
    if (extended <= deadline) co_return;
    deadline = extended;
  }
}

// The greeting against the process's end against the clock: whichever comes first.
asio::awaitable<std::expected<Greeted, Error>> race(const StartContext& context,
                                                    plugin::Process& process, Greeting& greeting,
                                                    LastOutput last_output) {
  plugin::Clock& clock = context.clock;
  const auto began = clock.now();
  const auto elapsed = [&] {
    return std::chrono::duration_cast<milliseconds>(clock.now() - began);
  };
  auto greet = greeting.greet();
  auto end = process.wait();
  auto timeout = start_deadline(context, std::move(last_output));
  auto first = co_await (std::move(greet) || std::move(end) || std::move(timeout));
  if (first.index() == 1) {
    co_return std::unexpected(
        exited(std::get<1>(first), elapsed(), greeting.explain_exit(), context.manifest));
  }
  if (first.index() == 2) co_return std::unexpected(greeting.timed_out(elapsed()));

  std::expected<Greeted, Error>& greeted = std::get<0>(first);
  if (!greeted && greeted.error().reason == Reason::kConnectFailed) {
    // A connection that fails may be the first sign of a death.
    auto late_end = process.wait();
    auto grace = clock.sleep(kDeathGrace);
    const auto seen = co_await (std::move(late_end) || std::move(grace));
    if (seen.index() == 0) {
      co_return std::unexpected(
          exited(std::get<0>(seen), elapsed(), greeting.explain_exit(), context.manifest));
    }
  }
  co_return std::move(greeted);
}

// What has to be so before there is a process.
asio::awaitable<std::expected<void, Error>> prepare(const StartContext& context,
                                                    const Variables& variables,
                                                    plugin::ProcessSpec& spec) {
  const plugin::Manifest& manifest = context.manifest;
  const auto& met = context.requirements_met;
  if (!manifest.requirements.empty() && !(met && *met)) {
    if (auto checked = co_await check_requirements(context, variables, spec); !checked) {
      co_return checked;
    }
    if (met) *met = true;
  }
  co_return co_await pin_program(context, spec);
}

}  // namespace

Variables environment_of(const StartContext& context, Variables wishes) {
  const plugin::Manifest& manifest = context.manifest;
  Variables variables = base_environment(daemon_variable);
  inherit(variables, manifest.env_allow, daemon_variable);
  if (manifest.run_as) become(variables, *manifest.run_as);
  variables["TMPDIR"] = context.directory.string();
  for (auto& [name, value] : wishes) variables[name] = std::move(value);
  for (const auto& [name, value] : manifest.env) variables[name] = value;
  return variables;
}

plugin::ProcessSpec spec_without_program(const StartContext& context, const Variables& variables,
                                         std::string listen_socket) {
  const plugin::Manifest& manifest = context.manifest;
  plugin::ProcessSpec spec;
  spec.arguments.assign(manifest.command.begin() + 1, manifest.command.end());
  spec.environment = to_list(variables);
  spec.working_directory =
      manifest.working_directory.empty() ? context.directory.string() : manifest.working_directory;
  spec.listen_socket = std::move(listen_socket);
  spec.tree_name = context.instance;
  spec.limits = manifest.limits;
  spec.run_as = manifest.run_as;
  spec.private_directory = context.directory.string();
  spec.umask = manifest.umask;
  spec.no_new_privileges = manifest.no_new_privileges;
  spec.sandbox = manifest.sandbox;
  if (spec.sandbox.write_paths) spec.sandbox.write_paths->push_back(context.directory.string());
  return spec;
}

asio::awaitable<std::expected<void, Error>> pin_program(const StartContext& context,
                                                        plugin::ProcessSpec& spec) {
  const plugin::Manifest& manifest = context.manifest;
  if (manifest.sha256.empty()) co_return std::expected<void, Error>{};
  auto pin = context.processes.pin(spec.executable, manifest.sha256);
  auto timeout = context.clock.sleep(manifest.start_timeout);
  auto first = co_await (std::move(pin) || std::move(timeout));
  if (first.index() == 1) {
    co_return std::unexpected(make_error(
        Reason::kStartTimeout, "the checksum of " + spec.executable + " was not known after " +
                                   describe(manifest.start_timeout) +
                                   "; start.timeout is too short, or its disk too slow"));
  }
  auto& pinned = std::get<0>(first);
  if (!pinned) co_return std::unexpected(std::move(pinned.error()));
  spec.pinned = std::move(*pinned);
  co_return std::expected<void, Error>{};
}

asio::awaitable<std::expected<plugin::Started, Error>> launch(StartContext context,
                                                              ProcessWishes wishes,
                                                              std::shared_ptr<Greeting> greeting) {
  const Variables variables = environment_of(context, std::move(wishes.environment));
  const auto last_output = std::make_shared<plugin::Clock::TimePoint>();
  auto spec = make_spec(context, std::move(wishes.listen_socket), variables, greeting, last_output);
  if (!spec) co_return std::unexpected(std::move(spec.error()));
  if (auto fit = co_await prepare(context, variables, *spec); !fit) {
    co_return std::unexpected(std::move(fit.error()));
  }
  auto process = context.processes.spawn(std::move(*spec));
  if (!process) co_return std::unexpected(std::move(process.error()));

  std::optional<plugin::ShownProcess> shown(std::in_place, context, **process);

  // If this coroutine is cancelled, the awaits throw and ~Process ends the tree.
  auto greeted = co_await race(context, **process, *greeting, last_output);
  if (greeted) {
    co_return plugin::Started{std::move(*process), std::move(greeted->connection),
                              std::move(greeted->endpoint), greeted->protocol_version};
  }
  Error error = std::move(greeted.error());
  const bool lives = !(*process)->exit_status();
  co_await clear_away(**process, context.clock);
  if (context.failed != nullptr) {
    *context.failed = {(*process)->pid(), (*process)->exit_status(), lives, error.message};
  }
  shown.reset();
  process->reset();
  append_stderr(error, context);
  co_return std::unexpected(std::move(error));
}

std::string describe(milliseconds duration) {
  if (duration.count() >= 1000 && duration.count() % 1000 == 0) {
    return std::to_string(duration.count() / 1000) + " s";
  }
  return std::to_string(duration.count()) + " ms";
}

milliseconds request_bound(const plugin::Manifest& manifest) {
  return std::max(manifest.start_timeout, manifest.start_timeout_max) + milliseconds(1'000);
}

}  // namespace plugind::dialect
