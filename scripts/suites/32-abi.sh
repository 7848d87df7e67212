suite_about='libplugind: imports, headers, signals and threads of the host untouched'
suite_after='build'

suite_run() {
  meson_suite "$PLUGIND_BUILD" abi
}
