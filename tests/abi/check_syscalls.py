#!/usr/bin/env python3
"""libplugind makes no system call but for I/O on its socket, memory and waiting.

usage: check_syscalls.py COMMAND...

Runs the command (see snapshot_test.cc) under strace and looks at what each thread calls between its
marks.  Exits 77, "skipped", where strace is missing or may not trace.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ALLOWED = {
    # the socket
    "socket", "connect", "fcntl", "setsockopt", "getsockopt", "sendto", "sendmsg", "recvfrom",
    "poll", "ppoll", "shutdown", "close", "socketpair",
    # memory
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise",
    # waiting for another thread, the clock, and the look for a fork
    "futex", "clock_gettime", "getpid",
    # a wait that a signal cut short goes on by itself
    "restart_syscall",
}
# What must be there, or the marks or this parser are broken.
EXPECTED = {"socket", "connect", "sendto", "recvfrom", "close"}


def calls_between_marks(trace):
    """Yields (line, name of the system call)."""
    marked = set()
    for line in trace:
        match = re.match(r"(\d+) +(?:<\.\.\. )?(\w+)(\(| resumed)(.*)", line)
        if not match:
            continue
        thread, name, kind, rest = match.groups()
        if name == "access" and "/plugind-abi-begin" in rest:
            marked.add(thread)
        elif name == "access" and "/plugind-abi-end" in rest:
            marked.discard(thread)
        elif thread in marked and kind == "(" and not (name == "access" and not rest):
            yield line.rstrip(), name


def main():
    if shutil.which("strace") is None:
        print("strace is missing")
        return 77
    if subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode != 0:
        print("strace may not trace here")
        return 77
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as trace:
        subprocess.run(["strace", "-f", "-o", trace.name] + sys.argv[1:], check=True)
        calls = list(calls_between_marks(trace))
    problems = [line for line, name in calls if name not in ALLOWED]
    missing = EXPECTED - {name for _, name in calls}
    for problem in problems[:20]:
        print("not allowed:", problem, file=sys.stderr)
    if missing:
        print("expected but not seen:", sorted(missing), file=sys.stderr)
    return 1 if problems or missing else 0


if __name__ == "__main__":
    sys.exit(main())
