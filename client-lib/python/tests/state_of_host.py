"""Prints whether libplugind changed its host: `state_of_host.py ADDRESS`, for test_library.py.

A process of its own, so that "before" is before the library is loaded.  The test ends the server
when it has read the first line, then closes standard input.
"""

import pathlib
import signal
import sys

KEPT = ("SigBlk", "SigIgn", "SigCgt", "Threads")


def state():
    """What a library could change of its host's process, as the kernel and Python see it."""
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    kernel = [line for line in status if line.startswith(KEPT)]
    return kernel + [f"{s!r} {signal.getsignal(s)}" for s in sorted(signal.valid_signals())]


before = state()

import plugind  # noqa: E402

client = plugind.connect(sys.argv[1])
client.invoke("text", "/test.Test/Echo", b"x", timeout=30)
print("changed by load and call:", set(state()) ^ set(before), flush=True)
sys.stdin.read()
try:
    client.invoke("text", "/test.Test/Echo", b"x", timeout=30)
    print("the server is still there")
except plugind.Error:
    print("changed by its death:", set(state()) ^ set(before))
client.close()
print("changed by close:", set(state()) ^ set(before))
