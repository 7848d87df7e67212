#include "daemon/platform/surroundings.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace plugind::platform {

DirectoryLook look_at_directory(const std::string& path) {
  DirectoryLook look;
  struct stat info;
  if (::stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return look;
  look.is_directory = true;
  look.uid = info.st_uid;
  look.mode = info.st_mode & 07777;
  struct statvfs room;
  if (::statvfs(path.c_str(), &room) != 0) return look;
  if (room.f_blocks > 0) look.free_bytes = std::uint64_t{room.f_bavail} * room.f_frsize;
  if (room.f_files > 0) look.free_files = room.f_favail;
  return look;
}

bool is_socket(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

std::uint64_t open_descriptors() {
  std::error_code problem;
  std::filesystem::directory_iterator it("/proc/self/fd", problem);
  if (problem) return 0;
  std::uint64_t count = 0;
  for (const std::filesystem::directory_iterator end; !problem && it != end;
       it.increment(problem)) {
    ++count;
  }
  return count > 0 ? count - 1 : 0;  // Without the one that lists them.
}

std::uint64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string name, rest; file >> name && std::getline(file, rest);) {
    if (name == "MemAvailable:") return std::stoull(rest) * 1024;
  }
  return UINT64_MAX;
}

}  // namespace plugind::platform
