suite_about='libplugind and the daemon under the thread sanitizer, but for what uses gRPC'
suite_after='build'
suite_timeout=1200

suite_run() {
  # Debian's gRPC is not built with the sanitizer: all that it hands from thread to thread would be
  # reported as unsynchronised, in the control service and in the programs of the e2e suite.
  sanitized_tests thread "$PLUGIND_BUILD-tsan" \
    'tests/abi/abi_client_test tests/unit/wire/wire_test tests/unit/platform/unit-platform
     tests/unit/plugin/unit-plugin tests/unit/dialect/unit-dialect tests/unit/forward/unit-forward' \
    'abi client' wire unit-platform unit-plugin unit-dialect unit-forward
}
