#include <gtest/gtest.h>

#include "child_programs.h"

int main(int argc, char** argv) {
  int exit_code = 0;
  if (plugind::platform::run_child_program(argc, argv, exit_code)) return exit_code;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
