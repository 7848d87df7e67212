suite_about='instructions and allocations of a forwarded call, under callgrind, against recorded ones'
suite_after='build'
suite_timeout=900

suite_run() {
  command -v valgrind >/dev/null || not_run 'valgrind is not installed: apt-get install valgrind'
  ninja -C "$PLUGIND_BUILD" tests/instructions/forward_instructions
  check 'the table in docs/performance.md' tests/instructions/run.py --check-docs
  local verdict name
  tests/instructions/run.py "$PLUGIND_BUILD" >"$PLUGIND_LOGS/instructions.log" || true
  # No figures, no verdict: each of eight has a line.
  check 'all figures are there' test "$(wc -l <"$PLUGIND_LOGS/instructions.log")" = 8
  while read -r verdict name; do
    if [[ $verdict == ok ]]; then passed "$name"; else failed "$name"; fi
  done <"$PLUGIND_LOGS/instructions.log"
}
