// What a process tree may use of the machine, and what holds it to that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plugind::platform {

/// 0: no limit of ours.
struct ResourceLimits {
  std::uint64_t memory = 0;      ///< Bytes.
  std::uint32_t cpu = 0;         ///< Percent of one processor; 200 is two of them.
  std::uint32_t processes = 0;   ///< Threads count, as everywhere on Linux.
  std::uint32_t open_files = 0;  ///< Of each process.
  bool required = false;         ///< A limit that nothing holds here is an Error.
};

enum class LimitHolder {
  kControlGroup,  ///< The kernel, for the tree as a whole.
  kProcessLimit,  ///< The kernel, by setrlimit(2); the note says how that differs.
  kNothing,       ///< Nobody; the note says why.
};

struct HeldLimit {
  std::string name;  ///< "memory", "cpu", "processes", "open_files"
  LimitHolder holder = LimitHolder::kNothing;
  std::string note;  ///< "" or a phrase.
};

}  // namespace plugind::platform
