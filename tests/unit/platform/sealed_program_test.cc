// A program that is pinned is the program that runs, whatever becomes of its file.
#include "daemon/platform/sealed_program.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>

#include "process_test.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

// printf 'hello' | sha256sum
const std::string kHello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

class SealedProgramTest : public ProcessTest {
 protected:
  void write(const std::string& text, mode_t mode = 0755) {
    std::ofstream(path_) << text;
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
  }
  ProgramSealer::Result seal(const std::string& sha256) {
    auto result = run(ProgramSealer(io_.get_executor()).seal(path_, sha256));
    return result ? std::move(*result)
                  : std::unexpected(make_error(Reason::kInternal, "no answer"));
  }
  /// The checksum of the file, as the error of a wrong one tells it.
  std::string checksum() {
    const auto wrong = seal_program(path_, std::string(64, '0'), stop_);
    if (wrong || wrong.error().details.size() != 2) return "";
    return wrong.error().details[1].second;
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() / "program";
  std::atomic<bool> stop_{false};
};
INSTANTIATE_TEST_SUITE_P(Keeping, SealedProgramTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(SealedProgramTest, ChecksTheContent) {
  write("hello");
  const auto sealed = seal_program(path_, kHello, stop_);
  ASSERT_TRUE(sealed) << sealed.error().message;
  char text[16] = {};
  EXPECT_EQ(::pread((*sealed)->descriptor(), text, sizeof(text), 0), 5);
  EXPECT_STREQ(text, "hello");
  EXPECT_NE(::fcntl((*sealed)->descriptor(), F_GETFD) & FD_CLOEXEC, 0);
  // Nobody writes to it, by whatever way.
  EXPECT_EQ(::pwrite((*sealed)->descriptor(), "j", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate((*sealed)->descriptor(), 0), -1);
}

TEST_P(SealedProgramTest, AnotherContentIsRefused) {
  write("hellO");
  const auto refused = seal(kHello);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::kChecksumMismatch);
  EXPECT_EQ(
      refused.error().message,
      "the program " + path_ +
          " has the SHA-256 checksum "
          "04a6f55face2f46be8c23f627d539827615851e10751b63ec59db6d2c706b770, and the manifest "
          "wants " +
          kHello + ": install the program that was meant, or correct `sha256`");
}

TEST_P(SealedProgramTest, WhatRunsIsWhatWasChecked) {
  fs::copy_file(own_executable(), path_);
  const auto sealed = seal(checksum());
  ASSERT_TRUE(sealed) << sealed.error().message;
  // Changed in place, then replaced, after the check.
  write("#!/bin/sh\nexit 66\n");
  fs::remove(path_);
  write("#!/bin/sh\nexit 67\n");
  SpawnRequest request = child("setting", {"argument"});
  request.executable = path_;
  request.sealed = *sealed;
  const auto status = run_child(std::move(request));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0) << err_;
  EXPECT_EQ(out_.substr(0, out_.find('\n')), "argument argument");
}

TEST_P(SealedProgramTest, ItsDescriptorIsNotLeftOpen) {
  fs::copy_file(own_executable(), path_);
  const auto sealed = seal(checksum());
  ASSERT_TRUE(sealed) << sealed.error().message;
  SpawnRequest request = child("descriptors");
  request.sealed = *sealed;
  ASSERT_TRUE(run_child(std::move(request)));
  EXPECT_EQ(out_, "fds 0 1 2\n");
}

TEST_P(SealedProgramTest, AnotherUserMayRunItWithoutReachingTheFile) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  fs::copy_file(own_executable(), path_);
  ASSERT_EQ(::chmod(path_.c_str(), 0700), 0);
  const auto sealed = seal(checksum());
  ASSERT_TRUE(sealed) << sealed.error().message;
  SpawnRequest request = child("exit", {"7"});
  request.executable = path_;
  request.sealed = *sealed;
  request.run_as = RunAs{.uid = 61'022, .gid = 61'022, .groups = {}};
  request.working_directory = "/";
  const auto status = run_child(std::move(request));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 7) << err_;
}

TEST_P(SealedProgramTest, ProgramsInUseAreNotReadAgain) {
  fs::copy_file(own_executable(), path_);
  const std::string sum = checksum();
  ProgramSealer sealer(io_.get_executor());
  auto first = run(sealer.seal(path_, sum));
  ASSERT_TRUE(first && *first);
  const auto second = run(sealer.seal(path_, sum));
  ASSERT_TRUE(second && *second);
  EXPECT_EQ(**first, **second);
  EXPECT_FALSE(*run(sealer.seal(path_, kHello))) << "another checksum is another question";
}

TEST_P(SealedProgramTest, WhatIsNoProgramIsRefused) {
  const auto refusal = [&] {
    const auto refused = seal_program(path_, kHello, stop_);
    return refused
               ? std::string("none")
               : std::string(reason_name(refused.error().reason)) + " " + refused.error().message;
  };
  EXPECT_EQ(refusal().substr(0, 19), "EXECUTABLE_MISSING ");
  write("#!/bin/sh\n");
  EXPECT_NE(refusal().find("EXECUTABLE_UNUSABLE the command " + path_ +
                           " is a script, whose interpreter `sha256` would not check"),
            std::string::npos)
      << refusal();
  write("hello", 0644);
  EXPECT_EQ(refusal().substr(0, 20), "EXECUTABLE_UNUSABLE ");
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_NE(refusal().find("is a directory"), std::string::npos) << refusal();
  fs::remove(path_);
  write("hello");
  stop_ = true;
  EXPECT_EQ(refusal().substr(0, 13), "SPAWN_FAILED ");
}

}  // namespace
}  // namespace plugind::platform
