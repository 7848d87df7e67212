suite_about='include table of DESIGN.md, and the checker of it'

suite_run() {
  scripts/lib/run_unittest.py tests/layering/test_layering.py
}
