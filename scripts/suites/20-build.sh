suite_about='the build, with warnings as errors'
suite_timeout=2400

suite_run() {
  check build scripts/build.sh "$PLUGIND_BUILD"
}
