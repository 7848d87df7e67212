// The domain's processes on the platform's: everything arrives on the other side.
#include "daemon/app/process_factory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>

#include "daemon/platform/process_tree.h"

namespace plugind::app {
namespace {

class ProcessFactoryTest : public testing::Test {
 protected:
  void SetUp() override {
    auto trees = platform::ProcessTrees::open(io_.get_executor());
    ASSERT_TRUE(trees) << trees.error().message;
    trees_ = std::move(*trees);
    factory_ = make_process_factory(*trees_);
  }

  bool run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      io_.restart();
      io_.run_one_until(deadline);
    }
    return condition();
  }

  plugin::ProcessSpec shell(const std::string& script) {
    plugin::ProcessSpec spec;
    spec.executable = "/bin/sh";
    spec.arguments = {"-c", script};
    spec.environment = {"GREETING=hello"};
    spec.working_directory = "/";
    spec.tree_name = "shell";
    spec.on_output = [this](plugin::OutputStream stream, std::string_view bytes) {
      (stream == plugin::OutputStream::kStdout ? out_ : err_) += bytes;
    };
    return spec;
  }

  std::optional<plugin::ExitStatus> wait(plugin::Process& process) {
    std::optional<plugin::ExitStatus> result;
    boost::asio::co_spawn(io_, process.wait(),
                          [&](std::exception_ptr, plugin::ExitStatus status) { result = status; });
    run_until([&] { return result.has_value(); });
    return result;
  }

  boost::asio::io_context io_;
  std::unique_ptr<platform::ProcessTrees> trees_;
  std::unique_ptr<plugin::ProcessFactory> factory_;
  std::string out_, err_;
};

TEST_F(ProcessFactoryTest, RunsAProgram) {
  auto process = factory_->spawn(shell("echo $GREETING; pwd; echo oops >&2; exit 4"));
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_GT((*process)->pid(), 0);
  const auto status = wait(**process);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 4);
  EXPECT_FALSE(status->signal);
  EXPECT_EQ((*process)->exit_status()->code, 4);
  EXPECT_EQ(out_, "hello\n/\n");
  EXPECT_EQ(err_, "oops\n");
}

TEST_F(ProcessFactoryTest, EndsATree) {
  auto process = factory_->spawn(shell("sleep 1000 & echo started; wait"));
  ASSERT_TRUE(process) << process.error().message;
  ASSERT_TRUE(run_until([&] { return out_ == "started\n"; }));
  EXPECT_EQ((*process)->tree_pids().size(), 2u);
  EXPECT_FALSE((*process)->exit_status());
  (*process)->signal_tree(plugin::StopSignal::kTerminate);
  const auto status = wait(**process);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGTERM);
  (*process)->kill_tree();
  bool gone = false;
  boost::asio::co_spawn(io_, (*process)->wait_tree_gone(),
                        [&](std::exception_ptr) { gone = true; });
  EXPECT_TRUE(run_until([&] { return gone; }));
  EXPECT_TRUE((*process)->tree_pids().empty());
}

TEST_F(ProcessFactoryTest, SendsTheSignalThatItIsTold) {
  using plugin::StopSignal;
  for (const auto& [signal, number] :
       {std::pair(StopSignal::kTerminate, SIGTERM), std::pair(StopSignal::kInterrupt, SIGINT),
        std::pair(StopSignal::kQuit, SIGQUIT), std::pair(StopSignal::kHangup, SIGHUP),
        std::pair(StopSignal::kUser1, SIGUSR1), std::pair(StopSignal::kUser2, SIGUSR2)}) {
    out_.clear();
    auto process = factory_->spawn(shell("ulimit -c 0; echo started; exec sleep 1000"));
    ASSERT_TRUE(process) << process.error().message;
    ASSERT_TRUE(run_until([&] { return out_ == "started\n"; }));
    (*process)->signal_tree(signal);
    const auto status = wait(**process);
    ASSERT_TRUE(status);
    EXPECT_EQ(status->signal, number) << to_string(signal);
  }
}

TEST_F(ProcessFactoryTest, PassesTheSandboxOn) {
  plugin::ProcessSpec spec = shell("true");
  spec.sandbox.write_paths = {"/nonexistent/data"};
  const auto paths = factory_->rehearse(std::move(spec));
  ASSERT_FALSE(paths);
  EXPECT_EQ(paths.error().details, (decltype(Error::details){{"setting", "sandbox.write_paths"}}));
  if (::geteuid() != 0) GTEST_SKIP() << "only root is refused to be without a network";
  spec = shell("true");
  spec.sandbox.network = false;
  const auto network = factory_->spawn(std::move(spec));
  ASSERT_FALSE(network);
  EXPECT_EQ(network.error().details, (decltype(Error::details){{"setting", "sandbox.network"}}));
}

TEST_F(ProcessFactoryTest, PassesErrorsOn) {
  plugin::ProcessSpec spec = shell("true");
  spec.executable = "/nonexistent/plugin";
  const auto process = factory_->spawn(std::move(spec));
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().reason, Reason::kExecutableMissing);
}

}  // namespace
}  // namespace plugind::app
