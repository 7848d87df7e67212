// The threads that wait on a connection, and how they are woken.
//
// All functions need the connection's lock.  Threads are woken when it is given up, or they would
// only wake to wait for the lock.
#pragma once

#include "client-lib/src/list.h"
#include "client-lib/src/sync.h"

namespace plugind::client {

class WaitQueue;

/// Somebody who waits for something on a connection.
struct Waiter {
  enum class Purpose { kCall, kGreeting, kFreeStream, kNextCall };
  explicit Waiter(Purpose what) : purpose(what) {}

  /// What was waited for has come about.
  void finish();

  const Purpose purpose;
  bool is_done = false;

 private:
  friend class WaitQueue;
  WaitQueue* queue_ = nullptr;
  Event event_;
  Link<Waiter> link_;
  bool is_asleep_ = false;
  bool is_woken_ = false;  // The event has been set or certainly will be.
};

class WaitQueue {
 public:
  explicit WaitQueue(Mutex& mutex) : mutex_(mutex) {}

  /// Gives the lock up for the time it lives, and wakes those who have finished.
  class Unlocked {
   public:
    explicit Unlocked(WaitQueue& queue);
    ~Unlocked() { mutex_.lock(); }
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

   private:
    Mutex& mutex_;
  };

  void add(Waiter& waiter);
  void remove(Waiter& waiter);
  /// Gives the lock up until the waiter is woken or the deadline has come.
  void sleep(Waiter& waiter, Time deadline);

  void finish_all(Waiter::Purpose purpose);
  /// Wakes one sleeper to look whether there is something to do for it.
  void wake_one();
  /// Wakes those who have finished.  Gives the lock up meanwhile, if there are any.
  void wake_finished();
  /// The same without giving the lock up, for when nobody can tell what would happen meanwhile.
  void wake_finished_locked();
  /// Threads have been woken, or will be next time, which have not got the lock yet.
  bool is_anybody_waking() const { return waking_ > 0; }

 private:
  friend struct Waiter;
  using List = client::List<Waiter, &Waiter::link_>;
  void finish(Waiter& waiter);
  static void set_all(List& list);

  Mutex& mutex_;
  List waiting_;
  List finished_;  // Still to be woken.
  unsigned waking_ = 0;
  unsigned others_ = 0;  // Of waiting_, those that do not wait for a call.
};

inline void Waiter::finish() {
  if (is_done) return;
  is_done = true;
  if (queue_ != nullptr) queue_->finish(*this);
}

}  // namespace plugind::client
