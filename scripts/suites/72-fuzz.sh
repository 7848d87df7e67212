suite_about='fuzzing, a short while each'
suite_after='build'

suite_run() {
  meson_suite "$PLUGIND_BUILD" fuzz
}
