// Locks, conditions, events, the clock and the process id.  The only other file that talks to the
// operating system is socket.h's implementation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace plugind::client {

/// Nanoseconds of a clock that never jumps.
using Time = std::int64_t;
inline constexpr Time kNever = std::numeric_limits<Time>::max();
inline constexpr Time kMillisecond = 1'000'000;

Time now();
/// `now + milliseconds`, or kNever where that is out of range.
Time after(Time now, std::int64_t milliseconds);

/// The calling process, to notice that it is a fork of the one that opened a client.
std::int64_t process_id();

class Mutex {
 public:
  Mutex();
  ~Mutex();
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  void lock();
  void unlock();

 private:
  friend class Condition;
  alignas(std::max_align_t) unsigned char storage_[64];
};

class Lock {
 public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Mutex& mutex_;
};

/// Gives a lock up for the time it lives.
class Unlock {
 public:
  explicit Unlock(Mutex& mutex) : mutex_(mutex) { mutex_.unlock(); }
  ~Unlock() { mutex_.lock(); }
  Unlock(const Unlock&) = delete;
  Unlock& operator=(const Unlock&) = delete;

 private:
  Mutex& mutex_;
};

/// Wakes the one thread that waits for it.  Needs no lock.  set() is called once for each wait()
/// that is to succeed.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  /// The waiting thread may free the event as soon as this has begun.
  void set();
  /// Until set() has been called.  False: the deadline came first.
  bool wait(Time deadline);

 private:
  alignas(std::max_align_t) unsigned char storage_[160];
};

class Condition {
 public:
  Condition();
  ~Condition();
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  /// May also return early: look at what was waited for, and at the clock.
  void wait(Mutex& mutex, Time deadline);
  void signal();
  void broadcast();

 private:
  alignas(std::max_align_t) unsigned char storage_[64];
};

}  // namespace plugind::client
