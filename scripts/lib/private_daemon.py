"""A daemon of one's own, that cannot be left behind: for the demonstration and the benchmark."""

import os
import shutil
import socket
import subprocess
import tempfile
import time


class DaemonError(Exception):
    """The daemon did not do what it was asked; the message says what it wrote."""


def connects(path):
    """Whether somebody accepts on the Unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
        except OSError:
            return False
        return True


class PrivateDaemon:
    """plugind on a socket in a directory of its own, which goes with it.

    The daemon holds a pipe from this process as its lifeline: when this process ends, however it
    ends, the daemon and every plugin end too.
    """

    def __init__(self, plugind, manifests, log_level="info", options=()):
        # Short, because a socket's path may have about 100 characters.
        base = tempfile.gettempdir()
        self.directory = tempfile.mkdtemp(prefix="plugind-", dir=base if len(base) < 40 else "/tmp")
        self.socket = os.path.join(self.directory, "plugind.sock")
        self.log = os.path.join(self.directory, "plugind.log")
        self._command = [plugind, "--manifests", manifests, "--socket", self.socket,
                         "--lifeline", "--log-level", log_level, *options]
        self._process = None

    def plugin_socket(self, name):
        return os.path.join(self.directory, "plugins", name + ".sock")

    def log_text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def start(self, timeout=10.0, poll=0.01):
        """Starts it and returns the seconds from exec to the first accepted connection."""
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("PLUGIND_SOCKET", "NOTIFY_SOCKET", "LISTEN_FDS")}
        with open(self.log, "ab") as log:
            started = time.monotonic()
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=log,
                                             stderr=log, env=environment)
        while not connects(self.socket):
            if self._process.poll() is not None:
                raise DaemonError(f"plugind ended with exit code {self._process.returncode}:\n"
                                  + self.log_text())
            if time.monotonic() - started > timeout:
                raise DaemonError(f"plugind does not accept on {self.socket} after {timeout} s:\n"
                                  + self.log_text())
            time.sleep(poll)
        return time.monotonic() - started

    @property
    def guardian_pid(self):
        return self._process.pid

    def stop(self, timeout=20.0):
        """Lets go of the lifeline and waits for the end.  Returns the exit code."""
        self._process.stdin.close()
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise DaemonError(f"plugind did not end within {timeout} s of its lifeline:\n"
                              + self.log_text()) from None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            if self._process is not None and self._process.poll() is None:
                self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)


def processes_of(directory):
    """(pid, executable) of every process that runs a program from `directory`."""
    prefix = os.path.realpath(directory) + os.sep
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            executable = os.readlink(f"/proc/{name}/exe")
        except OSError:
            continue  # it ended, or is somebody else's
        if executable.startswith(prefix):
            found.append((int(name), executable))
    return found
