#!/usr/bin/env python3
"""count_results.py counts what each kind of report says, and never counts a failure as success."""

import importlib.util
import json
import os
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SPEC = importlib.util.spec_from_file_location(
    "count_results", os.path.join(ROOT, "scripts", "lib", "count_results.py"))
count_results = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(count_results)

GTEST = """<testsuites><testsuite name="{name}">
  <testcase name="Good" status="run" classname="Suite"/>
  <testcase name="Bad" status="run" classname="Suite"><failure message="1 is not 2"/></testcase>
  <testcase name="Off" status="notrun" classname="Suite"/>
  <testcase name="Cannot" status="run" classname="Suite">
    <skipped message="a.cc:3&#x0A;no cgroup v2"/></testcase>
</testsuite>{more}</testsuites>"""


class CountResults(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="count-results-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def results(self, form, text, name="report"):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.plain(form, path)

    @staticmethod
    def plain(form, path):
        return [(r.outcome, r.name) for r in count_results.FORMATS[form](path)]

    def meson(self, programs, junit):
        logs = os.path.join(self.directory, "meson-logs")
        os.makedirs(logs, exist_ok=True)
        with open(os.path.join(logs, "testlog.json"), "w", encoding="utf-8") as file:
            for name, result, code in programs:
                file.write(json.dumps({"name": "plugind:unit / " + name, "result": result,
                                       "returncode": code}) + "\n")
        with open(os.path.join(logs, "testlog.junit.xml"), "w", encoding="utf-8") as file:
            file.write(junit)
        return self.plain("meson", self.directory)

    def test_junit(self):
        self.assertEqual(self.results("junit", GTEST.format(name="Suite", more="")), [
            ("passed", "Suite.Good"), ("failed", "Suite.Bad"), ("skipped", "Suite.Off"),
            ("skipped", "Suite.Cannot")])

    def test_junit_error(self):
        text = '<testsuite><testcase name="a"><error/></testcase></testsuite>'
        self.assertEqual(self.results("junit", text), [("failed", "a")])

    def test_meson_counts_cases(self):
        junit = GTEST.format(name="plugind.wire_test.Suite", more="")
        self.assertEqual([o for o, _ in self.meson([("wire_test", "FAIL", 1)], junit)],
                         ["passed", "failed", "skipped", "skipped"])

    def test_meson_names_the_suite_of_a_program(self):
        junit = GTEST.format(name="plugind.plugind:unit / wire_test.Sockets/Suite", more="")
        self.assertEqual(self.meson([("wire_test", "FAIL", 1)], junit)[0],
                         ("passed", "Suite.Good"))

    def test_meson_program_without_cases(self):
        junit = "<testsuites/>"
        self.assertEqual(self.meson([("a", "OK", 0), ("b", "FAIL", 3), ("c", "SKIP", 77),
                                     ("d", "TIMEOUT", -15)], junit),
                         [("passed", "a"), ("failed", "b (the program)"), ("skipped", "c"),
                          ("failed", "d (the program)")])

    def test_meson_program_that_dies_after_its_cases_passed(self):
        junit = ('<testsuites><testsuite name="plugind.a.Suite">'
                 '<testcase name="Good" classname="Suite"/></testsuite></testsuites>')
        self.assertEqual(self.meson([("a", "FAIL", 23)], junit),
                         [("passed", "Suite.Good"), ("failed", "a (the program)")])

    def test_go(self):
        events = [
            {"Action": "run", "Package": "m/p", "Test": "TestA"},
            {"Action": "pass", "Package": "m/p", "Test": "TestA"},
            {"Action": "fail", "Package": "m/p", "Test": "TestB"},
            {"Action": "skip", "Package": "m/p", "Test": "TestC"},
            {"Action": "fail", "Package": "m/p"},
            {"Action": "pass", "Package": "m/q"},
        ]
        text = "go: downloading x\n" + "\n".join(map(json.dumps, events))
        self.assertEqual(self.results("go", text), [
            ("passed", "p.TestA"), ("failed", "p.TestB"), ("skipped", "p.TestC")])

    def test_go_package_that_does_not_build(self):
        text = json.dumps({"Action": "fail", "Package": "m/p"})
        self.assertEqual(self.results("go", text), [("failed", "m/p")])

    def test_cargo(self):
        text = ("test tests::a ... ok\ntest tests::b ... FAILED\ntest c ... ignored, slow\n"
                "test result: FAILED. 1 passed; 1 failed\n")
        self.assertEqual(self.results("cargo", text), [
            ("passed", "tests::a"), ("failed", "tests::b"), ("skipped", "c")])

    def test_tap_counts_leaves(self):
        text = "\n".join([
            "TAP version 13", "# Subtest: file", "    ok 1 - a", "    not ok 2 - b",
            "    ok 3 - c # SKIP no daemon", "    1..3", "not ok 1 - file", "ok 2 - alone", "1..2"])
        self.assertEqual(self.results("tap", text), [
            ("passed", "a"), ("failed", "b"), ("skipped", "c"), ("passed", "alone")])

    def test_lines_stay_one_line(self):
        line = str(count_results.Result("failed", "a\tb", "two\nlines"))
        self.assertEqual(line, "failed\ta b\ttwo lines")


if __name__ == "__main__":
    unittest.main()
