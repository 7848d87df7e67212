#!/usr/bin/env python3
"""Measures plugind beside what it replaces; scripts/bench.sh builds everything and calls this.

usage: bench.py --build DIR --plugins DIR [--go-worker FILE] [--tools DIR] [--quick] [--csv FILE]
                [--only SECTION]... [--update-docs FILE --gnuplot FILE]

Every contender is a process that lives for the whole run and makes a slice of calls when it is
told to (worker.h says how).  Rounds go through all contenders, each time in another order, so that
what disturbs the machine disturbs all of them alike.  What is printed is the median over the
rounds, and for a comparison the median of each round's ratio.

The sections are calls, connections, plugins, single, lifecycle; all of them unless --only names
some.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import behind
import plots
import report
import scaling
from contenders import MAIN, MORE, PROXIES, QUICK, STREAMS, VARIANTS, Scene, contenders
from fleet import Fleet, measure_fleet
from lifecycle import measure_lifecycle
from new_hosts import measure_new_hosts
from measure import Measurement, Plan, Row, Slices, ratio, rounds_done, summary
from processes import Contender, DaemonError, Load, PrivateDaemon, daemon_pid, settle
from proxies import Plugins, Proxies
from reach import targets

SECTIONS = ("calls", "connections", "plugins", "single", "lifecycle")


class Scale(NamedTuple):
    """How long the parts of a run are."""
    calls: Plan
    loads: Callable[[Load], bool]  # which of the contenders' loads are run
    scaling: Plan
    starts: int
    deaths: int
    first_calls: int
    fleet: Fleet
    limit: int  # seconds that the whole run may take


def is_large(load: Load) -> bool:
    """Whether a slice of it takes long."""
    return load.size * load.in_flight >= 32 << 20


def full() -> Scale:
    def rounds(load: Load) -> int:
        if load in MAIN:
            return 25
        return 5 if is_large(load) else 10

    def seconds(load: Load) -> float:
        return 0.1 if load.size < 1 << 20 and load.kind == "unary" else 0.15

    return Scale(Plan(rounds, seconds, 19 * 60), lambda _: True,
                 Plan(lambda _: 25, lambda _: 0.1, 75), 21, 7, 25, Fleet(1000, 200, 3), 28 * 60)


def quick() -> Scale:
    return Scale(Plan(lambda load: 5 if load in MAIN else 2, lambda _: 0.03, 40),
                 lambda load: load in MAIN + QUICK,
                 Plan(lambda _: 3, lambda _: 0.03, 10), 5, 2, 5, Fleet(100, 20, 1), 2 * 60)


class Result(NamedTuple):
    slices: Slices
    rows: List[Row]
    about: Dict[str, str]  # contenders in the order of the tables
    notes: List[str]  # what did not run, and why
    missing: Dict[str, str]  # proxies that did not run, and why


def measure_calls(options, scale: Scale) -> Result:
    with ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="plugind-bench-", dir=short_directory()))
        daemons = {}
        for key, more in [("", ()), ("unread", ())] + [(one.key, one.options) for one in VARIANTS]:
            daemons[key] = stack.enter_context(PrivateDaemon(
                scaling.plugind(options), options.plugins, log_level="warning", options=more))
        daemon, unread = daemons.pop(""), daemons.pop("unread")
        plugins = Plugins(options.plugins, directory, has_go=bool(options.go_worker))
        stack.callback(plugins.stop)
        proxies = Proxies(os.path.join(options.build, "tests", "bench"), options.tools, directory)
        stack.callback(proxies.stop)
        proxies.start(plugins.sockets)
        # Memory is that of the one in front of the plugin which most contenders call.
        last = "kv" if options.go_worker else "echo"
        def middles() -> Dict[str, int]:
            found = {"plugind": daemon_pid(daemon)}
            found.update((middle.name, middle.pid) for key, middle in proxies.middles.items()
                         if key.endswith("-" + last))
            return found
        rows = memory(middles(), "before-calls")
        scene = Scene(options.build, options.go_worker, os.path.join(options.plugins, "kv-go-grpc"),
                      daemon, daemons, unread, plugins, proxies)
        everyone = [one._replace(loads=tuple(filter(scale.loads, one.loads)))
                    for one in contenders(scene)]
        try:
            measurement = Measurement(everyone, directory, scale.calls,
                                      recover=lambda one: recover(one, proxies))
            stack.callback(measurement.quit)
            measurement.run()
        except DaemonError as error:
            logs = "".join(one.log_text() for one in (daemon, unread, *daemons.values()))
            raise DaemonError(f"{error}\n{logs}") from None
        rows = summary(measurement.slices) + rows + memory(middles(), "after-calls")
        notes = [f"{PROXIES[name]}: {why}" for name, why in proxies.missing.items()]
        return Result(measurement.slices, rows, {one.key: one.about for one in everyone},
                      notes + measurement.failures, proxies.missing)


def short_directory() -> str:
    """A socket's path may have about 100 characters."""
    base = tempfile.gettempdir()
    return base if len(base) < 40 else "/tmp"


