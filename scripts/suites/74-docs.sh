suite_about='every program that the documentation shows'
suite_after='build plugins'

suite_run() {
  require go rust python node php
  use_built_libplugind "$PLUGIND_BUILD"
  local language
  for language in python node php; do "client-lib/$language/setup.sh"; done
  scripts/lib/run_unittest.py tests/docs/test_examples.py
}
