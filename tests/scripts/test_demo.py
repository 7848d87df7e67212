#!/usr/bin/env python3
"""scripts/lib/demo.py tells a right row from a wrong one and from one that could not be run.

The hosts and the daemon are scripts that each test writes; the table is the program's own.
"""

import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
import unittest
import unittest.mock

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

import demo  # noqa: E402
from incidents import Incident  # noqa: E402

# Listens until its lifeline is closed.
PLUGIND = """import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[sys.argv.index("--socket") + 1])
listener.listen()
sys.stdin.read()
"""


class Demo(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="demo-test-")
        self.addCleanup(directory.cleanup)
        self.root = directory.name
        for folder in ("build/daemon", "plugins", "go-hosts", "client-lib/go", "client-lib/python"):
            os.makedirs(os.path.join(self.root, folder))
        self.plugind(PLUGIND)
        self.script("client-lib/python/hosts", "[ $1 = run ] || exit 0")
        self.incidents = [Incident("crash", True, "as it should be", 1.0)]
        show = unittest.mock.patch.object(demo.incidents, "show", lambda *_: self.incidents)
        root = unittest.mock.patch.object(demo, "ROOT", self.root)
        for patch in (show, root):
            patch.start()
            self.addCleanup(patch.stop)

    def path(self, name):
        return os.path.join(self.root, name)

    def script(self, name, text, interpreter="/bin/sh"):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(f"#!{interpreter}\n{text}\n")
        os.chmod(self.path(name), 0o700)

    def plugind(self, text):
        self.script("build/daemon/plugind", text, sys.executable)

    def host(self, name, *rows, then=""):
        """A host that prints rows "PLUGIN CALL VERDICT", notes its socket, and goes on with `then`."""
        lines = ["\t".join((name, "a-route", *row.split(), "what came", "1.0")) for row in rows]
        self.script(f"go-hosts/host-{name}",
                    "\n".join([f'echo "$PLUGIND_SOCKET" >>{self.path("sockets")}',
                               *(f"echo '{line}'" for line in lines), then]))

    def run_demo(self, *arguments):
        """The exit code, the rows and the last line."""
        table, tsv = io.StringIO(), self.path("rows.tsv")
        command = ["demo.py", "--build", self.path("build"), "--plugins", self.path("plugins"),
                   "--go-hosts", self.path("go-hosts"), "--tsv", tsv, *arguments]
        self.errors = io.StringIO()
        with unittest.mock.patch.object(sys, "argv", command), \
                contextlib.redirect_stdout(table), contextlib.redirect_stderr(self.errors):
            code = demo.main()
        rows = []
        if os.path.exists(tsv):
            with open(tsv, encoding="utf-8") as file:
                rows = [demo.Row(*line.rstrip("\n").split("\t")) for line in file]
            for row in rows:
                self.assertIn(row.call, table.getvalue())
        return code, rows, table.getvalue().rstrip().split("\n")[-1]

    def only(self, rows, outcome):
        """The one row of that outcome."""
        found = [row for row in rows if row.outcome == outcome]
        self.assertEqual(len(found), 1, rows)
        return found[0]

    def test_all_is_right(self):
        self.host("go-a", "kv Put ok", "text Echo ok")
        code, rows, last = self.run_demo("--strict")
        self.assertEqual(code, 0, self.errors.getvalue())
        self.assertEqual(last, "4 ok, 0 failed, 0 not run")
        self.assertEqual([(row.host, row.call) for row in rows],
                         [("go-a", "Put"), ("go-a", "Echo"), ("plugind", "stop"),
                          ("pluginctl", "crash")])

    def test_nothing_is_left_and_it_runs_again(self):
        self.host("go-a", "kv Put ok")
        for _ in range(2):
            self.assertEqual(self.run_demo()[0], 0)
        with open(self.path("sockets"), encoding="utf-8") as file:
            sockets = file.read().split()
        self.assertEqual(len(set(sockets)), 2)
        for socket in sockets:
            self.assertFalse(os.path.exists(os.path.dirname(socket)), socket)

    def test_a_language_that_is_missing(self):
        self.host("go-a", "kv Put ok")
        missing = ("--missing", "python=install Python 3.9")
        code, rows, last = self.run_demo(*missing)
        self.assertEqual((code, last), (0, "3 ok, 0 failed, 1 not run"))
        row = self.only(rows, "not run")
        self.assertEqual((row.host, row.result), ("python", "install Python 3.9"))
        self.assertEqual(self.run_demo(*missing, "--strict")[0], 1)

    def test_a_plugin_whose_language_is_missing(self):
        self.host("go-a", "kv Put ok", "text Echo FAIL", then="exit 1")
        missing = ("--missing", "rust=install Rust 1.80")
        code, rows, last = self.run_demo(*missing)
        self.assertEqual((code, last), (0, "3 ok, 0 failed, 1 not run"))
        row = self.only(rows, "not run")
        self.assertEqual((row.plugin, row.result), ("text", "install Rust 1.80"))
        self.assertEqual(self.run_demo(*missing, "--strict")[0], 1)
        # Another plugin's failure is one all the same.
        self.host("go-a", "kv Put FAIL", "text Echo FAIL", then="exit 1")
        self.assertEqual(self.run_demo(*missing)[0], 1)

    def failure(self):
        code, rows, last = self.run_demo()
        self.assertEqual(code, 1)
        self.assertIn(", 1 failed, ", last)
        return self.only(rows, "FAIL")

    def test_a_wrong_row(self):
        self.host("go-a", "kv Put ok", "kv Get FAIL", then="echo why >&2; exit 1")
        self.assertEqual(self.failure().call, "Get")
        self.assertIn("what go-a wrote to stderr:\nwhy", self.errors.getvalue())

    def test_a_host_that_dies_after_right_rows(self):
        self.host("go-a", "kv Put ok", then="exit 3")
        self.assertEqual(self.failure().result, "exit code 3")
        self.host("go-a", "kv Put ok", then="kill -SEGV $$")
        self.assertEqual(self.failure().result, f"exit code -{int(signal.SIGSEGV)}")

    def test_a_host_that_says_nothing(self):
        self.host("go-a")
        self.assertEqual(self.failure().result, "no rows, exit code 0")

    def test_a_host_that_prints_something_else(self):
        self.host("go-a", "kv Put ok", then="echo hello")
        self.assertEqual(self.failure().result, "not a row: 'hello'")

    def test_a_verdict_that_is_none(self):
        self.host("go-a", "kv Put OK")
        self.assertEqual(self.failure().call, "Put")

    def test_a_host_that_does_not_end(self):
        self.host("go-a", then="exec tail -f /dev/null")
        with unittest.mock.patch.object(demo, "HOST_TIMEOUT", 0.2):
            self.assertEqual(self.failure().result, "no end within 0.2 s")

    def test_a_host_that_cannot_be_run(self):
        self.script("go-hosts/host-go-a", "", "/nonexistent")
        self.assertIn("No such file", self.failure().result)

    def test_an_incident_that_went_wrong(self):
        self.host("go-a", "kv Put ok")
        self.incidents = [Incident("upgrade", False, "2 calls failed", 0)]
        self.assertEqual(self.failure().result, "2 calls failed")

    def test_a_daemon_that_does_not_end_well(self):
        self.host("go-a", "kv Put ok")
        self.plugind(PLUGIND + "sys.exit(4)")
        self.assertEqual(self.failure().result, "exit code 4, left: nothing")

    def test_a_process_that_is_left(self):
        shutil.copy(shutil.which("tail"), self.path("plugins/kv"))
        self.host("go-a", "kv Put ok",
                  then=f"{self.path('plugins/kv')} -f /dev/null >/dev/null 2>&1 & "
                       f"echo $! >{self.path('pid')}")
        try:
            row = self.failure()
        finally:
            with open(self.path("pid"), encoding="utf-8") as file:
                pid = int(file.read())
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(row.result, f"exit code 0, left: kv ({pid})")

    def test_a_daemon_that_does_not_start(self):
        self.host("go-a", "kv Put ok")
        self.plugind("import sys; sys.exit('no manifests there')")
        code, rows, _ = self.run_demo()
        self.assertEqual((code, rows), (1, []))
        self.assertIn("plugind ended with exit code 1:\nno manifests there", self.errors.getvalue())


if __name__ == "__main__":
    unittest.main()
