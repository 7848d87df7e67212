#include "daemon/dialect/side_command.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <memory>
#include <string_view>
#include <utility>

namespace plugind::dialect {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr std::size_t kMostOutput = 16 << 10;  // Of each stream; the rest is not looked at.

}  // namespace

asio::awaitable<std::expected<SideResult, Error>> run_beside(const plugin::StartContext& context,
                                                             const plugin::ProcessSpec& like,
                                                             SideCommand command) {
  // Shared with the callback, which ends with the process.
  const auto result = std::make_shared<SideResult>();
  plugin::ProcessSpec spec;
  spec.executable = std::move(command.executable);
  spec.arguments = std::move(command.arguments);
  spec.environment = like.environment;
  // The instance's directory is not another user's before the plugin's socket is in it.
  const bool elsewhere = like.run_as && context.manifest.working_directory.empty();
  spec.working_directory = elsewhere ? "/" : like.working_directory;
  spec.tree_name = context.instance + "." + command.purpose;
  spec.run_as = like.run_as;
  spec.umask = like.umask;
  spec.no_new_privileges = like.no_new_privileges;
  spec.sandbox = like.sandbox;
  spec.on_output = [result](plugin::OutputStream stream, std::string_view bytes) {
    std::string& text = stream == plugin::OutputStream::kStdout ? result->out : result->err;
    text += bytes.substr(0, kMostOutput - text.size());
  };
  auto process = context.processes.spawn(std::move(spec));
  if (!process) co_return std::unexpected(std::move(process.error()));
  auto end = (*process)->wait();
  auto timeout = context.clock.sleep(command.timeout);
  const auto first = co_await (std::move(end) || std::move(timeout));
  // ~Process ends what is left of its tree.
  process->reset();
  if (first.index() == 0) result->status = std::get<0>(first);
  co_return std::move(*result);
}

}  // namespace plugind::dialect
