#include "proto/wire/buffer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>

namespace plugind::wire {
namespace {

std::string contents(const ByteQueue& queue) {
  std::string bytes(queue.size(), '\0');
  queue.copy_out(bytes.data(), bytes.size());
  return bytes;
}

std::string peeked(const ByteQueue& queue) {
  Slice slices[1'000];
  std::string bytes;
  const std::size_t count = queue.peek(slices, std::size(slices));
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_GT(slices[i].size, 0u);
    bytes.append(reinterpret_cast<const char*>(slices[i].data), slices[i].size);
  }
  return bytes;
}

TEST(ByteQueue, IsFirstInFirstOut) {
  ByteQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.append("hello ", 6));
  EXPECT_TRUE(queue.append("world", 5));
  EXPECT_EQ(contents(queue), "hello world");
  queue.pop(6);
  EXPECT_EQ(contents(queue), "world");
  queue.pop(5);
  EXPECT_TRUE(queue.empty());
  Slice slice;
  EXPECT_EQ(queue.peek(&slice, 1), 0u);
}

TEST(ByteQueue, PeekIsBoundedByTheCaller) {
  ByteQueue queue;
  queue.append(std::string(300'000, 'x').data(), 300'000);
  Slice slices[2];
  EXPECT_EQ(queue.peek(slices, 2), 2u);
  EXPECT_EQ(queue.peek(slices, 0), 0u);
}

TEST(ByteQueue, WhatWasMovedStaysWhenItsOriginGrowsOrGoes) {
  ByteQueue to;
  {
    ByteQueue from;
    from.append(std::string(10'000, 'a').data(), 10'000);
    from.move_to(to, 5'000);
    from.append(std::string(10'000, 'b').data(), 10'000);
    to.append("-", 1);
    from.move_to(to, 5'000);
    from.clear();
    from.append(std::string(20'000, 'c').data(), 20'000);
  }
  EXPECT_EQ(contents(to), std::string(5'000, 'a') + "-" + std::string(5'000, 'a'));
}

TEST(ByteQueue, MovesAsAnObject) {
  ByteQueue a;
  a.append("abc", 3);
  ByteQueue b = std::move(a);
  EXPECT_EQ(contents(b), "abc");
  ByteQueue c;
  c.append("x", 1);
  c = std::move(b);
  EXPECT_EQ(contents(c), "abc");
}

// Against a model: three queues and their contents as strings.
TEST(ByteQueue, BehavesAsAStringWhateverIsDone) {
  std::mt19937 random(7);
  ByteQueue queues[3];
  std::string models[3];
  const auto below = [&](std::size_t bound) { return bound == 0 ? 0 : random() % bound; };
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = below(3);
    const std::size_t j = (i + 1 + below(2)) % 3;
    switch (below(5)) {
      case 0:
      case 1: {
        const std::size_t sizes[] = {1, 9, 300, 3'000, 70'000};
        const std::string bytes(below(sizes[below(5)]) + 1, static_cast<char>('a' + step % 26));
        ASSERT_TRUE(queues[i].append(bytes.data(), bytes.size()));
        models[i] += bytes;
        break;
      }
      case 2: {
        const std::size_t size = below(models[i].size() + 1);
        queues[i].pop(size);
        models[i].erase(0, size);
        break;
      }
      case 3: {
        const std::size_t size = below(models[i].size() + 1);
        ASSERT_TRUE(queues[i].move_to(queues[j], size));
        models[j] += models[i].substr(0, size);
        models[i].erase(0, size);
        break;
      }
      case 4:
        if (models[i].size() > 200'000) {
          queues[i].clear();
          models[i].clear();
        }
        break;
    }
    ASSERT_EQ(queues[i].size(), models[i].size()) << step;
    ASSERT_EQ(queues[j].size(), models[j].size()) << step;
    if (step % 50 == 0) {
      for (int k = 0; k < 3; ++k) {
        ASSERT_TRUE(contents(queues[k]) == models[k]) << step;
        ASSERT_TRUE(models[k].starts_with(peeked(queues[k]))) << step;
      }
    }
  }
}

}  // namespace
}  // namespace plugind::wire
