#include "proto/wire/header_list.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace plugind::wire {
namespace {

TEST(HeaderList, KeepsOrderRepetitionAndFlags) {
  HeaderList list;
  EXPECT_TRUE(list.add("b", "1"));
  EXPECT_TRUE(list.add("a", "", true));
  EXPECT_TRUE(list.add("b", "2"));
  ASSERT_EQ(list.count(), 3u);
  EXPECT_EQ(list[0].name, "b");
  EXPECT_EQ(list[0].value, "1");
  EXPECT_FALSE(list[0].never_index);
  EXPECT_EQ(list[1].name, "a");
  EXPECT_EQ(list[1].value, "");
  EXPECT_TRUE(list[1].never_index);
  EXPECT_EQ(list[2].value, "2");
}

TEST(HeaderList, GetsTheFirstAndTellsEmptyFromAbsent) {
  HeaderList list;
  EXPECT_FALSE(list.has("a"));
  list.add("a", "");
  list.add("b", "1");
  list.add("b", "2");
  EXPECT_TRUE(list.has("a"));
  EXPECT_EQ(list.get("b"), "1");
  EXPECT_EQ(list.get("c").data(), nullptr);
}

TEST(HeaderList, GrowsAndMayBeClearedMovedAndUsedAgain) {
  HeaderList list;
  for (int i = 0; i < 1'000; ++i) list.add(std::to_string(i), std::string(i, 'v'));
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_EQ(list[i].name, std::to_string(i));
    ASSERT_EQ(list[i].value, std::string(i, 'v'));
  }
  HeaderList moved = std::move(list);
  EXPECT_EQ(moved.count(), 1'000u);
  moved.clear();
  EXPECT_EQ(moved.count(), 0u);
  EXPECT_FALSE(moved.has("1"));
  moved.add("again", "x");
  EXPECT_EQ(moved.get("again"), "x");
}

}  // namespace
}  // namespace plugind::wire
