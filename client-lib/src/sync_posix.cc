#include <pthread.h>
#include <time.h>
#include <unistd.h>

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
