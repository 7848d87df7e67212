#include "daemon/plugin/gate.h"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "tests/support/manual_clock.h"

namespace plugind::plugin {
namespace {

namespace asio = boost::asio;

class GateTest : public ::testing::Test {
 protected:
  enum class End { kPassed, kThrew };

  // Waits before `gate`; `end` tells how it went.
  void wait(Gate& gate, std::optional<End>& end, asio::cancellation_slot slot = {}) {
    asio::co_spawn(loop, gate.wait(),
                   asio::bind_cancellation_slot(slot, [&end](std::exception_ptr thrown) {
                     end = thrown ? End::kThrew : End::kPassed;
                   }));
    testing::run_ready(loop);
  }

  asio::io_context loop;
};

TEST_F(GateTest, LetsEverybodyPass) {
  Gate gate;
  std::optional<End> first, second, late;
  wait(gate, first);
  wait(gate, second);
  EXPECT_FALSE(first || second);
  gate.open();
  gate.open();
  testing::run_ready(loop);
  EXPECT_EQ(first, End::kPassed);
  EXPECT_EQ(second, End::kPassed);
  wait(gate, late);
  EXPECT_EQ(late, End::kPassed);
}

TEST_F(GateTest, CancellationDoesNotLetPass) {
  Gate gate;
  std::optional<End> cancelled, other;
  asio::cancellation_signal signal;
  wait(gate, cancelled, signal.slot());
  wait(gate, other);
  signal.emit(asio::cancellation_type::terminal);
  testing::run_ready(loop);
  EXPECT_EQ(cancelled, End::kThrew);
  EXPECT_FALSE(other);
  gate.open();
  testing::run_ready(loop);
  EXPECT_EQ(other, End::kPassed);
}

TEST_F(GateTest, MayGoWhileSomebodyWaits) {
  std::optional<End> end;
  {
    Gate gate;
    Gate copy = gate;
    wait(gate, end);
    copy.open();
  }
  testing::run_ready(loop);
  EXPECT_EQ(end, End::kPassed);
}

}  // namespace
}  // namespace plugind::plugin
