"""Processes: their CPU time and memory, and ones of our own that cannot be left behind."""

import os
import re
import select
import shutil
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

from private_daemon import DaemonError, PrivateDaemon, connects  # noqa: E402

START_TIMEOUT = 15.0  # seconds until a process must answer
ANSWER_TIMEOUT = 45.0  # seconds until a worker must have made a slice of calls
STOP_TIMEOUT = 5.0  # seconds that a process has to end when it is asked to


class CpuUse(NamedTuple):
    """What all threads of a process have had of the processors."""
    seconds: float  # to the nanosecond
    turns: int  # how often one of them was given a processor: woken, or going on after another


def cpu_use(pid: int) -> CpuUse:
    nanoseconds = turns = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                # Time on a processor, time waiting for one, turns: sched-stats.rst of the kernel.
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    ran, _, times = map(int, file.read().split())
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread ended
            nanoseconds += ran
            turns += times
    except (FileNotFoundError, ProcessLookupError):
        raise DaemonError(f"the process {pid} ended while it was measured") from None
    return CpuUse(nanoseconds / 1e9, turns)


def cpu_seconds(pid: int) -> float:
    return cpu_use(pid).seconds


def descendants(pid: int) -> List[int]:
    """All processes below this one."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                    found += [int(child) for child in file.read().split()]
            except (FileNotFoundError, ProcessLookupError):
                pass  # the thread ended
    except (FileNotFoundError, ProcessLookupError):
        pass  # the process ended
    return found + [one for child in list(found) for one in descendants(child)]


def memory_kib(pid: int) -> Dict[str, float]:
    """VmRSS and RssAnon."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return {name: float(value) for name, value in
                re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", file.read(), re.M)}


def settle(pid: int, quiet: float = 0.3, timeout: float = 5.0) -> None:
    """Waits until the process uses no CPU time, or `timeout` seconds."""
    deadline = time.monotonic() + timeout
    before = -1.0
    while cpu_seconds(pid) != before and time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(quiet)


def daemon_pid(daemon: PrivateDaemon) -> int:
    """The daemon is the only child of the process that was started, its guardian."""
    guardian = daemon.guardian_pid
    with open(f"/proc/{guardian}/task/{guardian}/children", encoding="ascii") as file:
        children = file.read().split()
    if len(children) != 1:
        raise DaemonError(f"the guardian {guardian} has the children {children}, not one daemon")
    return int(children[0])


def tied(command: List[str]) -> List[str]:
    """The command, as a process that is killed when this one ends, however it ends."""
    setpriv = shutil.which("setpriv")
    return ([setpriv, "--pdeathsig", "KILL"] if setpriv else []) + command


class Child:
    """A server that runs until stop()."""

    def __init__(self, name: str, command: List[str], directory: str,
                 environment: Optional[Dict[str, str]] = None, keep_output: bool = False):
        self.name = name
        self._log = os.path.join(directory, name + ".log")
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                tied(command), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if keep_output else log, stderr=log, cwd=directory,
                env=dict(os.environ, **(environment or {})))
        self.pid = self._process.pid

    def failure(self, what: str) -> DaemonError:
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return DaemonError(f"{self.name} {what}; it wrote:\n{file.read()[-2000:]}")

    def wait_for(self, path: str) -> None:
        """Waits until it accepts connections."""
        deadline = time.monotonic() + START_TIMEOUT
        while not connects(path):
            if self._process.poll() is not None:
                raise self.failure(f"ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self.failure(f"does not listen on {path} after {START_TIMEOUT:g} s")
            time.sleep(0.01)

    def first_line(self) -> str:
        """The first line of its output, which is kept for that."""
        line = read_line(self._process.stdout, START_TIMEOUT)
        if not line:
            raise self.failure(f"printed no line within {START_TIMEOUT:g} s")
        return line

    def stop(self) -> None:
        stop(self._process)


def read_line(stream, timeout: float) -> Optional[str]:
    """A line of a stream that nothing else reads; None when time is up, "" at its end."""
    deadline = time.monotonic() + timeout
    line = bytearray()
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            return None
        piece = os.read(stream.fileno(), 1 << 16)
        if not piece:
            return ""
        line += piece
    return line.decode(errors="replace").strip()


def stop(process: subprocess.Popen) -> None:
    """Ends the process and waits for it: stdin's end, SIGTERM, SIGKILL."""
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Middle(NamedTuple):
    """What stands between host and plugin."""
    name: str
    pid: int


class Load(NamedTuple):
    kind: str
    size: int  # bytes
    in_flight: int

    @property
    def name(self) -> str:
        return f"{self.kind}/{size_name(self.size)}/{self.in_flight}"


def size_name(size: int) -> str:
    if size >= 1 << 20:
        return f"{size >> 20}MiB"
    return f"{size >> 10}KiB" if size >= 1 << 10 else f"{size}B"


class Contender(NamedTuple):
    key: str
    about: str
    command: List[str]
    loads: Tuple[Load, ...]
    middle: Optional[Middle] = None  # that the calls go through


class Slice(NamedTuple):
    rate: float  # calls or messages per second
    p50: Optional[float]  # microseconds
    p99: Optional[float]
    buckets: Dict[int, int]  # calls by the logarithm of nanoseconds to the base 1.01
    middle_cpu: Optional[float] = None  # microseconds per call
    all_cpu: Optional[float] = None  # the same of host, middle and plugin together
    middle_turns: Optional[float] = None  # on a processor, per call
    all_turns: Optional[float] = None


def parse_slice(line: str) -> Slice:
    """What a worker answers; worker.h has the form."""
    rate, p50, p99, *buckets = line.split()
    pairs = (bucket.split(":") for bucket in buckets)
    return Slice(float(rate), *(None if one == "-" else float(one) for one in (p50, p99)),
                 {int(bucket): int(count) for bucket, count in pairs})


class Worker:
    """A contender's process.  It ends with its stdin, so also when this process is killed; a host
    that is itself killed would leave its plugin behind."""

    def __init__(self, contender: Contender, directory: str):
        self.contender = contender
        self._process = subprocess.Popen(contender.command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, cwd=directory)
        try:
            greeting = self._read(START_TIMEOUT)
            if greeting != "ready":
                raise DaemonError(f"{contender.key} said {greeting!r} instead of \"ready\"")
        except BaseException:
            self.quit()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self, timeout: float) -> str:
        line = read_line(self._process.stdout, timeout)
        if line:
            return line
        what = f"does not answer within {timeout:g} s"
        if line is not None:
            try:
                what = f"ended with exit code {self._process.wait(STOP_TIMEOUT)}"
            except subprocess.TimeoutExpired:
                what = "closed its output"
        raise DaemonError(f"{self.contender.key} {what}; its command was "
                          + " ".join(self.contender.command))

    def ask(self, command: str, timeout: float = ANSWER_TIMEOUT) -> str:
        try:
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which the read tells with its exit code
        return self._read(timeout)

    def run(self, load: Load, count: int, timeout: float = ANSWER_TIMEOUT) -> Slice:
        command = f"run {load.kind} {load.size} {count} {load.in_flight}"
        return parse_slice(self.ask(command, timeout))

    def quit(self) -> None:
        if self._process.poll() is None:
            self._process.stdin.close()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                pass
        stop(self._process)
