#!/usr/bin/env python3
"""scripts/test.sh counts, and calls a suite failed that fails, dies, hangs or says nothing.

Each test runs a copy of the scripts with suites of its own.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))


class TestSh(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="test-sh-")
        self.addCleanup(directory.cleanup)
        self.root = directory.name
        shutil.copytree(os.path.join(ROOT, "scripts"), os.path.join(self.root, "scripts"),
                        ignore=shutil.ignore_patterns("suites", "__pycache__"))
        self.suites = os.path.join(self.root, "scripts", "suites")
        os.mkdir(self.suites)

    def suite(self, name, body, head=""):
        with open(os.path.join(self.suites, name + ".sh"), "w", encoding="utf-8") as file:
            file.write(f"suite_about='a suite'\n{head}\nsuite_run() {{\n{body}\n}}\n")

    def run_sh(self, *arguments, **environment):
        environment = dict(os.environ, PLUGIND_BUILD=os.path.join(self.root, "build"),
                           PLUGIND_SKIP_INSTALL="1", **environment)
        done = subprocess.run([os.path.join(self.root, "scripts", "test.sh"), *arguments],
                              env=environment, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout

    def last_line(self, *arguments, **environment):
        code, output = self.run_sh(*arguments, **environment)
        return code, output.splitlines()[-1]

    def test_counts(self):
        self.suite("10-one", "passed a; passed b; skipped c 'no reason'")
        self.suite("20-two", "passed d; failed e 'it broke'")
        code, output = self.run_sh()
        self.assertEqual(output.splitlines()[-1], "3 passed, 1 failed")
        self.assertNotEqual(code, 0)
        self.assertIn("two: e: it broke", output)
        self.assertIn("one: c: no reason", output)

    def test_all_passed(self):
        self.suite("10-one", "passed a")
        self.assertEqual(self.last_line(), (0, "1 passed, 0 failed"))

    def test_nothing_ran(self):
        self.suite("10-one", "not_run 'nothing here'")
        code, line = self.last_line()
        self.assertEqual(line, "0 passed, 0 failed")
        self.assertNotEqual(code, 0)

    def test_suite_that_dies(self):
        self.suite("10-one", "passed a; false; passed b")
        self.assertEqual(self.last_line(), (1, "1 passed, 1 failed"))

    def test_suite_that_says_nothing(self):
        self.suite("10-one", "true")
        self.assertEqual(self.last_line(), (1, "0 passed, 1 failed"))

    def test_suite_that_hangs(self):
        self.suite("10-one", "passed a; sleep 1000", head="suite_timeout=1")
        self.assertEqual(self.last_line(), (1, "1 passed, 1 failed"))

    def test_suite_after_a_failed_one_is_not_run(self):
        self.suite("10-one", "failed a")
        self.suite("20-two", "passed b", head="suite_after='one'")
        self.assertEqual(self.last_line(), (1, "0 passed, 1 failed"))

    def test_only_brings_what_is_needed(self):
        self.suite("10-one", "passed a")
        self.suite("20-two", "passed b", head="suite_after='one'")
        self.suite("30-three", "passed c", head="suite_after='two'")
        self.suite("40-four", "passed d")
        self.assertEqual(self.last_line("--only", "three"), (0, "3 passed, 0 failed"))

    def test_repeat_runs_the_named_suites_and_what_they_need_once(self):
        self.suite("10-one", "passed a")
        self.suite("20-two", 'echo x >>"$PLUGIND_ROOT/runs"; [[ $(wc -l <"$PLUGIND_ROOT/runs") == 2 ]] '
                             "&& failed b 'the second time' || passed b", head="suite_after='one'")
        code, output = self.run_sh("--only", "two", "--repeat", "3")
        self.assertEqual((code, output.splitlines()[-1]), (1, "3 passed, 1 failed"))
        self.assertIn("two#2: b: the second time", output)
        self.assertRegex(output, r"two#3 +1 +0 ")

    def test_repeat_needs_suites_and_a_number(self):
        self.suite("10-one", "passed a")
        self.assertEqual(self.run_sh("--repeat", "2")[0], 1)
        self.assertEqual(self.run_sh("--only", "one", "--repeat", "often")[0], 1)
        self.assertEqual(self.run_sh("--only", "one", "--repeat", "0")[0], 1)

    def test_missing_toolchain(self):
        self.suite("10-one", "have_go() { false; }; passed a; require go")
        self.assertEqual(self.last_line("--no-strict"), (0, "1 passed, 0 failed"))
        code, output = self.run_sh("--strict")
        self.assertEqual((code, output.splitlines()[-1]), (1, "1 passed, 1 failed"))
        self.assertRegex(output, r"one: install Go \d")
        self.assertEqual(self.last_line(CI="true"), (1, "1 passed, 1 failed"))

    def test_list(self):
        self.suite("10-one", "passed a")
        code, output = self.run_sh("--list")
        self.assertEqual(code, 0)
        self.assertTrue(re.match(r"one +a suite\n$", output), output)

    def test_unknown_suite(self):
        self.suite("10-one", "passed a")
        self.assertEqual(self.run_sh("--only", "other")[0], 1)


if __name__ == "__main__":
    unittest.main()
