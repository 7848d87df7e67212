"""Rounds through all contenders, and what is made of their slices."""

import os
import random
import statistics
import sys
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from processes import (Contender, DaemonError, Load, Slice, Worker, cpu_use, descendants)

# By contender and load, one slice a round.
Slices = Dict[Tuple[str, Load], List[Slice]]

# Of fewer calls the slowest thousandth says nothing.
CALLS_FOR_P999 = 1000


class Row(NamedTuple):
    contender: str
    load: str
    metric: str
    value: float
    unit: str


class Plan(NamedTuple):
    rounds: Callable[[Load], int]  # how many rounds a load has
    seconds: Callable[[Load], float]  # what a slice of it should take, about
    limit: float  # seconds after which no round begins any more


def run_slice(worker: Worker, load: Load, count: int, everybody: bool) -> Slice:
    """`everybody`: count the CPU time of all processes; those that are not part of this contender
    sleep meanwhile.  Otherwise only that of the middle."""
    middle = worker.contender.middle
    pids = descendants(os.getpid()) if everybody else [middle.pid] if middle else []
    before = {pid: cpu_use(pid) for pid in pids}
    done = worker.run(load, count)
    after = {pid: cpu_use(pid) for pid in pids}
    spent = {pid: (after[pid].seconds - before[pid].seconds) * 1e6 / count for pid in pids}
    turns = {pid: (after[pid].turns - before[pid].turns) / count for pid in pids}
    return done._replace(all_cpu=sum(spent.values()) if everybody else None,
                         middle_cpu=spent.get(middle.pid) if middle else None,
                         all_turns=sum(turns.values()) if everybody else None,
                         middle_turns=turns.get(middle.pid) if middle else None)


def calibrate(worker: Worker, load: Load, seconds: float) -> int:
    """Warms up, and says how many calls or messages take about so long."""
    # 256 MiB take long enough.
    least = max(8, load.in_flight) if load.size >= 1 << 20 else 8 * load.in_flight
    worker.run(load, 8)  # The first of all calls may start the plugin, which says nothing of calls.
    count = least
    while True:
        rate = worker.run(load, count).rate
        if count / rate >= seconds / 4 or count >= 1 << 20:
            return max(least, int(rate * seconds))
        count *= 4


class Measurement:
    """Runs contenders.  One that fails loses that load and goes on as what `recover` makes of it; None
    ends the run."""

    def __init__(self, contenders: List[Contender], directory: str, plan: Plan,
                 everybody: bool = True,
                 recover: Callable[[Contender], Optional[Contender]] = lambda _: None):
        self.slices: Slices = {}
        self.failures: List[str] = []
        self._directory = directory
        self._plan = plan
        self._everybody = everybody
        self._recover = recover
        self._workers: Dict[str, Worker] = {}
        self._counts: Dict[Tuple[str, Load], int] = {}
        try:
            for contender in contenders:
                self._workers[contender.key] = Worker(contender, directory)
        except BaseException:
            self.quit()
            raise

    def run(self) -> None:
        began = time.monotonic()
        for key, worker in list(self._workers.items()):
            for load in worker.contender.loads:
                self._attempt(key, load, lambda key=key, load=load: self._calibrate(key, load))
        loads = list(dict.fromkeys(load for _, load in self._counts))
        order = random.Random(1)  # the same orders in every run
        most = max(self._plan.rounds(load) for load in loads)
        for done in range(most):
            for load in loads:
                if not is_due(done, self._plan.rounds(load), most):
                    continue
                keys = [key for key, other in self._counts if other == load]
                for key in order.sample(keys, len(keys)):
                    self._attempt(key, load, lambda key=key, load=load: self._slice(key, load))
            print(f"\r   round {done + 1} of {most}", end="", file=sys.stderr, flush=True)
            # Fewer rounds are better than none, on a machine that is busy with something else.
            if time.monotonic() - began > self._plan.limit:
                break
        print(file=sys.stderr)

    def _calibrate(self, key: str, load: Load) -> None:
        self._counts[key, load] = calibrate(self._workers[key], load, self._plan.seconds(load))

    def _slice(self, key: str, load: Load) -> None:
        result = run_slice(self._workers[key], load, self._counts[key, load], self._everybody)
        self.slices.setdefault((key, load), []).append(result)

    def _attempt(self, key: str, load: Load, action: Callable[[], None]) -> None:
        try:
            action()
        except DaemonError as error:
            worker = self._workers[key]
            contender = self._recover(worker.contender)
            if contender is None:
                raise
            # Without the command, which names files of this run.
            why = str(error).split("; its command")[0]
            self.failures.append(f"{contender.about.strip()}, {load.name}: {why}")
            self._counts.pop((key, load), None)
            self.slices.pop((key, load), None)
            worker.quit()
            self._workers[key] = Worker(contender, self._directory)

    def quit(self) -> None:
        for worker in self._workers.values():
            worker.quit()


def is_due(done: int, rounds: int, most: int) -> bool:
    """Spreads the rounds of a load evenly over those of the load that has the most, from the first
    one on."""
    return -(-(done + 1) * rounds // most) > -(-done * rounds // most)


def rounds_done(slices: Slices, loads: Sequence[Load]) -> int:
    """The most that any contender had of these loads."""
    return max((len(found) for (_, load), found in slices.items() if load in loads), default=0)


def percentile_of_all(found: List[Slice], share: float) -> Optional[float]:
    """Microseconds that this share of the calls of all slices did not exceed, to 1 %."""
    buckets: Dict[int, int] = {}
    for one in found:
        for bucket, count in one.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
    total = sum(buckets.values())
    if total < CALLS_FOR_P999:
        return None
    left = share * total
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            break
    return 1.01 ** (bucket + 1) / 1000


def summary(slices: Slices) -> List[Row]:
    """The median over the rounds of every figure; p99.9 is that of all calls together."""
    rows = []
    for (key, load), found in slices.items():
        unit = "calls/s" if found[0].buckets else "messages/s"
        per = "us/call" if found[0].buckets else "us/message"
        for metric, unit in (("p50", "us"), ("p99", "us"), ("rate", unit), ("middle_cpu", per),
                             ("all_cpu", per), ("middle_turns", per.replace("us", "turns")),
                             ("all_turns", per.replace("us", "turns"))):
            values = [getattr(one, metric) for one in found if getattr(one, metric) is not None]
            if values:
                rows.append(Row(key, load.name, metric, statistics.median(values), unit))
        slowest = percentile_of_all(found, 0.999)
        if slowest is not None:
            rows.append(Row(key, load.name, "p99.9", slowest, "us"))
        rate = statistics.median(one.rate for one in found)
        rows.append(Row(key, load.name, "bytes", rate * load.size / 1e6, "MB/s"))
    return rows


def ratio(slices: Slices, key: str, to: str, load: Load, metric: str) -> Optional[float]:
    """The median over the rounds of what `key` took, divided by what `to` took."""
    pairs = zip(slices.get((key, load), []), slices.get((to, load), []))
    ratios = [getattr(own, metric) / getattr(other, metric) for own, other in pairs
              if getattr(own, metric) is not None and getattr(other, metric)]
    return statistics.median(ratios) if ratios else None
