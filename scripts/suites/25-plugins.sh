suite_about='staging of the real plugins (Go, Rust, C++)'
suite_after='build'

suite_run() {
  require_path scripts/build-plugins.sh
  require go rust
  check build-plugins scripts/build-plugins.sh "$PLUGIND_BUILD/plugins-staged"
  export PLUGIND=$PLUGIND_BUILD/daemon/plugind
  go_test plugins/kv-go ./...
}
