#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <semaphore.h>

#include <atomic>
#endif
#include <new>

#include "client-lib/src/sync.h"

namespace plugind::client {
namespace {

constexpr Time kSecond = 1'000 * kMillisecond;

static_assert(sizeof(pthread_mutex_t) <= sizeof(Mutex));
static_assert(sizeof(pthread_cond_t) <= sizeof(Condition));

pthread_mutex_t* mutex_in(unsigned char* storage) {
  return std::launder(reinterpret_cast<pthread_mutex_t*>(storage));
}

pthread_cond_t* condition_in(unsigned char* storage) {
  return std::launder(reinterpret_cast<pthread_cond_t*>(storage));
}

}  // namespace

Time now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return Time{time.tv_sec} * kSecond + time.tv_nsec;
}

Time after(Time now, std::int64_t milliseconds) {
  return milliseconds >= (kNever - now) / kMillisecond ? kNever : now + milliseconds * kMillisecond;
}

std::int64_t process_id() { return getpid(); }

Mutex::Mutex() { pthread_mutex_init(new (storage_) pthread_mutex_t, nullptr); }
Mutex::~Mutex() { pthread_mutex_destroy(mutex_in(storage_)); }
void Mutex::lock() { pthread_mutex_lock(mutex_in(storage_)); }
void Mutex::unlock() { pthread_mutex_unlock(mutex_in(storage_)); }

#if defined(__linux__)

// A semaphore: one system call each to wait and to wake, where a condition and its lock take more.
// glibc's sem_post() does not touch it any more once it can be waited for successfully.
namespace {

struct Post {
  sem_t semaphore;
  // Says the same once more: the thread sanitizer does not know sem_clockwait().
  std::atomic<bool> is_posted = false;
};

Post& post_in(unsigned char* storage) { return *std::launder(reinterpret_cast<Post*>(storage)); }

}  // namespace

Event::Event() {
  static_assert(sizeof(Post) <= sizeof(storage_));
  sem_init(&(new (storage_) Post)->semaphore, 0, 0);
}
Event::~Event() { sem_destroy(&post_in(storage_).semaphore); }

void Event::set() {
  Post& post = post_in(storage_);
  post.is_posted.store(true, std::memory_order_release);
  sem_post(&post.semaphore);
}

bool Event::wait(Time deadline) {
  Post& post = post_in(storage_);
  const timespec time{deadline / kSecond, static_cast<long>(deadline % kSecond)};
  while (true) {
    const int result = deadline == kNever ? sem_wait(&post.semaphore)
                                          : sem_clockwait(&post.semaphore, CLOCK_MONOTONIC, &time);
    if (result == 0) return post.is_posted.exchange(false, std::memory_order_acquire);
    if (errno != EINTR) return false;
  }
}

#else

namespace {

struct Flag {
  Mutex mutex;
  Condition condition;
  bool is_set = false;
};

Flag& flag_in(unsigned char* storage) { return *std::launder(reinterpret_cast<Flag*>(storage)); }

}  // namespace

Event::Event() {
  static_assert(sizeof(Flag) <= sizeof(storage_));
  new (storage_) Flag;
}
Event::~Event() { flag_in(storage_).~Flag(); }

void Event::set() {
  // Under the lock, so that the waiting thread does not free the flag before we are done with it.
  Flag& flag = flag_in(storage_);
  const Lock lock(flag.mutex);
  flag.is_set = true;
  flag.condition.signal();
}

bool Event::wait(Time deadline) {
  Flag& flag = flag_in(storage_);
  const Lock lock(flag.mutex);
  while (!flag.is_set) {
    if (deadline != kNever && now() >= deadline) return false;
    flag.condition.wait(flag.mutex, deadline);
  }
  flag.is_set = false;
  return true;
}

#endif

Condition::Condition() {
  auto* condition = new (storage_) pthread_cond_t;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
#if !defined(__APPLE__)
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

Condition::~Condition() { pthread_cond_destroy(condition_in(storage_)); }

void Condition::wait(Mutex& mutex, Time deadline) {
  if (deadline == kNever) {
    pthread_cond_wait(condition_in(storage_), mutex_in(mutex.storage_));
    return;
  }
#if defined(__APPLE__)
  const Time left = deadline - now();
  if (left <= 0) return;
  const timespec time{left / kSecond, static_cast<long>(left % kSecond)};
  pthread_cond_timedwait_relative_np(condition_in(storage_), mutex_in(mutex.storage_), &time);
#else
  timespec time{};
  time.tv_sec = deadline / kSecond;
  time.tv_nsec = deadline % kSecond;
  pthread_cond_timedwait(condition_in(storage_), mutex_in(mutex.storage_), &time);
#endif
}

void Condition::signal() { pthread_cond_signal(condition_in(storage_)); }
void Condition::broadcast() { pthread_cond_broadcast(condition_in(storage_)); }

}  // namespace plugind::client
