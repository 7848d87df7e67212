suite_about='C++ unit tests'
suite_after='build'

# A test that belongs to no suite would be run by nobody.
every_test_has_a_suite() {
  meson introspect --tests "$PLUGIND_BUILD" | python3 -c '
import json, sys
known = {"unit", "abi", "e2e", "fault", "layering"}
lost = [t["name"] for t in json.load(sys.stdin)
        if not known & {s.split(":")[-1] for s in t["suite"]}]
print("tests in none of the suites", sorted(known), ":", lost)
sys.exit(1 if lost else 0)'
}

suite_run() {
  check 'every test belongs to a suite' every_test_has_a_suite
  meson_suite "$PLUGIND_BUILD" unit
}
