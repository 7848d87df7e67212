suite_about='instructions, allocations and transfers of a call, and memory, under valgrind, against recorded ones'
suite_after='build'
suite_timeout=1800

suite_run() {
  command -v valgrind >/dev/null || not_run 'valgrind is not installed: apt-get install valgrind'
  ninja -C "$PLUGIND_BUILD" tests/instructions/forward_instructions
  check 'the tables of calls in docs/performance.md' tests/instructions/run.py --check-docs
  check 'the table of memory in docs/performance.md' tests/instructions/memory.py --check-docs
  check 'the parts of a call in docs/performance.md' tests/instructions/parts.py "$PLUGIND_BUILD" --check
  local verdict name
  {
    tests/instructions/run.py "$PLUGIND_BUILD" || true
    tests/instructions/memory.py "$PLUGIND_BUILD" || true
  } >"$PLUGIND_LOGS/instructions.log"
  # No figures, no verdict: each of 13 loads has three lines, and memory has two.
  check 'all figures are there' test "$(wc -l <"$PLUGIND_LOGS/instructions.log")" = 41
  while read -r verdict name; do
    if [[ $verdict == ok ]]; then passed "$name"; else failed "$name"; fi
  done <"$PLUGIND_LOGS/instructions.log"
}
