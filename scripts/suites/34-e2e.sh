suite_about='the real daemon, from outside'
suite_after='build plugins'

suite_run() {
  meson_suite "$PLUGIND_BUILD" e2e
  # With several loops, but not the million calls again.
  PLUGIND_TEST_WORKERS=3 meson_tests "$PLUGIND_BUILD" e2e-{bad_input,calls,crashes,doctor,hosts} \
    e2e-{identity,isolation,limits,operator,output,pools,refusals,start,trees,upgrade}
}
