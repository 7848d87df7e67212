# How a suite tells its results; sourced by run_suite.sh.  One line a result goes to
# $PLUGIND_RESULTS: passed|failed|skipped|missing, a tab, the name, a tab, the reason.  A line "note"
# is no result: it is printed at the end.

_report() { printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$PLUGIND_RESULTS"; }

passed() { _report passed "$1"; }
failed() { _report failed "$1" "${2:-}"; }
# Not run, for a reason that is nobody's fault: the kernel has no cgroup v2, for example.
skipped() { _report skipped "$1" "$2"; }

# Leaves the suite: there is nothing to run yet.
not_run() {
  _report skipped "$PLUGIND_SUITE" "$1"
  exit 0
}

# Leaves the suite when a language is missing; with --strict that is a failure.
require() {
  local language
  for language; do
    if ! have_toolchain "$language"; then
      _report missing "$PLUGIND_SUITE" "$(install_hint "$language")"
      exit 0
    fi
  done
}

# Leaves the suite when a file or folder that it tests is not in the tree.
require_path() {
  local path
  for path; do
    [[ -e $PLUGIND_ROOT/$path ]] || not_run "$path is not in the tree"
  done
}

# check NAME COMMAND...: one result, by the command's exit code.
check() {
  local name=$1
  shift
  if "$@"; then passed "$name"; else failed "$name" "exit code $?"; fi
}

# count FORMAT FILE...: results out of a report; count_results.py lists the formats.
count() { python3 "$PLUGIND_ROOT/scripts/lib/count_results.py" "$@" >>"$PLUGIND_RESULTS"; }

# meson_suite BUILD SUITE...: runs the tests that belong to the given meson suites.
meson_suite() {
  local build=$1 suite arguments=()
  shift
  for suite; do arguments+=(--suite "$suite"); done
  meson_tests "$build" "${arguments[@]}"
}

# meson_tests BUILD ARGUMENT...: runs the tests that meson chooses by these arguments.
meson_tests() {
  local build=$1 code=0
  shift
  # Old reports must not be counted for a test that dies before it writes its own.
  find "$build" -maxdepth 1 -name '*.xml' -delete
  rm -rf "$build/meson-logs/testlog.json" "$build/meson-logs/testlog.junit.xml"
  ${MESON_RUNNER:-} meson test -C "$build" --no-rebuild --print-errorlogs \
    --timeout-multiplier "${MESON_TIMEOUT_MULTIPLIER:-1}" "$@" || code=$?
  [[ -s $build/meson-logs/testlog.json ]] || {
    ((code == 0)) && not_run "no test in $build is meant by $*"
    return "$code"
  }
  count meson "$build"
  return "$code"
}

# go_test DIRECTORY ARGUMENTS...: go test of packages in DIRECTORY's module, counted one by one.
go_test() {
  local directory=$1 log code=0
  shift
  log=$PLUGIND_LOGS/$PLUGIND_SUITE-$(basename "$directory").jsonl
  (cd "$directory" && go test -json "$@") >"$log" || code=$?
  count go "$log"
  return "$code"
}

# sanitized_tests SANITIZERS BUILD TARGETS ARGUMENT...: builds the targets (all if "") with them, then
# runs the tests that meson chooses by the arguments, as sanitized_run does.
sanitized_tests() {
  local sanitizers=$1 build=$2 targets optimization=1
  # shellcheck disable=SC2206 # one word a target
  targets=($3)
  shift 3
  # GCC takes five times as long for coroutines with -fsanitize=undefined when it optimises.
  if [[ $sanitizers == *undefined* ]]; then optimization=0; fi
  "$PLUGIND_ROOT/scripts/build.sh" -D "b_sanitize=$sanitizers" -D b_lundef=false \
    -D buildtype=debug -D "optimization=$optimization" "$build" "${targets[@]}"
  sanitized_run "$sanitizers" "$build" "$@"
}

# sanitized_run SANITIZERS BUILD ARGUMENT...: runs the tests of BUILD that meson chooses by the
# arguments.  A sanitizer writes what it finds, in whichever process, to a file of its own, and each
# file is a failure.  SANITIZER_OPTIONS are more options for it.
sanitized_run() {
  local sanitizers=$1 build=$2 found code=0 runner=()
  local findings=$build/findings
  shift 2
  rm -rf "$findings"
  mkdir -p "$findings"
  chmod a+rwx "$findings"  # for the daemons of other users, too
  local common=log_path=$findings/report:log_exe_name=1${SANITIZER_OPTIONS:+:$SANITIZER_OPTIONS}
  export ASAN_OPTIONS=$common:detect_stack_use_after_return=1:strict_string_checks=1
  export UBSAN_OPTIONS=$common:print_stacktrace=1:halt_on_error=1
  export TSAN_OPTIONS=$common:second_deadlock_stack=1
  if [[ $sanitizers == thread ]] && (($(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28) > 28)); then
    # GCC 12's thread sanitizer does not find its way in a more random address space.
    setarch -R true 2>/dev/null || not_run 'vm.mmap_rnd_bits is over 28; run sysctl vm.mmap_rnd_bits=28'
    runner=(setarch -R)
  fi
  MESON_RUNNER=${runner[*]} MESON_TIMEOUT_MULTIPLIER=5 meson_tests "$build" "$@" || code=$?
  for found in "$findings"/*; do
    [[ -s $found ]] || continue
    cat "$found"
    failed "sanitizer report ${found##*/report.}" "$(grep -m 1 -E 'ERROR|WARNING|runtime error' "$found")"
  done
  return "$code"
}

# junit_of COMMAND... --something=FILE.xml: runs the command, which writes JUnit XML to that file.
junit_of() {
  local file=${!#} code=0
  file=${file#*=}
  rm -f "$file"
  "$@" || code=$?
  if [[ -s $file ]]; then count junit "$file"; fi
  return "$code"
}
