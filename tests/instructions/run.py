#!/usr/bin/env python3
"""Counts the instructions, allocations and transfers of the daemon's part of a call, and compares
them with expected.toml.  A transfer is a read or a write of a socket.

    run.py BUILD             one line a figure: "ok" or "FAIL", and what it is
    run.py BUILD --record    writes expected.toml and the tables in docs/performance.md
    run.py --check-docs      whether the tables have the figures of expected.toml

The figures come from callgrind, so they depend on compiler, options and libraries (those of Debian
12), but not on what else the machine does.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs/performance.md"
EXPECTED = HERE / "expected.toml"
BOUND = 0.03  # A count may grow by this part of it,
LANES_BOUND = 0.015  # or by this: a message to the first loop is 2 % of a call on two loops.
END = "<!-- end of table -->\n"

# Two lengths of a run each: their difference is free of what happens once, for each connection too.
FORWARDING = {
    "unary-100": ("unary, 100 B, one at a time", 200, 600),
    "unary-100-32": ("unary, 100 B, 32 in flight", 320, 960),
    "unary-64k": ("unary, 64 KiB, one at a time", 50, 150),
    "stream-100": ("a stream of 100 messages of 100 B each way", 3, 8),
}
# As many connections of hosts as loops, and one call in flight on each.
LANES = {
    "lanes-2": ("2 loops", 200, 600),
    "lanes-4": ("4 loops", 200, 600),
}
SCALING = {
    "hosts-one": ("1,000 connections, one at a time by one of them", 100, 400),
    "hosts-spread": ("1,000 connections, one at a time, by each in turn", 2000, 2500),
    "hosts-spread-32": ("1,000 connections, 32 in flight, by each in turn", 2000, 2500),
    "plugins-one": ("100 plugins, one at a time to one of them", 200, 600),
    "plugins-service": ("100 plugins, one at a time to the one that declares the service", 200,
                        600),
    "plugins-spread": ("100 plugins, one at a time, to each in turn", 300, 600),
    "plugins-spread-32": ("100 plugins, 32 in flight, to each in turn", 400, 800),
}
LOADS = FORWARDING | LANES | SCALING
# What stands in which table; those that others are compared with stand there again.
TABLES = {
    "instructions": FORWARDING,
    "lanes": {"unary-100": ("1 loop", 0, 0)} | LANES,
    "scaling": {"unary-100": ("1 connection, 1 plugin, one at a time", 0, 0),
                "unary-100-32": ("1 connection, 1 plugin, 32 in flight", 0, 0)} | SCALING,
}
FIGURES = ("instructions", "allocations", "transfers")


def run(program: pathlib.Path, load: str, calls: int) -> tuple[int, ...]:
    """The figures of so many calls."""
    with tempfile.TemporaryDirectory(prefix="plugind-callgrind-") as directory:
        result = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no",
             "--toggle-collect=daemon_share", f"--callgrind-out-file={directory}/out",
             str(program), load, str(calls)],
            capture_output=True, text=True, timeout=600)
    collected = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or collected is None:
        sys.exit(f"{load}: callgrind ended with {result.returncode}:\n{result.stderr[-2000:]}")
    return int(collected.group(1)), *map(int, result.stdout.split())


def measure(program: pathlib.Path) -> dict[str, dict[str, float]]:
    lengths = [(load, calls) for load, (_, *both) in LOADS.items() for calls in both]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(lengths, pool.map(lambda length: run(program, *length), lengths)))
    figures = {}
    for load, (_, few, many) in LOADS.items():
        a_call = [(b - a) / (many - few)
                  for a, b in zip(counts[load, few], counts[load, many])]
        figures[load] = {what: round(figure) if what == "instructions" else round(figure, 2)
                         for what, figure in zip(FIGURES, a_call)}
    return figures


def compare(figures: dict, expected: dict) -> bool:
    good = True
    for load, (about, _, _) in LOADS.items():
        for what, figure in figures[load].items():
            recorded = expected[load][what]
            change = (figure - recorded) / recorded if recorded else float(figure > 0)
            bound = LANES_BOUND if load in LANES else BOUND
            verdict = "FAIL" if change > bound else "ok"
            note = " (record the gain: run.py BUILD --record)" if change < -bound else ""
            print(f"{verdict} {about}: {figure:,} {what} a call, {change:+.2%} of {recorded:,}"
                  f"{note}")
            good = good and verdict == "ok"
    return good


def table(loads: dict, figures: dict) -> str:
    rows = ["| a call | instructions | allocations | transfers |\n| --- | --- | --- | --- |\n"]
    for load, (about, _, _) in loads.items():
        instructions, allocations, transfers = (figures[load][what] for what in FIGURES)
        rows.append(f"| {about} | {instructions:,} | {allocations:g} | {transfers:g} |\n")
    return "".join(rows)


def with_tables(text: str, figures: dict) -> str:
    for name, loads in TABLES.items():
        begin = f"<!-- table: {name} -->\n"
        before, rest = text.split(begin)
        text = before + begin + table(loads, figures) + END + rest.split(END, 1)[1]
    return text


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", type=pathlib.Path)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--check-docs", action="store_true")
    options = parser.parse_args()
    if options.check_docs:
        expected = tomllib.loads(EXPECTED.read_text())
        if DOCS.read_text() == with_tables(DOCS.read_text(), expected):
            return 0
        print("docs/performance.md differs from tests/instructions/expected.toml; "
              "run tests/instructions/run.py BUILD --record")
        return 1
    figures = measure(options.build / "tests/instructions/forward_instructions")
    if not options.record:
        return 0 if compare(figures, tomllib.loads(EXPECTED.read_text())) else 1
    EXPECTED.write_text(
        "# Per call, of the daemon's part; made by tests/instructions/run.py BUILD --record.\n" +
        "".join(f"\n[{load}]\ninstructions = {of['instructions']}\n"
                f"allocations = {of['allocations']:g}\ntransfers = {of['transfers']:g}\n"
                for load, of in figures.items()))
    DOCS.write_text(with_tables(DOCS.read_text(), figures))
    print(EXPECTED.read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
