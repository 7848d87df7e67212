#!/usr/bin/env python3
"""Measures plugind beside what it replaces; scripts/bench.sh builds everything and calls this.

usage: bench.py --build DIR --plugins DIR --go-worker FILE [--quick] [--csv FILE]
                [--update-docs FILE]

Every contender is a process that lives for the whole run and makes a slice of calls when it is
told to (tests/bench/worker.h says how).  Rounds go through all contenders, each time in another
order, so that what disturbs the machine disturbs all of them alike.  What is printed is the median
over the rounds, and for a comparison the median of each round's ratio.
"""

import argparse
import csv
import io
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time
from datetime import date
from typing import Dict, List, NamedTuple, Optional, Tuple

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

from private_daemon import DaemonError, PrivateDaemon, connects  # noqa: E402

LOADS = (1, 32)  # calls in flight
SLICE_SECONDS = 0.12  # what a slice of calls should take, about


class Contender(NamedTuple):
    key: str
    about: str
    command: List[str]
    daemon: Optional[PrivateDaemon] = None  # that the calls go through


class Slice(NamedTuple):
    p50: float  # microseconds
    p99: float
    rate: float  # calls per second
    daemon_cpu: Optional[float] = None  # microseconds per call
    all_cpu: Optional[float] = None  # the same of host, daemon and plugin together


class Row(NamedTuple):
    contender: str
    load: str
    metric: str
    value: float
    unit: str


