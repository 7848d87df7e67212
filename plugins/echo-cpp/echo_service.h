// echo.v1.Echo: every kind of call, answered with what it was sent; and gRPC's health service.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

namespace echo {

/// On gRPC's completion queue with one thread, which answers a small call in little more than half
/// the time that the callback API takes: there, threads wake each other.
class EchoServer {
 public:
  /// Registers the services.  The builder makes a server that is passed to run().
  explicit EchoServer(grpc::ServerBuilder& builder);
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  /// Answers calls until the process ends; it never returns.
  [[noreturn]] void run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace echo
