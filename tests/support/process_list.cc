#include "tests/support/process_list.h"

#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace plugind::testing {

namespace {

namespace fs = std::filesystem;

// What there is to read: a process may end between the opening of its file and the reading, which
// an iterator over the buffer would tell by an exception.
std::string content(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return text.str();
}

std::string proc(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

/// What follows the name in /proc/PID/stat: state, parent, …
std::istringstream stat_fields(pid_t pid) {
  const std::string text = content(proc(pid, "stat"));
  const auto end = text.rfind(')');
  return std::istringstream(end == text.npos ? "" : text.substr(end + 1));
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (std::isdigit(static_cast<unsigned char>(name.front()))) pids.push_back(std::stoi(name));
  }
  return pids;
}

}  // namespace

std::vector<pid_t> processes_with(const std::string& name, const std::string& value) {
  const std::string wanted = '\0' + name + "=" + value + '\0';
  std::vector<pid_t> found;
  for (const pid_t pid : all_processes()) {
    if (('\0' + content(proc(pid, "environ"))).find(wanted) != std::string::npos) {
      found.push_back(pid);
    }
  }
  return found;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> found;
  for (const pid_t one : all_processes()) {
    char state = 0;
    pid_t parent = 0;
    if (stat_fields(one) >> state >> parent && parent == pid) found.push_back(one);
  }
  return found;
}

bool alive(pid_t pid) {
  char state = 0;
  auto fields = stat_fields(pid);
  if (!(fields >> state) || state == 'X') return false;
  if (state != 'Z') return true;
  // The first thread has ended.  While another one has not, files and locks are held still.
  std::string skipped;
  for (int i = 0; i < 16; ++i) fields >> skipped;
  int threads = 0;
  return fields >> threads && threads > 1;
}

std::size_t descriptors_of(pid_t pid) {
  std::size_t count = 0;
  std::error_code ec;
  for (fs::directory_iterator it(proc(pid, "fd"), ec), end; !ec && it != end; it.increment(ec)) {
    ++count;
  }
  return count;
}

std::string describe(const std::vector<pid_t>& pids) {
  std::string text;
  for (const pid_t pid : pids) {
    std::string name = content(proc(pid, "comm"));
    if (!name.empty()) name.pop_back();
    text += (text.empty() ? "" : ", ") + std::to_string(pid) + " (" + name + ")";
  }
  return text;
}

}  // namespace plugind::testing
