suite_about='the scripts: syntax, and the counting of results'

suite_run() {
  local file
  for file in scripts/*.sh scripts/lib/*.sh scripts/suites/*.sh .ci/run; do
    check "syntax of $file" bash -n "$file"
  done
  scripts/lib/run_unittest.py tests/scripts/test_*.py
}
