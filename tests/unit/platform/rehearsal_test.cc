// A start up to the program's first instruction.
#include <elf.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "daemon/platform/linux/clone_exec.h"
#include "process_test.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

// Of nobody on any system.
constexpr std::uint32_t kStranger = 61'021;

class RehearsalTest : public ProcessTest {
 protected:
  /// A shell script that leaves a file behind if a single command of it runs.
  SpawnRequest leaves_a_trace() {
    SpawnRequest request = child("exit", {"0"});
    request.executable = "/bin/sh";
    request.arguments = {"-c", "echo ran > " + trace().string()};
    return request;
  }
  fs::path trace() const { return directory_.path() / "trace"; }
  std::string write(const std::string& name, const std::string& content, mode_t mode = 0755) {
    const std::string path = directory_.path() / name;
    std::ofstream(path) << content;
    ::chmod(path.c_str(), mode);
    return path;
  }
  Error failure(SpawnRequest request) {
    const auto rehearsal = rehearse(*trees_, std::move(request));
    if (!rehearsal) return rehearsal.error();
    ADD_FAILURE() << "nothing stands in its way";
    return {};
  }
  /// Whether a child of this process is left.
  static bool has_child() {
    siginfo_t any{};
    return ::waitid(P_ALL, 0, &any, WEXITED | WSTOPPED | WNOHANG | WNOWAIT) == 0;
  }

  TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(Keeping, RehearsalTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(RehearsalTest, NothingOfTheProgramRunsAndNothingIsLeft) {
  for (int i = 0; i < 20; ++i) {
    const auto rehearsal = rehearse(*trees_, leaves_a_trace());
    ASSERT_TRUE(rehearsal) << rehearsal.error().message;
    EXPECT_EQ(rehearsal->not_tried, "");
    EXPECT_FALSE(has_child());
  }
  EXPECT_FALSE(fs::exists(trace()));
  // The same does run if it is started.
  ASSERT_EQ(run_child(leaves_a_trace())->code, 0);
  EXPECT_TRUE(fs::exists(trace()));
}

TEST_P(RehearsalTest, TheKernelSaysWhyAProgramCannotBeExecuted) {
  SpawnRequest request = child("exit", {"0"});
  request.executable = directory_.path() / "missing";
  EXPECT_EQ(failure(request).reason, Reason::kExecutableMissing);

  request.executable = write("data", "#!/bin/sh\n", 0644);
  EXPECT_EQ(failure(request).remedy, "chmod +x " + request.executable);

  request.executable = write("script", "#!/opt/python9\n");
  EXPECT_NE(failure(request).message.find("the interpreter /opt/python9, which does not exist"),
            std::string::npos);

  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_machine = EM_S390;
  request.executable =
      write("s390x", std::string(reinterpret_cast<const char*>(&header), sizeof header));
  EXPECT_NE(failure(request).message.find("is built for s390x"), std::string::npos);
  EXPECT_FALSE(has_child());
}

TEST_P(RehearsalTest, WhatComesBeforeTheProgramIsDone) {
  SpawnRequest request = leaves_a_trace();
  request.working_directory = directory_.path() / "absent";
  EXPECT_NE(failure(request).message.find("/absent: "), std::string::npos);

  request.working_directory = "/";
  request.listen_socket = directory_.path() / std::string(120, 'x');
  EXPECT_EQ(failure(request).reason, Reason::kSocketPathTooLong);

  request.listen_socket = directory_.path() / "inherited.sock";
  EXPECT_TRUE(rehearse(*trees_, request));
  EXPECT_FALSE(fs::exists(request.listen_socket)) << "a socket is left";
}

TEST_P(RehearsalTest, WhatHoldsTheLimitsIsTold) {
  SpawnRequest request = leaves_a_trace();
  request.limits = {.cpu = 50, .open_files = 100};
  const auto rehearsal = rehearse(*trees_, request);
  ASSERT_TRUE(rehearsal) << rehearsal.error().message;
  ASSERT_EQ(rehearsal->limits.size(), 2u);
  EXPECT_EQ(rehearsal->limits[0].name, "cpu");
  EXPECT_EQ(rehearsal->limits[1].holder, LimitHolder::kProcessLimit);
  if (rehearsal->limits[0].holder != LimitHolder::kNothing) return;
  request.limits.required = true;
  EXPECT_EQ(failure(request).reason, Reason::kIsolationUnavailable);
}

TEST_P(RehearsalTest, AnotherUserIsAsked) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  SpawnRequest request = child("exit", {"0"});
  request.run_as = RunAs{.uid = kStranger, .gid = kStranger, .groups = {}};
  request.executable = write("for-all", "#!/bin/sh\n");
  const auto rehearsal = rehearse(*trees_, request);
  ASSERT_TRUE(rehearsal) << rehearsal.error().message;
  EXPECT_EQ(rehearsal->not_tried, "");

  request.executable = write("for-root", "#!/bin/sh\n", 0700);
  EXPECT_NE(failure(request).message.find("may not be executed as uid 61021"), std::string::npos);
}

// A process that cannot be traced is not executed at all: here because somebody traces it already.
int rehearse_traced(const std::vector<std::string>& arguments) {
  const char* const argv[] = {"/bin/sh", "-c", arguments[0].c_str(), nullptr};
  const char* const envp[] = {nullptr};
  CloneRequest request;
  request.executable = argv[0];
  request.argv = argv;
  request.envp = envp;
  request.rehearsal = true;
  // Stands in for whatever else makes the call fail; the second one does.
  request.prepare = [](void*, SpawnStage&) {
    return ::syscall(SYS_ptrace, PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : errno;
  };
  const CloneResult result = clone_and_exec(request);
  return result.error == EPERM && result.stage == SpawnStage::kRehearsal ? 0 : 1;
}
const RegisterChild kRehearseTraced("rehearse-traced", rehearse_traced);

TEST_P(RehearsalTest, NothingRunsEvenIfTheProgramIsFaster) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may say who runs first";
  const std::string script = "echo ran > " + trace().string();
  const char* const argv[] = {"/bin/sh", "-c", script.c_str(), nullptr};
  const char* const envp[] = {nullptr};
  CloneRequest request;
  request.executable = argv[0];
  request.argv = argv;
  request.envp = envp;
  request.rehearsal = true;
  // On one processor, where it goes before this thread for as long as it wants to.
  request.prepare = [](void*, SpawnStage&) {
    const sched_param first{.sched_priority = 1};
    return ::sched_setscheduler(0, SCHED_FIFO, &first) == 0 ? 0 : errno;
  };
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(before), &before), 0);
  CPU_ZERO(&one);
  CPU_SET(::sched_getcpu(), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
  for (int i = 0; i < 10; ++i) {
    const CloneResult result = clone_and_exec(request);
    EXPECT_EQ(result.error, 0);
    EXPECT_EQ(result.pid, -1);
  }
  ::sched_setaffinity(0, sizeof(before), &before);
  EXPECT_FALSE(fs::exists(trace()));
}

TEST_P(RehearsalTest, WithoutTracingNothingIsExecuted) {
  const auto status = run_child(child("rehearse-traced", {"echo ran > " + trace().string()}));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0);
  EXPECT_FALSE(fs::exists(trace()));
}

}  // namespace
}  // namespace plugind::platform
