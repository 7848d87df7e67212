suite_about='unit and e2e tests under the address and undefined behaviour sanitizers'
suite_after='plugins'
suite_on_request='a build of its own, which takes longer than all other suites'
suite_timeout=2400

suite_run() {
  sanitized_suite address,undefined "$PLUGIND_BUILD-asan"
}
