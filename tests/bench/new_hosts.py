"""How long the first call of a new host takes: of a process that has just connected."""

import os
import random
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from typing import Dict, List, NamedTuple

from lifecycle import operator, program
from measure import Row
from processes import ANSWER_TIMEOUT, DaemonError, PrivateDaemon
from scaling import plugind

# Who serves the new host: an instance that waited for it, or one that serves all.
SPARE, SHARED = "libplugind-spare", "libplugind-echo"
PLUGINS = {SPARE: "spare", SHARED: "shared"}
MANIFESTS = {
    "spare": 'scope = "host"\nspares = 1\nstop.linger = "0s"\n',
    "shared": 'scope = "shared"\n',
}


class Answered(NamedTuple):
    """Milliseconds until the answer to a host's first call, and to one of those after it."""
    first: float
    later: float


def _new_host(options, daemon: PrivateDaemon, plugin: str) -> Answered:
    command = [program(options, "bench_lifecycle"), "--address", "unix:" + daemon.socket,
               "--once", "echo", "--plugin", plugin]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_TIMEOUT,
                              check=False)
    except subprocess.TimeoutExpired:
        raise DaemonError(f"a new host of {plugin} has no answer after {ANSWER_TIMEOUT} s"
                          ) from None
    if done.returncode != 0:
        raise DaemonError(f"a new host of {plugin} has failed: {done.stderr.strip()}")
    return Answered(*map(float, done.stdout.split()))


def measure_new_hosts(options, rounds: int) -> List[Row]:
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="plugind-bench-"))
        manifests = os.path.join(directory, "plugins.d")
        os.mkdir(manifests)
        for name, text in MANIFESTS.items():
            with open(os.path.join(manifests, name + ".toml"), "w", encoding="utf-8") as file:
                file.write(f'name = "{name}"\ncommand = ["{options.plugins}/echo-cpp"]\n{text}')
        daemon = stack.enter_context(
            PrivateDaemon(plugind(options), manifests, log_level="warning"))
        worker = operator(options, daemon, directory)
        stack.callback(worker.quit)
        worker.ask("start 1 " + " ".join(MANIFESTS))
        order = random.Random(1)
        found: List[Dict[str, Answered]] = []
        for _ in range(rounds + 1):
            one = {}
            for key in order.sample(list(PLUGINS), len(PLUGINS)):
                worker.ask("await-spare " + PLUGINS[SPARE])  # its start is nobody's burden
                one[key] = _new_host(options, daemon, PLUGINS[key])
            found.append(one)
        return rows_of(found[1:])  # what is read from the disk by now is not read again


def rows_of(rounds: List[Dict[str, Answered]]) -> List[Row]:
    """Medians, and of a spare the medians of each round's ratios."""
    rows = [Row(key, "new-host", metric, statistics.median(getattr(one[key], field)
                                                           for one in rounds), "ms")
            for key in PLUGINS for field, metric in (("first", "answered_after"),
                                                     ("later", "later_answered_after"))]
    by_first = [one[SPARE].first / one[SHARED].first for one in rounds]
    by_later = [one[SPARE].first / one[SPARE].later for one in rounds]
    return rows + [Row(f"{SPARE}/{SHARED}", "new-host", "answered_after",
                       statistics.median(by_first), "x"),
                   Row(f"{SPARE}/later", "new-host", "answered_after",
                       statistics.median(by_later), "x")]
