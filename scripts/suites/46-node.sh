suite_about='Node.js: the binding'
suite_after='build'

suite_run() {
  require_path client-lib/node/test.sh
  require node
  use_built_libplugind "$PLUGIND_BUILD"
  local log=$PLUGIND_LOGS/node.tap code=0
  # Not on a terminal, Node.js reports in TAP.
  client-lib/node/test.sh >"$log" || code=$?
  cat "$log"
  count tap "$log"
  return "$code"
}
