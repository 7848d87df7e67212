suite_about='unit and e2e tests under the thread sanitizer'
suite_after='plugins'
suite_on_request='a build of its own, which takes longer than all other suites'
suite_timeout=2400

suite_run() {
  sanitized_suite thread "$PLUGIND_BUILD-tsan"
}
