suite_about='Go: the binding, each way to reach libplugind, and the benchmark worker'
suite_after='build plugins'

suite_run() {
  require_path client-lib/go/go.mod
  require go
  use_built_libplugind "$PLUGIND_BUILD"
  local log=$PLUGIND_LOGS/go-binding.jsonl code=0
  client-lib/go/test.sh -json >"$log" || code=$?
  count go "$log"
  go_test tests/bench/go ./... || code=$?
  return "$code"
}
