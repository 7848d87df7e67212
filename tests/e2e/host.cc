#include "tests/e2e/host.h"

#include <plugind/plugind.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <vector>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {

int run_host(const char* socket, const char* plugin) {
  std::vector<std::unique_ptr<pd_client, void (*)(pd_client*)>> clients;
  for (std::string line; std::getline(std::cin, line);) {
    pd_error* error = nullptr;
    const std::string again = "again ";
    if (!line.starts_with(again)) {
      clients.emplace_back(pd_connect(socket, 30'000, &error), pd_close);
    } else {
      line.erase(0, again.size());
    }
    pd_reply* reply = nullptr;
    if (clients.back() != nullptr) {
      echo::v1::EchoMessage message;
      message.set_payload(line);
      const std::string request = message.SerializeAsString();
      reply = pd_invoke(clients.back().get(), plugin, "/echo.v1.Echo/Unary", request.data(),
                        request.size(), nullptr, &error);
    }
    if (reply != nullptr) {
      echo::v1::EchoMessage message;
      message.ParseFromArray(pd_reply_data(reply), static_cast<int>(pd_reply_size(reply)));
      std::string payload = message.payload();
      std::ranges::replace(payload, '\n', ' ');
      std::cout << payload << std::endl;
    } else {
      std::string message = pd_error_message(error);
      std::ranges::replace(message, '\n', ' ');
      std::cout << pd_error_reason(error) << " " << message << std::endl;
    }
    pd_reply_free(reply);
    pd_error_free(error);
  }
  return 0;
}

namespace {

std::vector<std::string> host_command(const testing::DaemonDirectory& directory,
                                      const std::string& plugin, const std::string& user) {
  std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe")};
  if (!user.empty()) command.insert(command.end(), {"--as", user});
  command.insert(command.end(), {"--host", directory.socket(), plugin});
  return command;
}

}  // namespace

HostProcess::HostProcess(const testing::DaemonDirectory& directory, const std::string& plugin,
                         const std::string& user)
    : process_(host_command(directory, plugin, user)) {}

std::string HostProcess::call(const std::string& payload) {
  process_.write(payload + "\n");
  std::string line;
  eventually([&] {
    const std::string text = process_.out();
    std::size_t begin = 0;
    for (std::size_t skipped = 0; skipped < answers_ && begin != text.npos; ++skipped) {
      begin = text.find('\n', begin) + 1;
    }
    const std::size_t end = text.find('\n', begin);
    if (end == text.npos) return false;
    line = text.substr(begin, end - begin);
    return true;
  });
  ++answers_;
  return line;
}

void HostProcess::leave() {
  process_.close_stdin();
  EXPECT_EQ(process_.wait(), Exit{.code = 0}) << process_.err();
}

}  // namespace plugind::e2e
