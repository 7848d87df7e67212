#include "tests/support/daemon_process.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "tests/support/process_list.h"

namespace plugind::testing {

namespace fs = std::filesystem;

std::size_t workers() {
  const char* count = std::getenv("PLUGIND_TEST_WORKERS");
  return count == nullptr ? 1 : std::stoul(count);
}

DaemonDirectory::DaemonDirectory() {
  // Short, because a socket's path may have about 100 characters.
  std::string pattern = (fs::temp_directory_path() / "pd-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
  path_ = pattern;
  fs::create_directory(manifests());
}

DaemonDirectory::~DaemonDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void DaemonDirectory::write(const fs::path& name, const std::string& text) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + name.string());
}

ChildProcess::Environment DaemonDirectory::environment() const {
  return {{"HOME", (path_ / "home").string()},
          {"PLUGIND_SOCKET", std::nullopt},
          {"NOTIFY_SOCKET", std::nullopt},
          {"LISTEN_FDS", std::nullopt}};
}

std::vector<pid_t> DaemonDirectory::processes() const {
  return processes_with("HOME", (path_ / "home").string());
}

namespace {

std::vector<std::string> command_line(const DaemonDirectory& directory,
                                      std::vector<std::string> arguments,
                                      std::vector<std::string> command, Workers said) {
  const std::string manifests = directory.manifests(), socket = directory.socket();
  for (const std::string& part : {std::string("--manifests"), manifests, std::string("--socket"),
                                  "unix:" + socket, std::string("--lifeline")}) {
    command.push_back(part);
  }
  if (said == Workers::kOfTheTest) {
    command.insert(command.end(), {"--workers", std::to_string(workers())});
  }
  for (std::string& argument : arguments) command.push_back(std::move(argument));
  return command;
}

}  // namespace

DaemonProcess::DaemonProcess(const DaemonDirectory& directory, std::vector<std::string> arguments,
                             std::vector<std::string> command, Workers workers)
    : directory_(directory),
      process_(command_line(directory, std::move(arguments), std::move(command), workers),
               directory.environment()) {}

bool DaemonProcess::wait_started() {
  bool started = false;
  eventually([&] {
    started = log().find("event=started") != std::string::npos;
    return started || !process_.running();
  });
  return started && accepts(directory_.socket());
}

bool DaemonProcess::wait_log(const std::string& text) const {
  return eventually([&] { return log().find(text) != std::string::npos; });
}

pid_t DaemonProcess::pid() const {
  const std::vector<pid_t> children = children_of(guardian());
  return children.empty() ? 0 : children.front();
}

fs::path DaemonProcess::cgroup() const {
  constexpr std::string_view kBefore = "control groups below ";
  const std::string text = log();
  const auto begin = text.find(kBefore);
  if (begin == text.npos) return {};
  const auto path = begin + kBefore.size();
  return text.substr(path, text.find('"', path) - path);
}

bool accepts(const fs::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = socket.string();
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected =
      ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(descriptor);
  return connected;
}

}  // namespace plugind::testing
