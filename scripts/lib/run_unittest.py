#!/usr/bin/env python3
"""Runs the unittest files given and appends a line for each result to $PLUGIND_RESULTS."""

import importlib.util
import os
import sys
import unittest


class Reporting(unittest.TextTestResult):
    def __init__(self, *arguments, **rest):
        super().__init__(*arguments, **rest)
        self.lines = []

    def _line(self, outcome, test, reason=""):
        name = ".".join(test.id().split(".")[-2:])
        self.lines.append("\t".join((outcome, name, " ".join(str(reason).split())[:300])))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line("passed", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line("failed", test, err[1])

    def addError(self, test, err):
        super().addError(test, err)
        self._line("failed", test, err[1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self._line("failed", test, err[1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line("skipped", test, reason)


def load(path):
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-len(".py")], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def main():
    tests = unittest.TestSuite(load(path) for path in sys.argv[1:])
    runner = unittest.TextTestRunner(verbosity=2, resultclass=Reporting)
    result = runner.run(tests)
    with open(os.environ["PLUGIND_RESULTS"], "a", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in result.lines)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
