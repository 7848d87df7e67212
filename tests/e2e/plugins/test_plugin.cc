// A plugin that does what a test tells it.  Speaks both dialects: native when the daemon says where
// to listen, else go-plugin with the cookie E2E_COOKIE=right.
//
// A payload of Echo/Unary that starts with "!" is a command, for example "!exit 3"; everything else
// is answered with itself.
#include <arpa/inet.h>
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <new>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "plugins/proto/echo.grpc.pb.h"
#include "tests/e2e/plugins/go_plugin.grpc.pb.h"

namespace {

using echo::v1::EchoMessage;
using echo::v1::StreamRequest;
using echo::v1::Summary;

void say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) ::_exit(1);
}

/// A process that nobody finds by its session and that SIGTERM does not end.
pid_t start_daughter() {
  const pid_t daughter = ::fork();
  if (daughter != 0) return daughter;
  ::setsid();
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  while (true) ::pause();
}

/// The same, of a mother who has ended, in another session.
pid_t start_orphan() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return -1;
  const pid_t mother = ::fork();
  if (mother == 0) {
    ::setsid();
    const pid_t orphan = start_daughter();
    ::_exit(::write(ends[1], &orphan, sizeof orphan) == sizeof orphan ? 0 : 1);
  }
  ::waitpid(mother, nullptr, 0);
  pid_t orphan = -1;
  if (::read(ends[0], &orphan, sizeof orphan) != sizeof orphan) orphan = -1;
  ::close(ends[0]);
  ::close(ends[1]);
  return orphan;
}

/// Ends every connection as if the program had closed it; listening sockets only if asked.
void shut_sockets(bool listening_too) {
  // Not by /proc/self/fd, which takes a descriptor to read: there may be none left.
  constexpr int kMostDescriptors = 4'096;
  std::vector<int> found;
  for (int descriptor = 0; descriptor < kMostDescriptors; ++descriptor) {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) continue;
    if (listening_too || listens == 0) found.push_back(descriptor);
  }
  for (const int descriptor : found) ::shutdown(descriptor, SHUT_RDWR);
}

/// Takes so many MiB, uses them and gives them back.
std::string allocate(std::size_t megabytes) {
  const std::size_t size = megabytes << 20;
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return "refused";
  std::memset(memory, 1, size);
  ::munmap(memory, size);
  return "given";
}

/// Makes so many children, or as many as it can, and says how many it could.  Where it met a limit
/// it ends a few of them: a server that can have no thread more refuses every call.
int fork_bomb(int most) {
  constexpr std::size_t kRoomForThreads = 8;
  std::vector<pid_t> children;
  while (static_cast<int>(children.size()) < most) {
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) ::pause();
    }
    if (child != -1) {
      children.push_back(child);
      continue;
    }
    for (std::size_t i = 0; i < std::min(kRoomForThreads, children.size()); ++i) {
      ::kill(children[i], SIGKILL);
      ::waitpid(children[i], nullptr, 0);
    }
    break;
  }
  return static_cast<int>(children.size());
}

/// What all processes of a bomb count together.
struct Bomb {
  std::atomic<int> made{0};
  std::atomic<int> refused{0};
};

