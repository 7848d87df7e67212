suite_about='examples in the documentation'
suite_after='build'

suite_run() {
  meson_suite "$PLUGIND_BUILD" docs
}
