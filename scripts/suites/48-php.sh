suite_about='PHP: the binding'
suite_after='build'

suite_run() {
  require_path client-lib/php/test.sh
  require php python  # the tests call a server in Python
  use_built_libplugind "$PLUGIND_BUILD"
  junit_of client-lib/php/test.sh --log-junit="$PLUGIND_LOGS/php.xml"
}
