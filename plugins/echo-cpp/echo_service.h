// echo.v1.Echo: every kind of call, answered with what it was sent.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <memory>

namespace echo {

inline constexpr char kServiceName[] = "echo.v1.Echo";

/// Made once and registered with one server, which it must outlive.
std::unique_ptr<grpc::Service> make_echo_service();

}  // namespace echo
