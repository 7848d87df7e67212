suite_about='Go: the binding and its hosts'
suite_after='build plugins'

suite_run() {
  require_path client-lib/go/go.mod
  require go
  go_test client-lib/go ./...
}
