// The echo plugin.  Runs under plugind, or by itself: echo-cpp --listen tcp:127.0.0.1:50051
#include <fcntl.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "plugins/echo-cpp/echo_service.h"
#include "plugins/echo-cpp/listen.h"

namespace {

using Acceptor = grpc::experimental::ExternalConnectionAcceptor;

constexpr std::chrono::seconds kDrainTime{2};
volatile std::sig_atomic_t g_stop = 0;

int fail(const std::string& message) {
  std::fprintf(stderr, "echo-cpp: %s\n", message.c_str());
  return 1;
}

/// Blocks SIGTERM and SIGINT in this thread and all that it starts, and returns the mask under
/// which the main thread waits for them.
sigset_t take_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_stop = 1; };
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  for (int signal : {SIGTERM, SIGINT}) {
    sigaction(signal, &action, nullptr);
    sigaddset(&blocked, signal);
  }
  sigprocmask(SIG_BLOCK, &blocked, &before);
  sigdelset(&before, SIGTERM);
  sigdelset(&before, SIGINT);
  return before;
}

void accept_all(Acceptor& acceptor, int listener) {
  for (;;) {
    const int connection = accept(listener, nullptr, nullptr);
    if (connection < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (connection < 0) return;
    fcntl(connection, F_SETFD, FD_CLOEXEC);
    fcntl(connection, F_SETFL, O_NONBLOCK);
    Acceptor::NewConnectionParameters parameters;
    parameters.listener_fd = listener;
    parameters.fd = connection;
    acceptor.HandleNewConnection(&parameters);
  }
}

/// Returns the exit code when SIGTERM or SIGINT has come.  Meanwhile hands the connections of
/// `listener`, if there is one, to the server: grpc++ takes connections from others, but not
/// listening sockets.
int serve(Acceptor* acceptor, std::optional<int> listener, const sigset_t& waiting_mask) {
  if (listener) fcntl(*listener, F_SETFL, O_NONBLOCK);
  while (g_stop == 0) {
    fd_set readable;
    FD_ZERO(&readable);
    if (listener) FD_SET(*listener, &readable);
    const int count = listener ? *listener + 1 : 0;
    const int ready = pselect(count, &readable, nullptr, nullptr, nullptr, &waiting_mask);
    if (ready > 0) accept_all(*acceptor, *listener);
    if (ready < 0 && errno != EINTR) {
      return fail(std::string("cannot wait for connections: ") + std::strerror(errno));
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string option;
  if (argc == 3 && std::string_view{argv[1]} == "--listen") {
    option = argv[2];
  } else if (argc != 1) {
    return fail("usage: echo-cpp [--listen unix:/path | --listen tcp:HOST:PORT]");
  }
  const auto listen = echo::find_listen(option);
  if (!listen) return fail(listen.error());
  const sigset_t waiting_mask = take_signals();

  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  echo::EchoServer echo{builder};
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  std::unique_ptr<Acceptor> acceptor;
  int port = 0;
  if (listen->descriptor) {
    acceptor = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        grpc::InsecureServerCredentials());
  } else {
    builder.AddListeningPort(listen->address, grpc::InsecureServerCredentials(), &port);
  }
  const auto server = builder.BuildAndStart();
  if (!server || (!listen->descriptor && port == 0)) {
    return fail("cannot listen on " + listen->address + ": is the address taken?");
  }
  std::thread{[&echo] { echo.run(); }}.detach();
  if (listen->descriptor) {
    std::puts("listening on descriptor 3");
  } else if (listen->address.starts_with("unix:")) {
    std::printf("listening on %s\n", listen->address.c_str());
  } else {  // port 0 was asked for, perhaps
    const std::string host = listen->address.substr(0, listen->address.rfind(':'));
    std::printf("listening on tcp:%s:%d\n", host.c_str(), port);
  }
  std::fflush(stdout);

  const int result = serve(acceptor.get(), listen->descriptor, waiting_mask);
  server->Shutdown(std::chrono::system_clock::now() + kDrainTime);
  server->Wait();
  // Without destructors: the thread above goes on, and gRPC's own cleanup may wait up to 10 s for a
  // poller that covered a large write.
  std::fflush(nullptr);
  std::_Exit(result);
}
