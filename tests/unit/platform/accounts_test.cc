#include "daemon/platform/accounts.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

namespace plugind::platform {
namespace {

TEST(Accounts, NamesOfTheSystemHaveTheirNumbers) {
  EXPECT_EQ(user_id("root"), 0u);
  EXPECT_EQ(group_id(::getgrgid(0)->gr_name), 0u);
  if (const passwd* self = ::getpwuid(::geteuid())) {
    EXPECT_EQ(user_id(self->pw_name), ::geteuid());
  }
  EXPECT_EQ(own_user_id(), ::geteuid());
}

TEST(Accounts, WhatIsNoNameIsSaidToBeNone) {
  for (const char* name : {"no-such-name", "", "0", "a:b", "ro ot"}) {
    EXPECT_EQ(user_id(name), std::unexpected(std::string("is no user of this system"))) << name;
    EXPECT_EQ(group_id(name), std::unexpected(std::string("is no group of this system"))) << name;
  }
}

}  // namespace
}  // namespace plugind::platform
