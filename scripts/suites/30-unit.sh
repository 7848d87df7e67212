suite_about='C++ unit tests'
suite_after='build'

suite_run() {
  meson_suite "$PLUGIND_BUILD" unit
}
