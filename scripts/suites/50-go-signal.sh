suite_about='the reason: a Go program dies of a Rust core in its process, and not of plugind'
suite_after='build plugins'

suite_run() {
  require_path tests/interop/go-signal/run.sh
  require go rust
  tests/interop/go-signal/run.sh --build-dir "$PLUGIND_BUILD"
}
