#!/usr/bin/env python3
"""The benchmark compares what belongs together and says plainly what is out of reach.

No figure is measured here: a test never asserts a time.
"""

import importlib.util
import os
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SPEC = importlib.util.spec_from_file_location(
    "bench", os.path.join(ROOT, "tests", "bench", "bench.py"))
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)


def slices(*p50s):
    return [bench.Slice(p50, 2 * p50, 1e6 / p50) for p50 in p50s]


class Bench(unittest.TestCase):
    def test_ratio_is_paired_by_round(self):
        # A machine that is slow in one round is slow for both; the ratio of medians would be 2.
        found = {("a", 1): slices(10, 20, 100), ("b", 1): slices(5, 40, 50)}
        self.assertEqual(bench.ratio(found, "b", "a", 1, "p50"), 0.5)

    def test_ratio_of_a_contender_that_did_not_run(self):
        self.assertIsNone(bench.ratio({("a", 1): slices(1)}, "b", "a", 1, "p50"))

    def test_at_most(self):
        self.assertRegex(bench.Target("x", 1.0, 1.0, "x").line(), r"\bmet$")
        self.assertRegex(bench.Target("x", 1.01, 1.0, "x").line(), r"\bMISSED$")

    def test_at_least(self):
        self.assertRegex(bench.Target("x", 1.2, 1.2, "x", at_most=False).line(), r"\bmet$")
        self.assertRegex(bench.Target("x", 1.1, 1.2, "x", at_most=False).line(), r"\bMISSED$")

    def test_target_without_a_figure_is_not_met(self):
        self.assertRegex(bench.Target("x", None, 1.0, "x").line(), r"not run$")

    def test_table_names_every_contender(self):
        found = {("a", 1): slices(10), ("a", 32): slices(20)}
        text = bench.table(bench.summary(found), {"a": "the first"})
        self.assertRegex(text, r"the first +10\.0 +20\.0 +100000 +-")
        self.assertRegex(text, r"the first +20\.0 +40\.0 +50000 +-")

    def test_docs_change_between_the_marks_only(self):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            page = os.path.join(directory, "page.md")
            with open(page, "w", encoding="utf-8") as file:
                file.write("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
            for _ in range(2):
                bench.update_docs(page, "new\n")
                with open(page, encoding="utf-8") as file:
                    self.assertEqual(file.read(), "before\n<!-- bench:begin -->\n```\nnew\n```\n"
                                     "<!-- bench:end -->\nafter\n")

    def test_docs_without_marks(self):
        with tempfile.NamedTemporaryFile("w", suffix=".md") as file:
            with self.assertRaises(SystemExit):
                bench.update_docs(file.name, "new")


if __name__ == "__main__":
    unittest.main()
