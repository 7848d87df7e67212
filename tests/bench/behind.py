#!/usr/bin/env python3
"""The tables of docs/performance.md in which plugind is behind something else.

usage: behind.py CSV PAGE

Makes them from the figures of a run, which scripts/bench.sh does by itself, and puts them into the
page.
"""

import sys
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

import report
from measure import Row

# In a row of a table: the name of the metric there, and whether more of it is better.
METRICS = (("rate", "rate", True), ("p50", "p50", False), ("p99", "p99", False),
           ("p99.9", "p99.9", False), ("own", "middle_cpu", False), ("all", "all_cpu", False))
KINDS = {"unary": "", "server-stream": "down ", "bidi": "echo "}


class Table(NamedTuple):
    about: str
    ours: str
    others: Sequence[Tuple[str, str]]  # key, heading


def through(host: str, direct: Tuple[str, str]) -> Sequence[Tuple[str, str]]:
    return (direct, (host + "-relay", "relay"), (host + "-nginx", "nginx"), (host + "-haproxy", "HAProxy"), (host + "-proxy", "grpc++ proxy"))


TABLES = (
    Table("From grpc++ stubs to the C++ plugin, (e)", "grpc++-plugind",
          through("grpc++", ("grpc++-direct", "direct (d)"))),
    Table("From libplugind to the Go plugin, (b)", "libplugind-plugind",
          through("libplugind", ("go-plugin-direct", "direct (a)"))),
    Table("From grpc-go to the Go plugin, (c), which has two hops where the go-plugin host has one",
          "grpc-go-plugind", (("go-plugin-direct", "direct (a)"),)),
    Table("From grpc-go to the C++ plugin", "grpc-go-echo", (("grpc-go-echo-direct", "direct"),)),
    Table("From grpc++ to the Go plugin", "grpc++-kv", (("grpc++-kv-direct", "direct"),)),
)

Figures = Dict[Tuple[str, str, str], float]


UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}


def parts(load: str) -> Tuple[str, int, str, int]:
    """Kind, size and its unit, in flight: of `unary/4KiB/32`."""
    kind, size, in_flight = load.split("/")
    number = size.rstrip("BKMi")
    return kind, int(number), size[len(number):], int(in_flight)


def label(load: str) -> str:
    """`4 KiB x32` of `unary/4KiB/32`."""
    kind, size, unit, in_flight = parts(load)
    return f"{KINDS[kind]}{size} {unit} x{in_flight}"


def order(load: str) -> Tuple[bool, int, int, int]:
    """Unary calls come first, and then the smaller ones."""
    kind, size, unit, in_flight = parts(load)
    return kind != "unary", size * UNITS[unit], list(KINDS).index(kind), in_flight


def cell(figures: Figures, load: str, ours: str, other: str) -> str:
    """Where `ours` is behind, by so much; what is equal or better is left out."""
    behind: List[str] = []
    for name, metric, more_is_better in METRICS:
        mine, theirs = figures.get((ours, load, metric)), figures.get((other, load, metric))
        if not mine or not theirs:
            continue
        ratio = round(mine / theirs, 2)
        if ratio < 1 if more_is_better else ratio > 1:
            behind.append(f"{name} {ratio:.2f}")
    return ", ".join(behind) or "–"


def markdown(rows: Iterable[Row]) -> str:
    rows = list(rows)
    figures = {(row.contender, row.load, row.metric): row.value for row in rows}
    text = ""
    for table in TABLES:
        loads = {row.load for row in rows
                 if row.contender == table.ours and row.load.split("/")[0] in KINDS}
        if not loads:
            continue  # It was not run.
        text += f"{table.about}:\n\n| load | {' | '.join(name for _, name in table.others)} |\n"
        text += "| --- " * (len(table.others) + 1) + "|\n"
        for load in sorted(loads, key=order):
            cells = [cell(figures, load, table.ours, other) for other, _ in table.others]
            if any(one != "–" for one in cells):
                text += f"| {label(load)} | {' | '.join(cells)} |\n"
        text += "\n"
    return text


def update_page(path: str, rows: Iterable[Row]) -> None:
    report.replace_between(path, "behind", markdown(rows))


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if len(sys.argv) == 2 else 2
    update_page(sys.argv[2], report.read_csv(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
