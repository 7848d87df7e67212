suite_about='libplugind and the daemon under the thread sanitizer, unit and e2e tests'
suite_after='plugins'
suite_timeout=1800

# tests/sanitizers/thread.supp says what is left out and why.
suite_run() {
  local build=$PLUGIND_BUILD-tsan
  export SANITIZER_OPTIONS=suppressions=$PLUGIND_ROOT/tests/sanitizers/thread.supp
  sanitized_tests thread "$build" \
    'tests/abi/abi_client_test tests/unit/wire/wire_test tests/unit/platform/unit-platform
     tests/unit/plugin/unit-plugin tests/unit/dialect/unit-dialect tests/unit/forward/unit-forward
     tests/unit/control/control_test tests/unit/app/unit-app tests/unit/unit-error daemon/plugind' \
    'abi client' wire unit-platform unit-plugin unit-dialect unit-forward unit-forward-workers \
    control unit-app unit-error
  # The programs that test are built without it: they would be checked for what gRPC does in them.
  PLUGIND_TEST_DAEMON=$build/daemon/plugind PLUGIND_TEST_WORKERS=3 sanitized_run thread "$PLUGIND_BUILD" --suite e2e
}
