#!/usr/bin/env python3
"""Turns test reports into the lines that scripts/test.sh counts.

usage: count_results.py FORMAT FILE...

  meson   a build directory, after meson test
  junit   JUnit XML (gtest's, pytest's, PHPUnit's)
  go      the output of go test -json
  cargo   the output of cargo test
  tap     TAP (node --test --test-reporter=tap, and others)

Each result is a line: passed, failed or skipped, a tab, the name, a tab, the reason.
"""

import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from typing import Iterator, NamedTuple


class Result(NamedTuple):
    outcome: str
    name: str
    reason: str = ""

    def __str__(self) -> str:
        def clean(text: str) -> str:
            return re.sub(r"\s+", " ", text).strip()[:300]

        return "\t".join((self.outcome, clean(self.name), clean(self.reason)))


def of_cases(root: ElementTree.Element) -> Iterator[Result]:
    for case in root.iter("testcase"):
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        broken = [e for e in (case.find("failure"), case.find("error")) if e is not None]
        skip = case.find("skipped")
        if broken:
            yield Result("failed", name, broken[0].get("message") or broken[0].text or "")
        elif skip is not None or case.get("status") == "notrun":
            reason = "" if skip is None else skip.get("message") or skip.text or ""
            yield Result("skipped", name, re.sub(r"^\S+:\d+\s+", "", reason.strip()))
        else:
            yield Result("passed", name)


def of_junit(path: str) -> Iterator[Result]:
    yield from of_cases(ElementTree.parse(path).getroot())


def of_meson(build: str) -> Iterator[Result]:
    """One result per case where the test says its cases, else one per program.

    A program that fails although all its cases passed (it died afterwards, or a sanitizer had
    something to say at exit) is a failure of its own.
    """
    logs = os.path.join(build, "meson-logs")
    junit = ElementTree.parse(os.path.join(logs, "testlog.junit.xml")).getroot()
    suites = junit.findall(".//testsuite")
    with open(os.path.join(logs, "testlog.json"), encoding="utf-8") as file:
        programs = [json.loads(line) for line in file if line.strip()]
    for program in programs:
        name = program["name"].split(" / ")[-1]
        # meson names a suite PROJECT.TEST for TAP and PROJECT.TEST.SUITE for gtest; TEST begins with
        # the test's own suites ("plugind:e2e / ") if the project has several.
        own = [s for s in suites
               if [t.split(" / ")[-1] for t in s.get("name", "").split(".")[1:2]] == [name]]
        cases = [result for suite in own for result in of_cases(suite)]
        yield from cases
        if program["result"] in ("OK", "EXPECTEDFAIL"):
            if not cases:
                yield Result("passed", name)
        elif program["result"] == "SKIP":
            if not cases:
                yield Result("skipped", name, "the test says that it cannot run here")
        elif not any(case.outcome == "failed" for case in cases):
            reason = f"{program['result'].lower()}, exit code {program.get('returncode')}"
            yield Result("failed", f"{name} (the program)", reason)


def of_go(path: str) -> Iterator[Result]:
    seen_failure = set()
    output = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # a message of the go command itself
            package, test = event.get("Package", event.get("ImportPath", "")), event.get("Test")
            action = event.get("Action")
            if test is None:
                if action in ("fail", "build-fail") and package not in seen_failure:
                    seen_failure.add(package)
                    yield Result("failed", package, "the package failed as a whole")
                continue
            name = f"{package.rsplit('/', 1)[-1]}.{test}"
            if action == "output":
                output[name] = output.get(name, "") + event.get("Output", "")
            elif action == "fail":
                seen_failure.add(package)
                yield Result("failed", name, output.get(name, "")[-300:])
            elif action == "skip":
                text = re.sub(r"(?m)^(=== |--- ).*$", "", output.get(name, ""))
                yield Result("skipped", name, text)
            elif action == "pass":
                yield Result("passed", name)


WORDS = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}


def of_cargo(path: str) -> Iterator[Result]:
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"test (.+) \.\.\. (ok|FAILED|ignored)(?:, (.*))?", line)
            if match:
                yield Result(WORDS[match.group(2)], match.group(1), match.group(3) or "")


def of_tap(path: str) -> Iterator[Result]:
    """Leaves only: a line that sums up the indented lines before it is not counted again."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    before = 0
    for line in lines:
        match = re.match(r"( *)(not ok|ok)\b *\d*(?: - )? *(.*?)(?: # (\w+) ?(.*))?$", line)
        if not match:
            continue
        indent, word, name, directive, reason = match.groups()
        sums_up, before = before > len(indent), len(indent)
        if sums_up:
            continue
        if directive and directive.upper() in ("SKIP", "TODO"):
            yield Result("skipped", name, reason or "")
        else:
            yield Result("passed" if word == "ok" else "failed", name)


FORMATS = {"meson": of_meson, "junit": of_junit, "go": of_go, "cargo": of_cargo, "tap": of_tap}


def main() -> int:
    if len(sys.argv) < 3 or sys.argv[1] not in FORMATS:
        print(__doc__, file=sys.stderr)
        return 2
    for path in sys.argv[2:]:
        for result in FORMATS[sys.argv[1]](path):
            print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
