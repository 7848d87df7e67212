// A gate on the loop: coroutines wait before it until it is opened.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <memory>

namespace plugind::plugin {

/// Opens once and stays open.  Cheap to copy: copies are the same gate.  Belongs to one loop.
class Gate {
 public:
  Gate();

  /// Lets everybody pass who waits or comes later.
  void open();
  bool is_open() const;
  /// Completes when the gate is open.  Honours cancellation of the awaiting coroutine.
  boost::asio::awaitable<void> wait() const;

 private:
  struct State {
    bool open = false;
    std::list<boost::asio::steady_timer*> waiters;
  };
  std::shared_ptr<State> state_;
};

}  // namespace plugind::plugin
