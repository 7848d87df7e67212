#include "client-lib/src/wait_queue.h"

namespace plugind::client {

void WaitQueue::add(Waiter& waiter) {
  waiter.queue_ = this;
  waiting_.push_back(&waiter);
  if (waiter.purpose != Waiter::Purpose::kCall) ++others_;
}

void WaitQueue::remove(Waiter& waiter) {
  if (waiter.purpose != Waiter::Purpose::kCall) --others_;
  waiting_.remove(&waiter);
  waiter.queue_ = nullptr;
}

void WaitQueue::sleep(Waiter& waiter, Time deadline) {
  waiter.is_asleep_ = true;
  bool woken = false;
  {
    const Unlocked unlocked(*this);
    woken = waiter.event_.wait(deadline);
  }
  if (!woken && waiter.is_woken_) {
    // Somebody holds a pointer to the event and is about to set it.
    const Unlocked unlocked(*this);
    waiter.event_.wait(kNever);
  }
  waiter.is_asleep_ = false;
  if (waiter.is_woken_) {
    waiter.is_woken_ = false;
    --waking_;
  }
}

void WaitQueue::finish(Waiter& waiter) {
  if (!waiter.is_asleep_ || waiter.is_woken_) return;
  waiter.is_woken_ = true;
  ++waking_;
  waiting_.remove(&waiter);
  finished_.push_back(&waiter);
}

void WaitQueue::finish_all(Waiter::Purpose purpose) {
  if (purpose != Waiter::Purpose::kCall && others_ == 0) return;
  for (Waiter* waiter = waiting_.front(); waiter != nullptr;) {
    Waiter* next = List::after(waiter);
    if (waiter->purpose == purpose) waiter->finish();
    waiter = next;
  }
}

void WaitQueue::wake_one() {
  for (Waiter* waiter = waiting_.front(); waiter != nullptr; waiter = List::after(waiter)) {
    if (!waiter->is_asleep_ || waiter->is_woken_) continue;
    waiter->is_woken_ = true;
    ++waking_;
    waiter->event_.set();
    return;
  }
}

WaitQueue::Unlocked::Unlocked(WaitQueue& queue) : mutex_(queue.mutex_) {
  List finished;
  queue.finished_.move_to(finished);
  mutex_.unlock();
  set_all(finished);
}

void WaitQueue::set_all(List& list) {
  // In this order: the waiter may be gone as soon as its event is set.
  while (Waiter* waiter = list.pop_front()) waiter->event_.set();
}

void WaitQueue::wake_finished() {
  if (finished_.front() != nullptr) const Unlocked unlocked(*this);
}

void WaitQueue::wake_finished_locked() { set_all(finished_); }

}  // namespace plugind::client
