suite_about='Python: the binding'
suite_after='build'

suite_run() {
  require_path client-lib/python/test.sh
  require python
  use_built_libplugind "$PLUGIND_BUILD"
  junit_of client-lib/python/test.sh --junitxml="$PLUGIND_LOGS/python.xml"
}
