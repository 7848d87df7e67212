"""The reason, shown.  run.sh builds what this runs and says where it is."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

OUT = os.environ["GO_SIGNAL_OUT"]
GO_FATAL = 2  # the exit code of Go's runtime after a fatal error
COUNT = 1000
TIME_LIMIT = 300
PR_SET_CHILD_SUBREAPER = 36


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
                          text=True, env={**os.environ, "LD_LIBRARY_PATH": OUT, "GOTRACEBACK": "single",
                               **environment})


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


if __name__ == "__main__":
    unittest.main()
