suite_about='staging of the real plugins (Go, Rust, C++)'
suite_after='build'

suite_run() {
  require_path scripts/build-plugins.sh
  require go rust
  check build-plugins scripts/build-plugins.sh "$PLUGIND_BUILD/plugins-staged"
  go_test plugins/kv-go ./...
}
