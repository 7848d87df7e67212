suite_about='the include table of docs/architecture.md, and the checker of it'

suite_run() {
  scripts/lib/run_unittest.py tests/layering/test_layering.py
}
