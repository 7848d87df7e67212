"""A daemon with very many plugins: their memory, and how long all of them take to start and to stop."""

import os
import re
import statistics
import tempfile
from contextlib import ExitStack
from typing import List, NamedTuple, Tuple

from lifecycle import check_nothing_left, operator
from measure import Row
from processes import DaemonError, PrivateDaemon, Worker, daemon_pid, memory_kib, settle
from scaling import memory_rows, plugind, write_manifests

# Starts and stops under way at a time.  More of them only wait for a processor.
AT_A_TIME = 8
LISTINGS = 5
PATIENCE = 120.0  # seconds for all starts, or all stops
# What to have for each instance of the C++ plugin.  It has 2 to 3 MiB of its own and shares the rest.
MIB_OF_ONE = 8


class Fleet(NamedTuple):
    registered: int  # manifests
    running: int  # how many of them are started
    rounds: int  # how often all of these are started and stopped


class Anon(NamedTuple):
    """RssAnon of daemons at rest, in KiB."""
    none: float  # no plugin is registered
    registered: float  # all are, and none has been started
    one: float  # one of them runs
    running: float


def available_mib() -> float:
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"MemAvailable:\s+(\d+)", file.read()).group(1)) / 1024


def _anon(pid: int) -> float:
    settle(pid)
    return memory_kib(pid)["RssAnon"]


def memory_of_each(fleet: Fleet, anon: Anon) -> List[Row]:
    """What was there before the first of them is not counted: the first start and the first listing
    make things that all others share."""
    return [Row("plugind", "registered", "anon_of_one",
                (anon.registered - anon.none) / fleet.registered, "KiB"),
            Row("plugind", "running", "anon_of_one",
                (anon.running - anon.one) / (fleet.running - 1), "KiB")]


def spread(names: List[str], count: int) -> List[str]:
    """So many of them, as far from each other as there is room."""
    return [names[number * len(names) // count] for number in range(count)]


def measure_fleet(options, fleet: Fleet) -> Tuple[List[Row], List[str]]:
    """Rows, and what did not run."""
    needed = fleet.running * MIB_OF_ONE
    if available_mib() < needed:
        return [], [f"{fleet.running} running plugins: they need {needed} MiB, and the machine has "
                    f"{available_mib():.0f} MiB available"]
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="plugind-bench-"))
        empty, manifests = (os.path.join(directory, name) for name in ("empty", "plugins.d"))
        os.mkdir(empty)
        os.mkdir(manifests)
        names = write_manifests(options, manifests, fleet.registered)
        with PrivateDaemon(plugind(options), empty, log_level="warning") as bare:
            none = _anon(daemon_pid(bare))
        daemon = stack.enter_context(
            PrivateDaemon(plugind(options), manifests, log_level="warning"))
        try:
            return _measure(options, fleet, daemon, directory, names, none), []
        except DaemonError as error:
            raise DaemonError(f"{error}\n{daemon.log_text()}") from None


def _measure(options, fleet: Fleet, daemon: PrivateDaemon, directory: str, names: List[str],
             none: float) -> List[Row]:
    pid = daemon_pid(daemon)
    rows = [Row("plugind", "registered", "count", fleet.registered, "plugins"),
            Row("plugind", "running", "count", fleet.running, "plugins"),
            Row("plugind", "running", "at_a_time", AT_A_TIME, "plugins")]
    registered = _anon(pid)
    rows += memory_rows("plugind", "registered", pid)
    worker = operator(options, daemon, directory)
    chosen = spread(names, fleet.running)
    try:
        rows.append(_listed(worker, "registered", fleet))
        _told(worker, "start", chosen[:1])
        one = _anon(pid)
        _told(worker, "start", chosen[1:])
        running = _anon(pid)
        rows += memory_rows("plugind", "running", pid)
        rows.append(_listed(worker, "running", fleet))
        rows += memory_of_each(fleet, Anon(none, registered, one, running))
        _told(worker, "stop", chosen)
        check_nothing_left(daemon)
        started, stopped = [], []
        for _ in range(fleet.rounds):
            started.append(_told(worker, "start", chosen))
            stopped.append(_told(worker, "stop", chosen))
            check_nothing_left(daemon)
    finally:
        worker.quit()
    return rows + [Row("plugind", "running", "started_after", statistics.median(started), "ms"),
                   Row("plugind", "running", "stopped_after", statistics.median(stopped), "ms")]


def _told(worker: Worker, command: str, names: List[str]) -> float:
    return float(worker.ask(f"{command} {AT_A_TIME} {' '.join(names)}", PATIENCE))


def _listed(worker: Worker, load: str, fleet: Fleet) -> Row:
    times = [float(worker.ask(f"list {fleet.registered}")) for _ in range(LISTINGS)]
    return Row("plugind", load, "listed_after", statistics.median(times), "ms")
