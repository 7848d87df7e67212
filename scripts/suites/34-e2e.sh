suite_about='the real daemon, from outside'
suite_after='build plugins'

suite_run() {
  meson_suite "$PLUGIND_BUILD" e2e
}
