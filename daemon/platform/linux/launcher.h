// A launcher for Boost.Process v2 that closes the defects of the 1.81 launchers:
//   (a) descriptors that nobody listed stay open in the child: all are closed by the exec here;
//   (b) a failed exec leaves a zombie: it is reaped;
//   (c) the overload that takes an error_code throws: it does not;
//   (d) the child calls exit() after a failed exec and so runs the parent's atexit handlers: _exit;
//   (e) ignored signals and the signal mask are inherited: both are reset.
// The child is made by clone3, optionally in a control group, and the basic_process gets the pidfd
// that clone3 gave.
//
// Boost's initializers work with it, which is why it derives from the default launcher: they set
// the members env and fd_whitelist of that.  Ours are in child_setup.h.
#pragma once

#include <algorithm>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/process/v2/posix/default_launcher.hpp>
#include <boost/process/v2/process.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "daemon/platform/linux/clone_exec.h"

namespace plugind::platform {

template <typename T>
concept AsioExecutor =
    boost::asio::execution::is_executor<T>::value || boost::asio::is_executor<T>::value;
template <typename T>
concept AsioContext = std::is_convertible_v<T&, boost::asio::execution_context&>;

class CloneLauncher : public boost::process::v2::posix::default_launcher {
 public:
  template <typename Executor>
  using Process = boost::process::v2::basic_process<Executor>;
  using Path = boost::process::v2::filesystem::path;
  using ErrorCode = boost::system::error_code;

  int cgroup = -1;                              ///< See CloneRequest.
  bool changes_user = false;                    ///< The same.
  int image = -1;                               ///< The same.
  bool rehearsal = false;                       ///< The same; the process is then an empty one.
  SpawnStage failed_stage = SpawnStage::kNone;  ///< After a failure: where.
  /// For initializers: set in on_exec_setup before something that may fail.
  SpawnStage child_stage = SpawnStage::kChild;

  template <AsioExecutor Executor, typename Args, typename... Inits>
  Process<Executor> operator()(Executor executor, ErrorCode& ec, const Path& executable,
                               Args&& args, Inits&&... inits) {
    namespace hooks = boost::process::v2::posix::detail;
    std::vector<std::string> arguments(std::begin(args), std::end(args));
    std::vector<const char*> pointers{executable.c_str()};
    for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
    pointers.push_back(nullptr);
    const char* const* argv = pointers.data();

    ec = hooks::on_setup(*this, executable, argv, inits...);
    if (ec) {
      failed_stage = SpawnStage::kSetup;
      return Process<Executor>(executor);
    }
    std::ranges::sort(fd_whitelist);
    auto prepare = [&](SpawnStage& stage) noexcept {
      const ErrorCode error = hooks::on_exec_setup(*this, executable, argv, inits...);
      stage = child_stage;
      return error.value();
    };
    CloneRequest request{.executable = executable.c_str(),
                         .image = image,
                         .argv = argv,
                         .envp = env,
                         .cgroup = cgroup,
                         .keep = fd_whitelist,
                         .prepare = &call<decltype(prepare)>,
                         .argument = &prepare,
                         .changes_user = changes_user,
                         .rehearsal = rehearsal};
    CloneResult result = clone_and_exec(request);
    if (result.error != 0) {
      failed_stage = result.stage;
      ec.assign(result.error, boost::system::system_category());
      return Process<Executor>(executor);
    }
    if (rehearsal) return Process<Executor>(executor);
    pid = result.pid;
    return adopt(executor, ec, std::move(result));
  }

  template <AsioContext Context, typename Args, typename... Inits>
  auto operator()(Context& context, ErrorCode& ec, const Path& executable, Args&& args,
                  Inits&&... inits) {
    return (*this)(context.get_executor(), ec, executable, std::forward<Args>(args),
                   std::forward<Inits>(inits)...);
  }

 private:
  template <typename Function>
  static int call(void* function, SpawnStage& stage) {
    return (*static_cast<Function*>(function))(stage);
  }

  /// Registering the pidfd with the loop throws when the system is out of something.
  template <typename Executor>
  Process<Executor> adopt(Executor executor, ErrorCode& ec, CloneResult result) {
    try {
      Process<Executor> process(executor, result.pid, result.process.get());
      result.process.release();
      return process;
    } catch (const boost::system::system_error& error) {
      ec = error.code();
      failed_stage = SpawnStage::kRegister;
      kill_and_reap(result.pid, result.process.get());
      pid = -1;
      return Process<Executor>(executor);
    }
  }
};

}  // namespace plugind::platform
