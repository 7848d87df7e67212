// What a plugin needs that runs as another user than its daemon.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "tests/support/daemon_process.h"

namespace plugind::e2e {

/// A copy of a program that every user may run, in the daemon's directory, which every user may
/// enter.
inline std::string open_copy(const testing::DaemonDirectory& directory,
                             const std::string& program) {
  EXPECT_EQ(::chmod(directory.path().c_str(), 0711), 0);
  const std::filesystem::path copy = directory.path() / std::filesystem::path(program).filename();
  if (!std::filesystem::exists(copy)) {
    std::filesystem::copy_file(program, copy);
    EXPECT_EQ(::chmod(copy.c_str(), 0755), 0);
  }
  return copy;
}

/// A line of a manifest, by which the processes of this directory's daemon are known, whoever they
/// are.
inline std::string home_line(const testing::DaemonDirectory& directory) {
  return "env = { HOME = '" + (directory.path() / "home").string() + "' }\n";
}

}  // namespace plugind::e2e