class Worker:
    """A contender's process."""

    def __init__(self, contender: Contender, directory: str):
        self.contender = contender
        self._process = subprocess.Popen(contender.command, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, bufsize=1,
                                         cwd=directory)
        greeting = self._read()
        if greeting != "ready":
            raise DaemonError(f"{contender.key} said {greeting!r} instead of \"ready\"")

    def _read(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise DaemonError(f"{self.contender.key} ended with exit code {self._process.wait()}; "
                              f"its command was {' '.join(self.contender.command)}")
        return line.strip()

    def run(self, calls: int, in_flight: int) -> Slice:
        self._process.stdin.write(f"run {calls} {in_flight}\n")
        self._process.stdin.flush()
        p50, p99, rate = map(float, self._read().split())
        return Slice(p50, p99, rate)

    def quit(self) -> None:
        if self._process.poll() is None:
            self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of the process, to the nanosecond where the kernel tells it."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            pass  # the thread ended
    return total / 1e9


def descendants(pid: int) -> List[int]:
    """All processes below this one."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split()]
        except FileNotFoundError:
            pass  # the thread ended
    return found + [one for child in list(found) for one in descendants(child)]


def memory_mib(pid: int) -> Dict[str, float]:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        fields = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", file.read(), re.M))
    return {name: int(value) / 1024 for name, value in fields.items()}


def daemon_pid(daemon: PrivateDaemon) -> int:
    """The daemon is the only child of the process that was started, its guardian."""
    guardian = daemon.guardian_pid
    with open(f"/proc/{guardian}/task/{guardian}/children", encoding="ascii") as file:
        children = file.read().split()
    if len(children) != 1:
        raise DaemonError(f"the guardian {guardian} has the children {children}, not one daemon")
    return int(children[0])


def contenders(options, daemon: PrivateDaemon, sleeper: PrivateDaemon,
               echo_direct: str) -> List[Contender]:
    """`sleeper` is the daemon that never polls."""
    bench = os.path.join(options.build, "tests", "bench")

    def grpcpp(socket: str) -> List[str]:
        return [os.path.join(bench, "bench_grpcpp"), "--address", "unix:" + socket]

    def libplugind(through: PrivateDaemon, plugin: str, calls: str) -> List[str]:
        return [os.path.join(bench, "bench_libplugind"), "--address", through.socket,
                "--plugin", plugin, "--service", plugin, "--calls", calls]

    found = [
        Contender("raw-1-hop", "bytes over a Unix socket",
                  [os.path.join(bench, "bench_raw_socket"), "--hops", "1"]),
        Contender("raw-2-hops", "bytes over two, by a relay",
                  [os.path.join(bench, "bench_raw_socket"), "--hops", "2"]),
        Contender("grpc++-direct", "(d) grpc++ to the C++ plugin", grpcpp(echo_direct)),
        Contender("grpc++-plugind", "(e) grpc++ through plugind to the C++ plugin",
                  grpcpp(daemon.plugin_socket("echo")), daemon),
        Contender("grpc++-sleeping", "  the same with --busy-poll 0us",
                  grpcpp(sleeper.plugin_socket("echo")), sleeper),
        Contender("libplugind-echo", "libplugind through plugind to the C++ plugin",
                  libplugind(daemon, "echo", "pending"), daemon),
    ]
    if options.go_worker:
        kv_plugin = os.path.join(options.plugins, "kv-go-grpc")
        found += [
            Contender("go-plugin-direct", "(a) go-plugin host to the Go plugin",
                      [options.go_worker, "--mode", "go-plugin", "--plugin", kv_plugin]),
            Contender("libplugind-plugind", "(b) libplugind through plugind to the Go plugin",
                      libplugind(daemon, "kv", "pending"), daemon),
            Contender("libplugind-sleeping", "  the same with --busy-poll 0us",
                      libplugind(sleeper, "kv", "pending"), sleeper),
            Contender("libplugind-threads", "  the same with a thread for each call in flight",
                      libplugind(daemon, "kv", "blocking"), daemon),
            Contender("grpc-go-plugind", "(c) grpc-go through plugind to the Go plugin",
                      [options.go_worker, "--mode", "stubs", "--address",
                       "unix:" + daemon.plugin_socket("kv")], daemon),
        ]
    return found


def run_slice(worker: Worker, calls: int, in_flight: int) -> Slice:
    daemon = worker.contender.daemon and daemon_pid(worker.contender.daemon)
    # All that are not part of this contender sleep meanwhile.
    everybody = descendants(os.getpid())
    before = {pid: cpu_seconds(pid) for pid in everybody}
    done = worker.run(calls, in_flight)
    spent = {pid: (cpu_seconds(pid) - before[pid]) * 1e6 / calls for pid in everybody}
    return done._replace(all_cpu=sum(spent.values()), daemon_cpu=spent.get(daemon))


def measure(workers: List[Worker], rounds: int,
            seconds: float) -> Dict[Tuple[str, int], List[Slice]]:
    """Slices by contender and load, one a round."""
    calls = {}
    for worker in workers:
        for load in LOADS:
            worker.run(100 * load, load)  # warms up; what it takes says how long a slice is
            rate = worker.run(100 * load, load).rate
            calls[worker, load] = max(load * 4, int(rate * seconds))
    slices: Dict[Tuple[str, int], List[Slice]] = {}
    order = random.Random(1)  # the same orders in every run
    for done in range(rounds):
        for load in LOADS:
            for worker in order.sample(workers, len(workers)):
                result = run_slice(worker, calls[worker, load], load)
                slices.setdefault((worker.contender.key, load), []).append(result)
        print(f"\r   round {done + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return slices


def measure_start(options, repeats: int) -> float:
    """Median milliseconds from exec to the first connection that plugind accepts."""
    times = []
    plugind = os.path.join(options.build, "daemon", "plugind")
    for _ in range(repeats):
        daemon = PrivateDaemon(plugind, options.plugins, log_level="warning")
        try:
            times.append(daemon.start(poll=0.0002) * 1000)
        finally:
            daemon.__exit__()
    return statistics.median(times)


def measure_idle(options) -> List[Row]:
    """Memory of a daemon that has started and has nothing to do."""
    rows = []
    plugind = os.path.join(options.build, "daemon", "plugind")
    with PrivateDaemon(plugind, options.plugins, log_level="warning") as daemon:
        pid = daemon_pid(daemon)
        before = -1.0
        while cpu_seconds(pid) != before:  # until it has settled
            before = cpu_seconds(pid)
            time.sleep(0.3)
        for name, process in (("plugind", pid), ("plugind-guardian", daemon.guardian_pid)):
            memory = memory_mib(process)
            rows += [Row(name, "idle", "rss", memory["VmRSS"], "MiB"),
                     Row(name, "idle", "rss_anon", memory["RssAnon"], "MiB")]
    return rows


def summary(slices: Dict[Tuple[str, int], List[Slice]]) -> List[Row]:
    rows = []
    for (key, load), found in slices.items():
        for metric, unit in (("p50", "us"), ("p99", "us"), ("rate", "calls/s")):
            rows.append(Row(key, str(load), metric,
                            statistics.median(getattr(one, metric) for one in found), unit))
        for metric in ("daemon_cpu", "all_cpu"):
            times = [getattr(one, metric) for one in found if getattr(one, metric) is not None]
            if times:
                rows.append(Row(key, str(load), metric, statistics.median(times), "us/call"))
    return rows


def ratio(slices, key: str, to: str, load: int, metric: str) -> Optional[float]:
    """The median over the rounds of what `key` took, divided by what `to` took."""
    pairs = zip(slices.get((key, load), []), slices.get((to, load), []))
    ratios = [getattr(own, metric) / getattr(other, metric) for own, other in pairs]
    return statistics.median(ratios) if ratios else None


class Target(NamedTuple):
    text: str
    value: Optional[float]
    limit: float
    unit: str
    at_most: bool = True

    def line(self) -> str:
        sign = "<=" if self.at_most else ">="
        if self.value is None:
            return f"  {self.text:58} not run"
        met = self.value <= self.limit if self.at_most else self.value >= self.limit
        return (f"  {self.text:58} {self.value:8.2f} {sign} {self.limit:<5g} {self.unit:4}"
                f" {'met' if met else 'MISSED'}")


def targets(slices, rows: List[Row]) -> List[Target]:
    single = {(row.contender, row.metric): row.value for row in rows}
    return [
        Target("(b) / (a), p50 with 1 in flight",
               ratio(slices, "libplugind-plugind", "go-plugin-direct", 1, "p50"), 1.0, "x"),
        Target("(b) / (a), calls/s with 32 in flight",
               ratio(slices, "libplugind-plugind", "go-plugin-direct", 32, "rate"), 1.2, "x",
               at_most=False),
        Target("(e) / (d), p50 with 1 in flight",
               ratio(slices, "grpc++-plugind", "grpc++-direct", 1, "p50"), 1.4, "x"),
        Target("plugind accepts after exec",
               single.get(("plugind", "accepts_after")), 30, "ms"),
        Target("plugind idle, RSS", single.get(("plugind", "rss")), 24, "MiB"),
        Target("plugind idle, RssAnon", single.get(("plugind", "rss_anon")), 6, "MiB"),
    ]


def machine() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*:\s*(.+)", file.read())
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1)) / 2**20
    system = "unknown system"
    if os.path.exists("/etc/os-release"):
        with open("/etc/os-release", encoding="utf-8") as file:
            system = re.search(r'PRETTY_NAME="?([^"\n]+)', file.read()).group(1)
    return (f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, "
            f"{memory:.0f} GiB; {system}, Linux {platform.release()}; "
            f"load average {os.getloadavg()[0]:.2f} at the start")


def table(rows: List[Row], about: Dict[str, str]) -> str:
    value = {(row.contender, row.load, row.metric): row.value for row in rows}

    def cell(key: str, load: int, metric: str, form: str) -> str:
        found = value.get((key, str(load), metric))
        return "-" if found is None else format(found, form)

    out = io.StringIO()
    width = max(len(text) for text in about.values())
    for load in LOADS:
        print(f"{f'{load} in flight':{width}} {'p50 us':>9} {'p99 us':>9} {'calls/s':>9} "
              f"{'CPU us/call: daemon':>20} {'all':>7}", file=out)
        for key, text in about.items():
            print(f"{text:{width}} {cell(key, load, 'p50', '.1f'):>9} "
                  f"{cell(key, load, 'p99', '.1f'):>9} {cell(key, load, 'rate', '.0f'):>9} "
                  f"{cell(key, load, 'daemon_cpu', '.1f'):>20} "
                  f"{cell(key, load, 'all_cpu', '.1f'):>7}", file=out)
        print(file=out)
    for row in rows:
        if row.load in ("idle", "start"):
            print(f"{row.contender + ', ' + row.load:{width}} {row.metric} {row.value:.2f} "
                  f"{row.unit}", file=out)
    return out.getvalue()


def update_docs(path: str, text: str) -> None:
    """Puts the text between the two marks of the page."""
    with open(path, encoding="utf-8") as file:
        page = file.read()
    marks = re.compile(r"(<!-- bench:begin -->\n).*?(<!-- bench:end -->)", re.S)
    if not marks.search(page):
        raise SystemExit(f"{path} has no lines <!-- bench:begin --> and <!-- bench:end -->")
    block = f"```\n{text.rstrip()}\n```\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(marks.sub(lambda match: match.group(1) + block + match.group(2), page))


def start_echo(options, daemon: PrivateDaemon) -> Tuple[subprocess.Popen, str]:
    """The C++ plugin started by hand, for the contender that calls it directly."""
    path = os.path.join(daemon.directory, "echo-direct.sock")
    process = subprocess.Popen([os.path.join(options.plugins, "echo-cpp")],
                               env=dict(os.environ, PLUGIND_LISTEN="unix:" + path),
                               stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not connects(path):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise DaemonError("echo-cpp does not listen on " + path)
        time.sleep(0.01)
    return process, path


def run(options) -> Tuple[List[Row], str]:
    rounds, seconds, starts = (5, SLICE_SECONDS / 3, 5) if options.quick else (25, SLICE_SECONDS, 21)
    described = machine()
    started = measure_start(options, starts)
    idle = measure_idle(options)
    plugind = os.path.join(options.build, "daemon", "plugind")
    workers: List[Worker] = []
    with PrivateDaemon(plugind, options.plugins, log_level="warning") as daemon, \
            PrivateDaemon(plugind, options.plugins, log_level="warning",
                          options=("--busy-poll", "0us")) as sleeper:
        echo, echo_path = start_echo(options, daemon)
        try:
            for contender in contenders(options, daemon, sleeper, echo_path):
                workers.append(Worker(contender, daemon.directory))
            slices = measure(workers, rounds, seconds)
        except DaemonError as error:
            raise DaemonError(f"{error}\n{daemon.log_text()}{sleeper.log_text()}") from None
        finally:
            for worker in workers:
                worker.quit()
            echo.kill()
            echo.wait()
    rows = summary(slices) + [Row("plugind", "start", "accepts_after", started, "ms")] + idle
    reach = targets(slices, rows)
    about = {worker.contender.key: worker.contender.about for worker in workers}
    for key, to, metric, load in (("libplugind-plugind", "go-plugin-direct", "p50", 1),
                                  ("libplugind-plugind", "go-plugin-direct", "rate", 32),
                                  ("grpc-go-plugind", "go-plugin-direct", "p50", 1),
                                  ("grpc++-plugind", "grpc++-direct", "p50", 1)):
        found = ratio(slices, key, to, load, metric)
        if found is not None:
            rows.append(Row(f"{key}/{to}", str(load), metric, found, "x"))
    text = (f"{described}\n{date.today()}; 100 B unary calls over Unix sockets; medians of {rounds} "
            f"interleaved rounds\n\n{table(rows, about)}\nreach:\n"
            + "\n".join(target.line() for target in reach) + "\n")
    return rows, text


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--plugins", required=True)
    parser.add_argument("--go-worker")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--csv")
    parser.add_argument("--update-docs")
    options = parser.parse_args()
    options.build, options.plugins = map(os.path.abspath, (options.build, options.plugins))
    options.go_worker = options.go_worker and os.path.abspath(options.go_worker)
    try:
        rows, text = run(options)
    except DaemonError as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    if options.csv:
        with open(options.csv, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Row._fields)
            writer.writerows(row._replace(value=round(row.value, 3)) for row in rows)
    if options.update_docs:
        update_docs(options.update_docs, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
