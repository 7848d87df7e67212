import pathlib
import subprocess
import sys
import tempfile

import pytest

import plugind

SERVER = pathlib.Path(__file__).with_name("server.py")


class Server:
    """A gRPC server process on a Unix socket, which can be ended and started again."""

    def __init__(self, directory):
        self.address = f"unix:{directory}/server.sock"
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), self.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def wait_for_end(self):
        self._process.wait(30)
        self._process.stdin.close()
        self._process.stdout.close()
        self._process = None

    def kill(self):
        self._process.kill()
        self.wait_for_end()

    def stop(self):
        if self._process:
            self._process.stdin.close()
            self._process.wait(30)
            self._process.stdout.close()


@pytest.fixture(scope="session")
def shared_server():
    with tempfile.TemporaryDirectory(prefix="plugind-py-") as directory:
        server = Server(directory)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def mortal_server():
    """A server of the test's own, which the test may end."""
    with tempfile.TemporaryDirectory(prefix="plugind-py-") as directory:
        server = Server(directory)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def client(shared_server):
    with plugind.connect(shared_server.address) as client:
        yield client
