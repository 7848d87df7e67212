// A loop with process trees, in both ways of keeping them.
#pragma once

#include <memory>
#include <utility>

#include "test_support.h"

namespace plugind::platform {

class ProcessTest : public LoopTest, public testing::WithParamInterface<TreeKeeping> {
 protected:
  void SetUp() override {
    auto trees = ProcessTrees::open(io_.get_executor(), GetParam());
    ASSERT_TRUE(trees) << trees.error().message;
    trees_ = std::move(*trees);
    if (GetParam() == TreeKeeping::kBest && !trees_->kept_by_kernel()) {
      GTEST_SKIP() << trees_->describe();
    }
  }

  SpawnRequest child(const std::string& name, const std::vector<std::string>& arguments = {}) {
    SpawnRequest request;
    request.executable = own_executable();
    request.arguments = child_arguments(name, arguments);
    request.environment = {"PATH=/usr/bin:/bin"};
    request.tree_name = "test" + std::to_string(++trees_made_);
    request.on_output = [this](OutputStream stream, std::string_view bytes) {
      (stream == OutputStream::kStdout ? out_ : err_) += bytes;
    };
    return request;
  }

  std::unique_ptr<Process> start(SpawnRequest request) {
    auto process = spawn(*trees_, std::move(request));
    if (!process) {
      ADD_FAILURE() << process.error().message;
      return nullptr;
    }
    return std::move(*process);
  }

  /// Runs a child to its end.
  std::optional<ExitStatus> run_child(SpawnRequest request) {
    const auto process = start(std::move(request));
    return process ? run(process->wait()) : std::nullopt;
  }

  std::unique_ptr<ProcessTrees> trees_;
  std::string out_, err_;
  int trees_made_ = 0;
};

inline std::string keeping_name(const testing::TestParamInfo<TreeKeeping>& info) {
  return info.param == TreeKeeping::kBest ? "Cgroup" : "Sweep";
}

}  // namespace plugind::platform
