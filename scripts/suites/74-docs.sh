suite_about='every example that the documentation shows, run; links and tables'
suite_after='build plugins'

suite_run() {
  local code=0 log=$PLUGIND_LOGS/docs.tap language pages
  scripts/lib/run_unittest.py tests/docs/test_pages.py || code=$?
  require go rust python node php
  for language in python node php; do "client-lib/$language/setup.sh"; done
  # README.md and docs/, as a reader would: with plugind installed, in a copy of the tree.
  mapfile -t pages < <(git ls-files --cached --others --exclude-standard README.md 'docs/*.md')
  tests/docs/run_examples.py --build "$PLUGIND_BUILD" "${pages[@]}" >"$log" || code=$?
  cat "$log"
  count tap "$log"
  # The bindings' pages: programs only.
  use_built_libplugind "$PLUGIND_BUILD"
  scripts/lib/run_unittest.py tests/docs/test_examples.py || code=$?
  return "$code"
}
