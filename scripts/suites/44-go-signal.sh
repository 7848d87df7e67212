suite_about='why plugind exists: a Go program and the signals of its plugin library'
suite_after='build plugins'

suite_run() {
  require_path tests/interop/go-signal/run.sh
  require go rust
  go_test tests/interop/go-signal ./signaltable
  tests/interop/go-signal/run.sh --build-dir "$PLUGIND_BUILD"
}
