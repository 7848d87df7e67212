import os
import pathlib
import re
import subprocess
import sys

import pytest

import plugind
from plugind import _library

PACKAGE = pathlib.Path(__file__).parents[1]
HEADER = pathlib.Path(__file__).parents[2] / "include" / "plugind" / "plugind.h"


def declarations(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"^\s*#.*$|extern \"C\" \{|^\}", "", text, flags=re.M)
    return sorted(" ".join(d.replace("PD_API", "").split()) for d in text.split(";") if d.strip())


def test_the_declarations_are_those_of_the_header():
    assert declarations(_library.DECLARATIONS) == declarations(HEADER.read_text())


def test_the_version_is_that_of_the_library():
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", plugind.library_version())


def test_a_missing_library_says_what_to_do():
    result = subprocess.run(
        [sys.executable, "-c", "import plugind; plugind.connect()"],
        env={"PLUGIND_LIBRARY": "/nonexistent/libplugind.so"},
        capture_output=True,
        text=True,
    )
    assert "set PLUGIND_LIBRARY" in result.stderr
    assert "/nonexistent/libplugind.so" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_signal_and_no_thread_is_touched(mortal_server):
    script = pathlib.Path(__file__).with_name("state_of_host.py")
    with subprocess.Popen(
        [sys.executable, str(script), mortal_server.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as host:
        assert host.stdout.readline() == "changed by load and call: set()\n"
        mortal_server.kill()
        rest, _ = host.communicate(timeout=60)
    assert rest == "changed by its death: set()\nchanged by close: set()\n"


def test_the_host_in_the_readme_runs(shared_server):
    source = re.search(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.S)[1]
    result = subprocess.run(
        [sys.executable, "-c", source],
        env={
            **os.environ,
            "PLUGIND_SOCKET": shared_server.address,
            "PYTHONPATH": str(PACKAGE / ".cache" / "stubs"),
        },
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr) == ("hello\n", "")


def run_ctypes(*arguments):
    script = pathlib.Path(__file__).with_name("host_ctypes.py")
    result = subprocess.run(
        [sys.executable, "-S", str(script), *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.stderr == ""
    return result.stdout


def test_ctypes_needs_nothing_but_the_library(shared_server):
    assert run_ctypes(shared_server.address, "/test.Service/Reverse", "abc") == "reply cba\n"
    assert run_ctypes(shared_server.address, "/test.Service/Fail", "") == (
        "error 3 TEST_REASON the tëst failed\n"
    )


def test_ctypes_is_told_that_nobody_listens():
    answer = run_ctypes("unix:/nonexistent/plugind.sock", "/test.Service/Echo", "")
    assert answer.startswith("error 14 ") and "/nonexistent/plugind.sock" in answer
