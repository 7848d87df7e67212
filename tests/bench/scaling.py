"""One daemon by itself: start, memory, many connections, many plugins, a plugin's sudden death."""

import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from typing import Dict, List, Tuple

from measure import Measurement, Plan, Row, Slices, summary
from processes import (ROOT, Contender, DaemonError, Load, Middle, PrivateDaemon, Worker, daemon_pid,
                       descendants, memory_kib, settle)

CONNECTIONS = (1, 10, 100, 1000)
PLUGINS = (1, 10, 100)
# "unary": one of them is called, the others are idle.  "spread": they are called in turn.
LOADS = tuple(Load(kind, 100, in_flight) for kind in ("unary", "spread") for in_flight in (1, 32))
STREAMS_AT_DEATH = 1000

# The daemon's CPU time is to be its work, not its looking for more.
SLEEPING = ("--busy-poll", "0us")


def plugind(options) -> str:
    return os.path.join(options.build, "daemon", "plugind")


def measure_start(options, repeats: int) -> List[Row]:
    """Median milliseconds from exec to the first connection that plugind accepts."""
    times = []
    for _ in range(repeats):
        daemon = PrivateDaemon(plugind(options), options.plugins, log_level="warning")
        try:
            times.append(daemon.start(poll=0.0002) * 1000)
        finally:
            daemon.__exit__()
    return [Row("plugind", "start", "accepts_after", statistics.median(times), "ms")]


def memory_rows(name: str, load: str, pid: int) -> List[Row]:
    memory = memory_kib(pid)
    return [Row(name, load, "rss", memory["VmRSS"] / 1024, "MiB"),
            Row(name, load, "rss_anon", memory["RssAnon"] / 1024, "MiB")]


def measure_idle(options) -> List[Row]:
    """Memory of a daemon that has started and has nothing to do."""
    with PrivateDaemon(plugind(options), options.plugins, log_level="warning") as daemon:
        pid = daemon_pid(daemon)
        settle(pid)
        return (memory_rows("plugind", "idle", pid)
                + memory_rows("plugind-guardian", "idle", daemon.guardian_pid))


def measure_held(options) -> List[Row]:
    """What forwarding asks the allocator for, for each of what is idle.  By valgrind, which
    tests/instructions/memory.py has the parts of."""
    sys.path.append(os.path.join(ROOT, "tests", "instructions"))
    import memory  # needs a newer Python than all else here

    held = memory.measure(os.path.join(options.build, "tests", "instructions",
                                       "forward_instructions"))
    return [Row("plugind", "forwarding", metric, sum(held[what].values()) / 1024, "KiB")
            for what, metric in (("idle-hosts", "held_for_a_connection"),
                                 ("idle-plugins", "held_for_a_plugin"))]


def _worker(options, daemon: PrivateDaemon, key: str, more: List[str]) -> Contender:
    program = os.path.join(options.build, "tests", "bench", "bench_libplugind")
    return Contender(key, key, [program, "--address", daemon.socket, "--service", "echo", "--calls",
                                "pending", *more], LOADS, Middle("plugind", daemon_pid(daemon)))


def _anon(contenders: Dict[int, Contender]) -> Dict[int, float]:
    found = {}
    for count, contender in contenders.items():
        settle(contender.middle.pid)
        found[count] = memory_kib(contender.middle.pid)["RssAnon"]
    return found


def memory_of_one(prefix: str, load: str, anon: Dict[int, float]) -> List[Row]:
    """KiB that each of them costs, by the difference of the most of them to one of them.  Of few of
    them it is not told: memory comes in pieces that are larger."""
    most = max(anon)
    return [Row(f"{prefix}-{most}", load, "anon_of_one", (anon[most] - anon[1]) / (most - 1),
                "KiB")]


def measure_connections(options, plan: Plan) -> Tuple[Slices, List[Row]]:
    """Daemons with 1 to 1,000 connections of a host."""
    rows: List[Row] = []
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="plugind-bench-"))
        contenders = {}
        for count in CONNECTIONS:
            daemon = stack.enter_context(PrivateDaemon(
                plugind(options), options.plugins, log_level="warning", options=SLEEPING))
            contenders[count] = _worker(options, daemon, f"connections-{count}",
                                        ["--plugins", "echo", "--connections", str(count)])
        measurement = Measurement(list(contenders.values()), directory, plan, everybody=False)
        stack.callback(measurement.quit)
        rows += memory_of_one("connections", "idle", _anon(contenders))
        measurement.run()
        rows += memory_of_one("connections", "after-calls", _anon(contenders))
    return measurement.slices, summary(measurement.slices) + rows


def write_manifests(options, directory: str, count: int) -> List[str]:
    """`count` plugins that are one program.  Returns their names."""
    names = [f"echo-{number:03}" for number in range(count)]
    for name in names:
        with open(os.path.join(directory, name + ".toml"), "w", encoding="utf-8") as file:
            file.write(f'name = "{name}"\nversion = "1.0.0"\ndialect = "native"\n'
                       f'command = ["{os.path.join(options.plugins, "echo-cpp")}"]\n')
    return names


def measure_plugins(options, plan: Plan) -> Tuple[Slices, List[Row]]:
    """Daemons with 1 to 100 plugins, all of which run."""
    rows: List[Row] = []
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="plugind-bench-"))
        contenders, names = {}, {}
        for count in PLUGINS:
            manifests = os.path.join(directory, str(count))
            os.mkdir(manifests)
            names[count] = write_manifests(options, manifests, count)
            daemon = stack.enter_context(PrivateDaemon(
                plugind(options), manifests, log_level="warning", options=SLEEPING))
            contenders[count] = _worker(options, daemon, f"plugins-{count}",
                                        ["--plugins", ",".join(names[count])])
        rows += memory_of_one("plugins", "not-started", _anon(contenders))
        for count, contender in contenders.items():
            starter = Worker(contender, directory)
            try:  # one after the other, so that a start does not wait for a hundred others
                starter.run(Load("spread", 100, 1), count, timeout=120)
            finally:
                starter.quit()
        rows += memory_of_one("plugins", "idle", _anon(contenders))
        measurement = Measurement(list(contenders.values()), directory, plan, everybody=False)
        stack.callback(measurement.quit)
        measurement.run()
        rows += memory_of_one("plugins", "after-calls", _anon(contenders))
    return measurement.slices, summary(measurement.slices) + rows


def _plugin_pid(daemon: PrivateDaemon) -> int:
    found = []
    for pid in descendants(daemon_pid(daemon)):
        try:
            if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "echo-cpp":
                found.append(pid)
        except OSError:
            pass  # it ended
    if len(found) != 1:
        raise DaemonError(f"the daemon has the plugin processes {found}, not one")
    return found[0]


def measure_death(options, repeats: int) -> List[Row]:
    """Milliseconds from a plugin's SIGKILL until all of many streams have ended with
    PLUGIN_CRASHED; bench_crash checks that."""
    times = []
    program = os.path.join(options.build, "tests", "bench", "bench_crash")
    for _ in range(repeats):
        with PrivateDaemon(plugind(options), options.plugins, log_level="warning") as daemon:
            worker = Worker(Contender("crash", "crash", [
                program, "--address", "unix:" + daemon.plugin_socket("echo"), "--streams",
                str(STREAMS_AT_DEATH)], ()), daemon.directory)
            try:
                times.append(float(worker.ask(f"kill {_plugin_pid(daemon)}")))
            finally:
                worker.quit()
    return [Row("plugind", "plugin-killed", "calls_ended_after", statistics.median(times), "ms"),
            Row("plugind", "plugin-killed", "calls_ended_after_worst", max(times), "ms")]
