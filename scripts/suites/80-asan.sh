suite_about='libplugind, unit and e2e tests under the address and undefined behaviour sanitizers'
suite_after='plugins'
suite_timeout=2400

suite_run() {
  sanitized_tests address,undefined "$PLUGIND_BUILD-asan" '' --suite unit --suite e2e
  # What else is in that suite looks at signals, threads and symbols, of which a sanitizer has its own.
  sanitized_run address,undefined "$PLUGIND_BUILD-asan" 'abi client'
}
