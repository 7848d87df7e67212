// Calls with a number each, which the plugin writes down: what was answered was executed once, and
// what failed at most once.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/fault_test.h"

namespace plugind::e2e {

class Ledger {
 public:
  /// Calls `plugin`, a test plugin, in threads of its own until it ends.  A call that finds no
  /// daemon waits for one.  `record` is a file of the ledger's own.
  Ledger(std::filesystem::path record, int callers,
         const std::function<std::shared_ptr<grpc::Channel>()>& connect, std::string plugin);
  ~Ledger() { end(); }
  /// Ends the callers.  Every call that began has ended then.
  void end();
  /// Calls that were answered so far.
  int answered() const { return answered_; }
  /// Waits until another `count` calls have been answered.  False after the deadline.
  bool wait_answers(int count) const;

  // After end():
  /// How the calls ended.
  Outcomes outcomes() const;
  /// Where the record and the calls differ, with the bytes there; "" if they do not.
  std::string differences() const;

 private:
  struct Caller {
    std::vector<bool> answered;  // Each call.
    Outcomes outcomes;
  };
  void call_again_and_again(const std::shared_ptr<grpc::Channel>& channel, const std::string& name,
                            Caller& caller);

  const std::filesystem::path record_;
  const std::string plugin_;
  std::atomic<bool> stop_{false};
  std::atomic<int> answered_{0};
  std::vector<Caller> callers_;
  std::vector<std::jthread> threads_;  // Last: they use the others.
};

}  // namespace plugind::e2e
