// proto/wire's session as a server, against a client that sends anything.
#include "tests/fuzz/wild_session.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace plugind;
  fuzz::WildSession::run(wire::Role::kServer, fuzz::Input(data, size));
  return 0;
}
