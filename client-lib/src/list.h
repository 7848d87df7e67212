// A doubly linked list through its elements: no allocation, removal in constant time.
#pragma once

namespace plugind::client {

template <typename T>
struct Link {
  T* previous = nullptr;
  T* next = nullptr;
  bool is_linked = false;
};

template <typename T, Link<T> T::*kLink>
class List {
 public:
  List() = default;
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  T* front() const { return first_; }
  T* back() const { return last_; }
  static T* before(const T* element) { return (element->*kLink).previous; }
  static T* after(const T* element) { return (element->*kLink).next; }

  void push_back(T* element) {
    Link<T>& link = element->*kLink;
    link = {last_, nullptr, true};
    (last_ == nullptr ? first_ : (last_->*kLink).next) = element;
    last_ = element;
  }

  /// `place` is in the list, or null: then `element` becomes the first.
  void insert_after(T* place, T* element) {
    if (place == last_) return push_back(element);
    T*& next = place == nullptr ? first_ : (place->*kLink).next;
    (element->*kLink) = {place, next, true};
    (next->*kLink).previous = element;
    next = element;
  }

  /// Null when the list is empty.
  T* pop_front() {
    T* element = first_;
    if (element != nullptr) remove(element);
    return element;
  }

  /// Gives all elements to `other`, which is empty.
  void move_to(List& other) {
    other.first_ = first_;
    other.last_ = last_;
    first_ = last_ = nullptr;
  }

  /// Does nothing when `element` is in no list.
  void remove(T* element) {
    Link<T>& link = element->*kLink;
    if (!link.is_linked) return;
    (link.previous == nullptr ? first_ : (link.previous->*kLink).next) = link.next;
    (link.next == nullptr ? last_ : (link.next->*kLink).previous) = link.previous;
    link = {};
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace plugind::client
