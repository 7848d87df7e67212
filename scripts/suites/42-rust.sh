suite_about='Rust: the text plugin'

suite_run() {
  require_path plugins/text-rust/Cargo.toml
  require rust
  local log=$PLUGIND_LOGS/cargo-test.log code=0
  (cd plugins/text-rust && cargo test --locked --release) 2>&1 | tee "$log" || code=$?
  count cargo "$log"
  return "$code"
}
