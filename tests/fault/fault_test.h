// The fixture of the fault suite: what there is of a daemon before a fault is what there is after
// it, and every call that was made is accounted for.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {

extern const std::string kWirePlugin;

/// What a daemon holds at one moment.
struct Stock {
  std::vector<std::string> processes;  // Their names, the daemon's and its guardian's included.
  std::vector<std::string> files;      // Of the runtime directory, without the instances' numbers.
  std::vector<std::string> cgroups;    // The same below the daemon's own.
  std::size_t descriptors = 0;         // Of the daemon.

  /// What of it `before` has not, a line each; "" if there is nothing.
  std::string more_than(const Stock& before) const;
};

/// How calls ended: "OK", or the status and, if the daemon gave it, the reason; and how often.
using Outcomes = std::map<std::string, int>;
std::string outcome_of(const grpc::Status& status);

class FaultTest : public DaemonTest {
 protected:
  /// From now on the test's end expects that nothing is more than now.  To be called when what is
  /// to be there has been started, and the connections of the test itself are closed.
  void take_stock();
  Stock stock() const;
  /// One call with the metadata `x-fault`, which tells the wire plugin what to do wrong.
  grpc::Status faulty_call(const std::shared_ptr<grpc::Channel>& channel, const std::string& fault,
                           const std::string& plugin = "wire") const;
  /// The pid of the plugin's only instance; 0 if there is none.
  std::int64_t pid_of(const std::string& plugin) const;
  void TearDown() override;

 private:
  std::optional<Stock> before_;
};

/// Calls Echo/Unary in threads of its own until it ends.  A reply that is not the request is an
/// outcome of its own.
class Callers {
 public:
  Callers(int threads, const std::function<std::shared_ptr<grpc::Channel>()>& connect,
          std::string plugin);
  ~Callers() { end(); }
  /// Ends them, and says how all calls ended.  Every call that began is one of them.
  Outcomes end();
  /// Calls that have ended.
  int calls() const { return calls_; }

 private:
  void call_again_and_again(const std::shared_ptr<grpc::Channel>& channel, Outcomes& outcomes);

  const std::string plugin_;
  std::atomic<bool> stop_{false};
  std::atomic<int> calls_{0};
  std::vector<Outcomes> outcomes_;
  std::vector<std::jthread> threads_;  // Last: they use the others.
};

}  // namespace plugind::e2e
