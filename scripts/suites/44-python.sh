suite_about='Python: the binding'
suite_after='build plugins'

suite_run() {
  require_path client-lib/python/test.sh
  require python
  junit_of client-lib/python/test.sh --junitxml="$PLUGIND_LOGS/python.xml"
}
