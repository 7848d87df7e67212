// What every dialect does: start the process, greet it, and on any failure leave nothing behind.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/dialect/environment.h"
#include "daemon/error.h"
#include "daemon/plugin/dialect.h"

namespace plugind::dialect {

struct Greeted {
  std::unique_ptr<plugin::Connection> connection;
  plugin::Endpoint endpoint;
  std::uint32_t protocol_version = 0;
};

/// One dialect's part in one start.  Its sentences go after "plugin 'NAME' cannot start: ".
class Greeting {
 public:
  virtual ~Greeting() = default;

  /// Gets what the process prints until the start is over; the log has it already.
  virtual void on_output(plugin::OutputStream stream, std::string_view bytes) = 0;
  /// Completes when the instance is ready, or cannot become so.  Need not watch the clock or the
  /// process: it is cancelled when start.timeout is over or the process has ended.
  virtual boost::asio::awaitable<std::expected<Greeted, Error>> greet() = 0;
  /// Why it is not ready yet, now that start.timeout is over.
  virtual Error timed_out(std::chrono::milliseconds after) = 0;
  /// More about an exit before the greeting, and what to do about it: "" or a sentence.
  virtual std::string explain_exit() = 0;
};

/// What a dialect asks of the process.
struct ProcessWishes {
  Variables environment;
  std::string listen_socket;  ///< As in plugin::ProcessSpec.
};

/// The whole environment of the process, lowest first: the base environment, TMPDIR, `wishes`, the
/// manifest.
Variables environment_of(const plugin::StartContext& context, Variables wishes);

/// How the process is started, but for the program and who gets its output.
plugin::ProcessSpec spec_without_program(const plugin::StartContext& context,
                                         const Variables& variables, std::string listen_socket);

/// Pins the program of `spec` if the manifest has a checksum, within start.timeout.  Errors: those
/// of ProcessFactory::pin(); StartTimeout.
boost::asio::awaitable<std::expected<void, Error>> pin_program(const plugin::StartContext& context,
                                                               plugin::ProcessSpec& spec);

/// Starts the manifest's command and greets it, as plugin::Dialect::start() is described.
boost::asio::awaitable<std::expected<plugin::Started, Error>> launch(
    plugin::StartContext context, ProcessWishes wishes, std::shared_ptr<Greeting> greeting);

/// "1500 ms" or "60 s".
std::string describe(std::chrono::milliseconds duration);

/// What one request of a greeting may take.  A little longer than the whole start may, so that a
/// silent peer is start.timeout's business alone.
std::chrono::milliseconds request_bound(const plugin::Manifest& manifest);

}  // namespace plugind::dialect
