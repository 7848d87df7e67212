// The programs that start_test plays: it runs itself as each of them.
#pragma once

namespace plugind::testing {

/// Runs the program that "--play=NAME" names; returns its exit code.  -1: none was named.
int play(int argc, char** argv);

}  // namespace plugind::testing