/// Forks again and again, and so does each child, in a session of its own.  There are at most twice
/// `most`, should nothing else hold them.
[[noreturn]] void explode(Bomb& bomb, int most) {
  ::setsid();
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  while (true) {
    const pid_t child = bomb.made < most ? ::fork() : -1;
    if (child > 0) ++bomb.made;
    if (child == 0) ::setsid();
    if (child == -1) {
      ++bomb.refused;
      ::usleep(1'000);  // Others need the processor, too.
    }
  }
}

/// Sets one off, and says when a fork of it has been refused, how many it had made by then.
std::string set_bomb_off(int most) {
  void* const memory =
      ::mmap(nullptr, sizeof(Bomb), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return "no memory";
  Bomb& bomb = *new (memory) Bomb;
  const pid_t first = ::fork();
  if (first == -1) return "refused";
  if (first == 0) explode(bomb, most);
  while (bomb.refused == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return std::to_string(bomb.made + 1);
}

/// Takes all descriptors that it can have, for good, those that become free later included.
std::string exhaust_files() {
  while (::open("/dev/null", O_RDONLY | O_CLOEXEC) != -1) {
  }
  const std::string why = std::strerror(errno);
  std::thread([] {
    while (true) {
      if (::open("/dev/null", O_RDONLY | O_CLOEXEC) != -1) continue;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }).detach();
  return why;
}

/// The highest number of descriptors it can have, if that is below 5000.
int open_files() {
  std::vector<int> opened;
  int highest = -1;
  while (highest < 5'000) {
    const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (descriptor == -1) break;
    opened.push_back(descriptor);
    highest = std::max(highest, descriptor);
  }
  for (const int descriptor : opened) ::close(descriptor);
  return highest + 1;
}

/// Who it is and what it may do, as the kernel tells it.
std::string rights() {
  std::ifstream status("/proc/self/status");
  std::string text;
  for (std::string line; std::getline(status, line);) {
    for (const char* const name : {"Uid:", "Gid:", "Groups:", "NoNewPrivs:", "Umask:"}) {
      if (line.starts_with(name)) text += line + "\n";
    }
  }
  return text;
}

/// What becomes of a TCP connection to a port of this machine.
std::string connect_to(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected =
      ::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  const std::string result = connected ? "connected" : ::strerrorname_np(errno);
  ::close(socket);
  return result;
}

std::string metadata_of(grpc::ServerContext& context) {
  std::multimap<std::string, std::string> sorted;
  for (const auto& [name, value] : context.client_metadata()) {
    sorted.emplace(std::string(name.begin(), name.end()), std::string(value.begin(), value.end()));
  }
  std::string text;
  for (const auto& [name, value] : sorted) text += name + "=" + value + "\n";
  return text;
}

class EchoService final : public echo::v1::Echo::Service {
  grpc::Status Unary(grpc::ServerContext* context, const EchoMessage* request,
                     EchoMessage* response) override {
    const std::string& payload = request->payload();
    if (!payload.starts_with("!")) {
      *response = *request;
      return grpc::Status::OK;
    }
    std::istringstream words(payload.substr(1));
    std::string command, argument;
    words >> command >> argument;
    const auto answer = [&](const std::string& text) {
      response->set_payload(text);
      return grpc::Status::OK;
    };

    if (command == "work") {  // a moment, and how many calls did that here at a time at most
      static std::atomic<int> working{0}, most{0};
      const int here = ++working;
      for (int seen = most; here > seen && !most.compare_exchange_weak(seen, here);) continue;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      --working;
      return answer(std::to_string(most));
    }
    if (command == "pid") return answer(std::to_string(::getpid()));
    if (command == "record") {  // FILE LINE: adds a line of 16 bytes, filled up with blanks
      std::string line;
      words >> line;
      // A SIGKILL can end a write between two pages of the file.  Pieces of this size lie in one.
      constexpr std::size_t kLine = 15;
      if (line.size() > kLine) return {grpc::StatusCode::INVALID_ARGUMENT, "the line is too long"};
      const int file = ::open(argument.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
      const std::string written = line + std::string(kLine - line.size(), ' ') + "\n";
      const bool whole =
          ::write(file, written.data(), written.size()) == static_cast<ssize_t>(written.size());
      ::close(file);
      return whole ? answer(line) : grpc::Status(grpc::StatusCode::INTERNAL, "cannot write");
    }
    if (command == "orphan") return answer(std::to_string(start_orphan()));
    if (command == "bomb") return answer(set_bomb_off(std::stoi(argument)));
    if (command == "daughter") return answer(std::to_string(start_daughter()));
    if (command == "environment") {
      const char* value = std::getenv(argument.c_str());
      return answer(value != nullptr ? value : "");
    }
    if (command == "metadata") {
      context->AddInitialMetadata("x-first", "initial");
      context->AddTrailingMetadata("x-last", "trailing");
      context->AddTrailingMetadata("x-last-bin", std::string("\0\xff,", 3));
      return answer(metadata_of(*context));
    }
    if (command == "refuse") {
      context->AddTrailingMetadata("x-last", "trailing");
      return {grpc::StatusCode::DATA_LOSS, "not today: 100 % ünlikely\n", "details \1"};
    }
    if (command == "wait") {
      say("waiting");
      while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      say("cancelled");
      return grpc::Status::CANCELLED;
    }
    if (command == "say") {
      say(argument);
      return answer("");
    }
    if (command == "print") {  // all that follows, spaces and line ends included
      std::puts(payload.substr(std::min(payload.size(), std::strlen("!print "))).c_str());
      std::fflush(stdout);
      return answer("");
    }
    if (command == "flood") {  // so many MiB without an end of line
      const std::string block(1 << 20, 'x');
      for (int i = std::stoi(argument); i > 0; --i) {
        if (::write(STDOUT_FILENO, block.data(), block.size()) < 0) return grpc::Status::CANCELLED;
      }
      return answer("");
    }
    if (command == "exit") {
      say("last words");
      ::_exit(std::stoi(argument));
    }
    if (command == "signal") {
      say("last words");
      const int number = std::stoi(argument);
      ::signal(number, SIG_DFL);  // also where a sanitizer has its own
      ::raise(number);
    }
    if (command == "allocate") return answer(allocate(std::stoul(argument)));
    if (command == "fork-bomb") return answer(std::to_string(fork_bomb(std::stoi(argument))));
    if (command == "open-files") return answer(std::to_string(open_files()));
    if (command == "exhaust-files") return answer(exhaust_files());
    if (command == "connect") return answer(connect_to(std::stoi(argument)));
    if (command == "rights") return answer(rights());
    if (command == "hang-up") {
      shut_sockets(argument == "for-good");
      return answer("");
    }
    return {grpc::StatusCode::INVALID_ARGUMENT, "there is no command " + command};
  }

  grpc::Status ServerStream(grpc::ServerContext*, const StreamRequest* request,
                            grpc::ServerWriter<EchoMessage>* writer) override {
    EchoMessage message;
    message.set_payload(request->payload());
    for (std::uint32_t i = 0; i < request->repeat(); ++i) {
      if (!writer->Write(message)) return grpc::Status::CANCELLED;
    }
    return grpc::Status::OK;
  }

  grpc::Status ClientStream(grpc::ServerContext*, grpc::ServerReader<EchoMessage>* reader,
                            Summary* summary) override {
    for (EchoMessage message; reader->Read(&message);) {
      summary->set_messages(summary->messages() + 1);
      summary->set_bytes(summary->bytes() + message.payload().size());
    }
    return grpc::Status::OK;
  }

  grpc::Status BidiStream(grpc::ServerContext*,
                          grpc::ServerReaderWriter<EchoMessage, EchoMessage>* stream) override {
    for (EchoMessage message; stream->Read(&message);) {
      if (!stream->Write(message)) return grpc::Status::CANCELLED;
    }
    return grpc::Status::OK;
  }
};

class Controller final : public plugin::GRPCController::Service {
  grpc::Status Shutdown(grpc::ServerContext*, const plugin::Empty*, plugin::Empty*) override {
    say("asked to shut down");
    // As go-plugin does: it ends before it has answered.
    ::_exit(0);
  }
};

/// Tells once what it "printed", and stays open.
class Stdio final : public plugin::GRPCStdio::Service {
  grpc::Status StreamStdio(grpc::ServerContext* context, const plugin::Empty*,
                           grpc::ServerWriter<plugin::StdioData>* writer) override {
    plugin::StdioData data;
    data.set_channel(plugin::StdioData::STDOUT);
    data.set_data("printed through the stream\n");
    writer->Write(data);
    while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return grpc::Status::OK;
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string option = argc > 1 ? argv[1] : "";
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigprocmask(SIG_BLOCK, &ends, nullptr);

  const char* listen = std::getenv("PLUGIND_LISTEN");
  const bool native = listen != nullptr;
  const char* cookie = std::getenv("E2E_COOKIE");
  if (!native && std::string(cookie != nullptr ? cookie : "") != "right") {
    say("This binary is a plugin. These are not meant to be executed directly.");
    return 1;
  }
  const char* directory = std::getenv("PLUGIN_UNIX_SOCKET_DIR");
  const std::string address =
      native ? listen : "unix:" + std::string(directory != nullptr ? directory : ".") + "/go.sock";

  EchoService echo;
  Controller controller;
  Stdio stdio;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&echo);
  if (!native) {
    builder.RegisterService(&controller);
    builder.RegisterService(&stdio);
  }
  const auto server = builder.BuildAndStart();
  if (!server) return 2;
  if (!native) {
    server->GetHealthCheckService()->SetServingStatus("plugin", true);
    std::printf("1|1|unix|%s|grpc\n", address.substr(5).c_str());
    std::fflush(stdout);
  }
  int signal = 0;
  do {
    sigwait(&ends, &signal);
    say("got SIGTERM");
  } while (option == "--ignore-term");
  ::_exit(0);
}
