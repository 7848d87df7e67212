suite_about='fuzzing with libFuzzer and sanitizers, FUZZ_SECONDS (60) for each target'
suite_timeout=3600

suite_run() {
  local compiler
  require clang
  compiler=$(clang_with_fuzzer)
  # Its warnings are not GCC's, with which the tree is free of them.
  CC=${compiler/++/} CXX=$compiler scripts/build.sh -D fuzz=enabled -D werror=false \
    -D b_sanitize=address,undefined -D b_lundef=false -D buildtype=debug -D optimization=1 \
    "$PLUGIND_BUILD-fuzz" fuzzers
  tests/fuzz/run.py --seconds "${FUZZ_SECONDS:-60}" "$PLUGIND_BUILD-fuzz"
}
