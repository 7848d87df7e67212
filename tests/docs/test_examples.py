#!/usr/bin/env python3
"""Runs every program that the bindings' pages show, against a private daemon with the real plugins.

A block of Go with "package main", and every block of Python, JavaScript and PHP, is a program.  It
runs as it stands in the page, must exit with 0 and print what a plugin answered.  (README.md and
docs/ are run by run_examples.py.)

$PLUGIND_BUILD is the build directory; $PLUGIND_LIBRARY and the like are as scripts/test.sh sets them.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from typing import List, NamedTuple

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.abspath(os.environ.get("PLUGIND_BUILD", os.path.join(ROOT, "build")))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

from private_daemon import PrivateDaemon  # noqa: E402

# What the text plugin and the kv plugin answer.
ANSWER = re.compile(r"beep boop I got your string|Written from plugin-go-grpc")


class Example(NamedTuple):
    page: str
    line: int
    language: str
    text: str


def pages() -> List[str]:
    return sorted(glob.glob(os.path.join(ROOT, "client-lib", "*", "README.md")))


def examples(page: str) -> List[Example]:
    with open(page, encoding="utf-8") as file:
        text = file.read()
    return [Example(os.path.relpath(page, ROOT), text.count("\n", 0, match.start()) + 1,
                    match.group(1), match.group(2))
            for match in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.M | re.S)]


def client_lib(*path: str) -> str:
    return os.path.join(ROOT, "client-lib", *path)


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon(os.path.join(BUILD, "daemon", "plugind"),
                                   os.path.join(BUILD, "plugins-staged"))
        cls.enterClassContext(cls.daemon)

    def run_all(self, language, run):
        """Runs the programs in one language that all pages show."""
        programs = [example for page in pages() for example in examples(page)
                    if example.language == language]
        if language == "go":
            programs = [example for example in programs if "package main" in example.text]
        self.assertTrue(programs, f"no page shows a program in {language}")
        for example in programs:
            with self.subTest(page=example.page, line=example.line):
                done = run(example.text)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, ANSWER, done.stderr)

    def execute(self, command, text, folder, **environment):
        return subprocess.run(command, input=text, cwd=folder, capture_output=True, text=True,
                              timeout=300, check=False,
                              env=dict(os.environ, PLUGIND_SOCKET=self.daemon.socket, **environment))

    def test_python(self):
        self.run_all("python", lambda text: self.execute(
            [client_lib("python", ".venv", "bin", "python"), "-"], text, client_lib("python"),
            PYTHONPATH=client_lib("python", ".cache", "stubs")))

    def test_node(self):
        # From stdin, a module resolves names as one in the working directory does.
        self.run_all("js", lambda text: self.execute(
            ["node", "--input-type=module", "-"], text, client_lib("node")))

    def test_php(self):
        self.run_all("php", lambda text: self.execute(
            ["php"], text if text.startswith("<?php") else "<?php\n" + text, client_lib("php"),
            PHP_INI_SCAN_DIR=":" + client_lib("php", ".cache", "conf.d")))

    def run_go(self, text):
        with tempfile.TemporaryDirectory(prefix="plugind-docs-") as directory:
            program = os.path.join(directory, "main.go")
            overlay = os.path.join(directory, "overlay.json")
            with open(program, "w", encoding="utf-8") as file:
                file.write(text)
            # A package of the sample hosts' module that exists in the overlay only.
            place = client_lib("go", "examples", "from-documentation", "main.go")
            with open(overlay, "w", encoding="utf-8") as file:
                json.dump({"Replace": {place: program}}, file)
            return self.execute(["go", "run", "-overlay", overlay, "./from-documentation"], None,
                                client_lib("go", "examples"))

    def test_go(self):
        self.run_all("go", self.run_go)


if __name__ == "__main__":
    unittest.main()