def recover(contender: Contender, proxies: Proxies) -> Optional[Contender]:
    """With a proxy that is begun anew: one that lost a message may be stuck for all that follow.  None
    if it is not somebody else's bug, which must not end the run."""
    if contender.middle is None or contender.middle.name not in ("nginx", "haproxy"):
        return None
    return contender._replace(middle=proxies.restart(contender.middle))


def memory(middles: Dict[str, int], load: str) -> List[Row]:
    rows: List[Row] = []
    for name, pid in middles.items():
        settle(pid)
        rows += scaling.memory_rows(name, load, pid)
    return rows


def run(options, scale: Scale) -> Tuple[List[Row], str]:
    described, began = report.machine(), time.monotonic()
    slices: Slices = {}
    rows: List[Row] = []
    about: Dict[str, str] = {}
    notes: List[str] = []
    missing: Dict[str, str] = {}
    for section in options.only or SECTIONS:
        print(f"   {section}", file=sys.stderr, flush=True)
        if section == "calls":
            result = measure_calls(options, scale)
            slices.update(result.slices)
            rows += result.rows
            about = result.about
            missing.update(result.missing)
            notes += result.notes
            rows += [Row(f"{key}/{to}", load.name, metric, found, "x")
                     for key, to, load, metric in report.COMPARISONS
                     if (found := ratio(slices, key, to, load, metric)) is not None]
        elif section == "single":
            rows += scaling.measure_start(options, scale.starts) + scaling.measure_idle(options)
            rows += scaling.measure_death(options, scale.deaths)
            if shutil.which("valgrind"):
                rows += scaling.measure_held(options)
            else:
                missing["valgrind"] = "valgrind is not installed"
        elif section == "lifecycle":
            rows += measure_lifecycle(options, scale.first_calls)
            rows += measure_new_hosts(options, scale.first_calls)
            measured_fleet = measure_fleet(options, scale.fleet)
            rows += measured_fleet[0]
            notes += measured_fleet[1]
        else:
            measured = {"connections": scaling.measure_connections,
                        "plugins": scaling.measure_plugins}[section](options, scale.scaling)
            slices.update(measured[0])
            rows += measured[1]
    if not options.go_worker:
        missing["go"] = "the worker and the plugin in Go are not built"
    reach = targets(slices, rows, missing)
    text = (f"{described}, {os.getloadavg()[0]:.2f} at the end\n{date.today()}; calls over Unix sockets; medians of "
            f"{rounds_done(slices, MAIN)} interleaved rounds for 100 B with 1 and 32 in flight, of "
            f"{rounds_done(slices, [load for load in MORE if is_large(load)])} where 32 MiB or more "
            "are in flight, of "
            f"{rounds_done(slices, [one for one in MORE + STREAMS if not is_large(one)])} for other "
            "loads, of "
            f"{rounds_done(slices, scaling.LOADS[2:])} for connections and plugins; "
            f"{time.monotonic() - began:.0f} s\n\n"
            f"{report.table(rows, about)}\n"
            + "".join(f"not run: {note}\n" for note in notes) + ("\n" if notes else "")
            + "reach:\n" + "\n".join(target.line() for target in reach) + "\n")
    return rows, text


def end_in_time(seconds: int) -> None:
    """Ends the run like an interrupt does, so that everything that was started is ended."""
    def stop(number, _):
        if number == signal.SIGALRM:
            raise DaemonError(f"the run is not over after {seconds} s, its limit; is the machine "
                              "busy with something else?")
        raise SystemExit(128 + number)

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    signal.alarm(seconds)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--plugins", required=True)
    parser.add_argument("--go-worker")
    parser.add_argument("--tools")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=SECTIONS)
    parser.add_argument("--csv")
    parser.add_argument("--update-docs")
    parser.add_argument("--gnuplot", default="gnuplot")
    options = parser.parse_args()
    options.build, options.plugins = map(os.path.abspath, (options.build, options.plugins))
    options.go_worker = options.go_worker and os.path.abspath(options.go_worker)
    options.tools = options.tools and os.path.abspath(options.tools)
    scale = quick() if options.quick else full()
    end_in_time(scale.limit)
    try:
        rows, text = run(options, scale)
    except DaemonError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    signal.alarm(0)  # nothing is running any more
    print(text)
    if options.csv:
        report.write_csv(options.csv, rows)
    if options.update_docs:
        report.update_docs(options.update_docs, text)
        directory = os.path.join(os.path.dirname(options.update_docs), "plots")
        os.makedirs(directory, exist_ok=True)
        figures = os.path.join(directory, "figures.csv")
        report.write_csv(figures, rows)
        published = report.read_csv(figures)
        plots.write(published, directory, options.gnuplot)
        behind.update_page(options.update_docs, published)
    return 0


if __name__ == "__main__":
    sys.exit(main())
