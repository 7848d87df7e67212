// What the daemon needs of the machine while it runs, and how much of it is left.
#pragma once

#include <cstdint>
#include <string>

namespace plugind::platform {

struct DirectoryLook {
  bool is_directory = false;  ///< If not, the rest means nothing.
  std::uint32_t uid = 0;
  std::uint32_t mode = 0;  ///< The permission bits.
  /// Of its file system, for this user; UINT64_MAX where there is no bound or nobody tells.
  std::uint64_t free_bytes = UINT64_MAX;
  std::uint64_t free_files = UINT64_MAX;
};

DirectoryLook look_at_directory(const std::string& path);

/// Whether a Unix socket is there.
bool is_socket(const std::string& path);

/// Descriptors that this process has open; 0 where nobody tells.
std::uint64_t open_descriptors();

/// Memory that programs can have without swapping, in bytes; UINT64_MAX where nobody tells.
std::uint64_t available_memory();

}  // namespace plugind::platform
