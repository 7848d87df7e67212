suite_about='faults: processes killed, sockets broken, limits reached'
suite_after='build'
suite_timeout=600

suite_run() {
  meson_suite "$PLUGIND_BUILD" fault
}
