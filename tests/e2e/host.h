// The program that HostProcess runs: a host on libplugind.
#pragma once

namespace plugind::e2e {

/// For each line of stdin opens a connection, which stays open, calls Echo/Unary with the line and
/// prints the answer.  Ends with stdin.
int run_host(const char* socket, const char* plugin);

}  // namespace plugind::e2e
