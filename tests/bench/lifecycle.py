"""How long it takes until a plugin answers: its first call, and the first one after a crash."""

import os
import random
import statistics
import tempfile
from contextlib import ExitStack
from typing import Callable, Dict, List, NamedTuple, Optional

from measure import Row
from processes import Contender, DaemonError, PrivateDaemon, Worker, daemon_pid, descendants
from scaling import plugind

# What a host does today to have the Go plugin, and what plugind is compared with.
SPAWNED = "go-plugin-direct"
# A plugin's first crash alone has no backoff, so each way to meet one has plugins of its own.
AGAIN = "again-"
OWN = {"kv": "libplugind-plugind", "echo": "libplugind-echo"}

MANIFESTS = {
    "kv": 'dialect = "go-plugin"\ncommand = ["{plugins}/kv-go-grpc"]\n'
          'go-plugin.cookie_key = "BASIC_PLUGIN"\ngo-plugin.cookie_value = "hello"\n',
    "echo": 'dialect = "native"\ncommand = ["{plugins}/echo-cpp"]\n',
}


class Round(NamedTuple):
    """Milliseconds, by contender."""
    first: Dict[str, float]  # from before the call, or the spawn, to the answer
    ended: Dict[str, float]  # from the kill until the daemon says that the instance has ended
    answered: Dict[str, float]  # from the kill until the answer of a call made after that
    again: Dict[str, float]  # from the kill until a call is answered that is made again and again


def program(options, name: str) -> str:
    return os.path.join(options.build, "tests", "bench", name)


def operator(options, daemon: PrivateDaemon, directory: str) -> Worker:
    """The worker that is a host of this daemon and its operator, too."""
    return Worker(Contender("lifecycle", "lifecycle", [
        program(options, "bench_lifecycle"), "--address", "unix:" + daemon.socket], ()), directory)


def check_nothing_left(daemon: PrivateDaemon) -> None:
    """Of instances, once all have been stopped."""
    processes = descendants(daemon_pid(daemon))
    if processes:
        raise DaemonError(f"the processes {processes} are left after a stop")
    with os.scandir(os.path.join(daemon.directory, "instances")) as entries:
        directories = [entry.name for entry in entries if entry.is_dir()]
    if directories:
        raise DaemonError(f"the directories {directories} of instances are left after a stop")


class _Rounds:
    """Each round starts plugins that have not run before, each of them once by each contender."""

    def __init__(self, daemon: PrivateDaemon, worker: Worker, spawner: Optional[Worker]):
        self._daemon = daemon
        self._worker = worker
        self._spawner = spawner
        self._order = random.Random(1)  # the same orders in every run

    def run(self, number: int) -> Round:
        found = Round({}, {}, {}, {})
        turns: List[Callable[[], None]] = [lambda: self._through_plugind("echo", number, found)]
        if self._spawner:
            turns += [lambda: self._through_plugind("kv", number, found),
                      lambda: self._spawn(self._spawner, found)]
        for turn in self._order.sample(turns, len(turns)):
            turn()
        return found

    def _spawn(self, spawner: Worker, found: Round) -> None:
        found.first[SPAWNED] = float(spawner.ask("first-call"))
        left = descendants(spawner.pid)
        if left:
            raise DaemonError(f"the go-plugin host left the processes {left} behind")

    def _through_plugind(self, service: str, number: int, found: Round) -> None:
        """A crash that is a plugin's first has no backoff."""
        key, plugin = OWN[service], f"{service}-{number:03}"
        found.first[key] = float(self._worker.ask(f"first-call {service} {plugin}"))
        ended, answered = self._worker.ask(f"restart {service} {plugin}").split()
        found.ended[key], found.answered[key] = float(ended), float(answered)
        other = AGAIN + plugin
        self._worker.ask(f"first-call {service} {other}")
        found.again[key] = float(self._worker.ask(f"call-again {service} {other}"))
        self._worker.ask(f"stop 1 {plugin} {other}")
        check_nothing_left(self._daemon)


def _write_manifests(options, directory: str, rounds: int) -> None:
    for service, text in MANIFESTS.items():
        if service == "kv" and not options.go_worker:
            continue
        for number in range(rounds):
            for name in (f"{service}-{number:03}", f"{AGAIN}{service}-{number:03}"):
                with open(os.path.join(directory, name + ".toml"), "w", encoding="utf-8") as file:
                    file.write(f'name = "{name}"\nversion = "1.0.0"\n'
                               + text.format(plugins=options.plugins))


def measure_lifecycle(options, rounds: int) -> List[Row]:
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="plugind-bench-"))
        manifests = os.path.join(directory, "plugins.d")
        os.mkdir(manifests)
        _write_manifests(options, manifests, rounds + 1)
        daemon = stack.enter_context(
            PrivateDaemon(plugind(options), manifests, log_level="warning"))
        worker = operator(options, daemon, directory)
        stack.callback(worker.quit)
        spawner = None
        if options.go_worker:
            spawner = Worker(Contender("first-call", "first-call", [
                options.go_worker, "--mode", "first-call", "--plugin",
                os.path.join(options.plugins, "kv-go-grpc")], ()), directory)
            stack.callback(spawner.quit)
        one = _Rounds(daemon, worker, spawner)
        try:
            one.run(0)  # what is read from the disk by now is not read by any of those that count
            return rows_of([one.run(number) for number in range(1, rounds + 1)])
        except DaemonError as error:
            raise DaemonError(f"{error}\n{daemon.log_text()}") from None


def rows_of(rounds: List[Round]) -> List[Row]:
    """Medians and the worst, and for what the Go plugin takes by plugind the median of each round's
    ratio to what its own host took for the first call."""
    rows: List[Row] = []
    for load, metric, field in (("first-call", "answered_after", "first"),
                                ("crash", "ended_after", "ended"),
                                ("crash", "answered_after", "answered"),
                                ("crash", "answered_again_after", "again")):
        for key in getattr(rounds[0], field):
            times = [getattr(one, field)[key] for one in rounds]
            rows += [Row(key, load, metric, statistics.median(times), "ms"),
                     Row(key, load, metric + "_worst", max(times), "ms")]
        own = OWN["kv"]
        if field != "ended" and own in getattr(rounds[0], field):
            ratios = [getattr(one, field)[own] / one.first[SPAWNED] for one in rounds]
            rows.append(Row(f"{own}/{SPAWNED}", load, metric, statistics.median(ratios), "x"))
    return rows
