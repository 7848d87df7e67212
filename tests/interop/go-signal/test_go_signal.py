"""The reason, shown.  run.sh builds what this runs and says where it is."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..",
                                "scripts", "lib"))

from private_daemon import PrivateDaemon, processes_of  # noqa: E402

OUT = os.environ["GO_SIGNAL_OUT"]
BUILD = os.environ["GO_SIGNAL_BUILD"]
GO_FATAL = 2  # the exit code of Go's runtime after a fatal error
COUNT = 1000
TIME_LIMIT = 300
PR_SET_CHILD_SUBREAPER = 36

# Without limits, because every single end of the plugin is a crash here.
MANIFEST = """
name = "text"
dialect = "native"
command = ["{executable}"]
services = ["text.v1.Text"]
restart.limit = 0
restart.backoff = "1ms"
restart.backoff_max = "1ms"
"""


def setUpModule():
    # The plugins that a host leaves behind when it dies become ours, and are reaped by us.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    # The crashes are asked for: no core files.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def end_orphans():
    """Ends and reaps every child of this process."""
    me = os.getpid()
    with open(f"/proc/{me}/task/{me}/children", encoding="ascii") as file:
        for pid in file.read().split():
            os.kill(int(pid), 9)
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def run(program, arguments, **environment):
    return subprocess.run([os.path.join(OUT, program), *arguments], timeout=TIME_LIMIT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "GOTRACEBACK": "single", **environment})


class InProcess(unittest.TestCase):
    """Rust in the process of a Go program, starting plugins: the program dies."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="go-signal-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.addCleanup(end_orphans)

    def dies(self, program):
        arguments = [os.path.join(OUT, "text-rust"), os.path.join(self.directory, "s"), str(COUNT)]
        result = run(program, arguments,
                     CORE_LIBRARY=os.path.join(OUT, "libcore_in_process.so"))
        started = result.stdout.count("has started")
        self.assertEqual(result.returncode, GO_FATAL, result.stdout[-300:] + result.stderr[-2000:])
        self.assertIn("signal 17 received but handler not on signal stack", result.stderr)
        self.assertIn("fatal error: non-Go code set up signal handler without SA_ONSTACK flag",
                      result.stderr)
        self.assertGreaterEqual(started, 1, "it died before it used a plugin")
        print(f"{program} died with plugin {started} of {COUNT}", file=sys.stderr)

    def test_cgo(self):
        self.dies("in-process-cgo")

    def test_purego(self):
        self.dies("in-process-purego")


class ThroughPlugind(unittest.TestCase):
    """The same through plugind: the program lives, and its signals and children are its own."""

    @classmethod
    def setUpClass(cls):
        cls.manifests = tempfile.mkdtemp(prefix="go-signal-")
        cls.addClassCleanup(shutil.rmtree, cls.manifests)
        with open(os.path.join(cls.manifests, "text.toml"), "w", encoding="utf-8") as file:
            file.write(MANIFEST.format(executable=os.path.join(OUT, "text-rust")))

    def lives(self, program):
        with PrivateDaemon(os.path.join(BUILD, "daemon", "plugind"), self.manifests) as daemon:
            result = run(program, [str(COUNT)], PLUGIND_SOCKET=daemon.socket,
                         PLUGIND_LIBRARY=os.path.join(BUILD, "client-lib", "libplugind.so"))
            log = daemon.log_text()
        self.assertEqual(result.returncode, 0, result.stderr[-2000:] + log[-2000:])
        self.assertEqual(result.stdout, f"{COUNT} plugin starts and exits survived, signal table "
                                        "unchanged, no children\n")
        self.assertEqual(processes_of(OUT), [], "left when the daemon has ended")

    def test_cgo(self):
        self.lives("through-plugind-cgo")

    def test_purego(self):
        self.lives("through-plugind-purego")


if __name__ == "__main__":
    unittest.main()
