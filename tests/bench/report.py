"""Figures as text: the tables, the CSV, the block in docs/performance.md."""

import csv
import io
import os
import platform
import re
from typing import Dict, List, Sequence, Tuple

from contenders import LARGE, MAIN, SMALL, STREAMS
from measure import Row
from processes import Load
from scaling import CONNECTIONS, LOADS, PLUGINS


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


def spoken(size: int) -> str:
    if size >= 1 << 20:
        return f"{size >> 20} MiB"
    return f"{size >> 10} KiB" if size >= 1 << 10 else f"{size} B"


class Tables:
    def __init__(self, rows: List[Row], about: Dict[str, str]):
        self._value = {(row.contender, row.load, row.metric): row.value for row in rows}
        self._about = about
        self._width = max([44, *map(len, about.values())])
        self._column = 0
        self._out = io.StringIO()

    def _cell(self, key: str, load: Load, metric: str, form: str) -> str:
        found = self._value.get((key, load.name, metric))
        return "-" if found is None else format(found, form)

    def _head(self, title: str, heads: Sequence[str]) -> None:
        """Begins a table; its columns are as wide as their heads."""
        self._column = max(10, *(len(head) + 2 for head in heads))
        self._line(title, heads)

    def _line(self, label: str, cells: Sequence[str]) -> None:
        columns = "".join(f"{cell:>{self._column}}" for cell in cells)
        print(f"{label:{self._width}}{columns}", file=self._out)

    def _ran(self, loads: Sequence[Load]) -> Dict[str, str]:
        return {key: text for key, text in self._about.items()
                if any((key, load.name, "rate") in self._value for load in loads)}

    def of_load(self, title: str, load: Load, about: Dict[str, str]) -> None:
        """All that is known about a load."""
        self._head(title, ("p50 us", "p99 us", "p99.9 us", "calls/s", "middle us", "all us",
                           "middle turns", "all turns"))
        for key, text in about.items():
            self._line(text, [self._cell(key, load, metric, form) for metric, form in (
                ("p50", ".1f"), ("p99", ".1f"), ("p99.9", ".1f"), ("rate", ".0f"),
                ("middle_cpu", ".1f"), ("all_cpu", ".1f"), ("middle_turns", ".2f"),
                ("all_turns", ".2f"))])
        print(file=self._out)

    def of_metric(self, title: str, metric: str, form: str, loads: Sequence[Load],
                  heads: Sequence[str]) -> None:
        """One figure over several loads."""
        about = self._ran(loads)
        if not about:
            return
        self._head(title, heads)
        for key, text in about.items():
            self._line(text, [self._cell(key, load, metric, form) for load in loads])
        print(file=self._out)

    def unary(self) -> None:
        for load in MAIN:
            if about := self._ran([load]):
                self.of_load(f"{spoken(load.size)}, {load.in_flight} in flight; CPU and turns a call", load,
                             about)
        for loads in (SMALL, LARGE):
            heads = [f"{spoken(load.size)} x{load.in_flight}" for load in loads]
            for title, metric, form in (("p50 us; size x in flight", "p50", ".0f"),
                                        ("p99 us", "p99", ".0f"), ("p99.9 us", "p99.9", ".0f"),
                                        ("calls/s", "rate", ".0f"),
                                        ("CPU us a call, middle", "middle_cpu", ".1f")):
                self.of_metric(title, metric, form, loads, heads)

    def streams(self) -> None:
        short = {"server-stream": "down", "bidi": "echo"}
        heads = [f"{short[load.kind]} {spoken(load.size)} x{load.in_flight}" for load in STREAMS]
        for title, metric, form in (("messages/s; size x streams", "rate", ".0f"),
                                    ("MB/s", "bytes", ".1f"),
                                    ("CPU us a message, middle", "middle_cpu", ".2f")):
            self.of_metric(title, metric, form, STREAMS, heads)

    def scaling(self, prefix: str, counts: Sequence[int]) -> None:
        about = {f"{prefix}-{count}": f"{count} {prefix if count > 1 else prefix[:-1]}" for count in counts}
        if not any((key, load.name, "rate") in self._value for key in about for load in LOADS):
            return
        heads = [f"{'all' if load.kind == 'spread' else 'one'} x{load.in_flight}" for load in LOADS]
        for title, metric, form in ((f"{prefix}: CPU us a call, daemon", "middle_cpu", ".1f"),
                                    ("p50 us", "p50", ".1f"), ("calls/s", "rate", ".0f")):
            self._head(title, heads)
            for key, text in about.items():
                self._line(text, [self._cell(key, load, metric, form) for load in LOADS])
            print(file=self._out)

    def text(self) -> str:
        return self._out.getvalue()


def single_figures(rows: List[Row]) -> str:
    """Memory, start and the like: those that belong to no load.  Ratios are told by the reach."""
    return "".join(f"{f'{row.contender}, {row.load}':44} {row.metric:24} {row.value:10.2f} "
                   f"{row.unit}\n" for row in rows if "/" not in row.load and row.unit != "x")


def table(rows: List[Row], about: Dict[str, str]) -> str:
    tables = Tables(rows, about)
    tables.unary()
    tables.streams()
    tables.scaling("connections", CONNECTIONS)
    tables.scaling("plugins", PLUGINS)
    return tables.text() + single_figures(rows)


def write_csv(path: str, rows: List[Row]) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(row._replace(value=round(row.value, 3)) for row in rows)


def read_csv(path: str) -> List[Row]:
    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    return [Row(contender, load, metric, float(value), unit)
            for contender, load, metric, value, unit in lines[1:]]


def update_docs(path: str, text: str) -> None:
    replace_between(path, "bench", f"```\n{text.rstrip()}\n```\n")


def replace_between(path: str, name: str, block: str) -> None:
    """Puts the block between the two marks of that name in the page."""
    with open(path, encoding="utf-8") as file:
        page = file.read()
    marks = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.S)
    if not marks.search(page):
        raise SystemExit(f"{path} has no lines <!-- {name}:begin --> and <!-- {name}:end -->")
    with open(path, "w", encoding="utf-8") as file:
        file.write(marks.sub(lambda match: match.group(1) + block + match.group(2), page))


# What the CSV has besides the contenders: ratios of the same rounds.
COMPARISONS: Tuple[Tuple[str, str, Load, str], ...] = (
    ("libplugind-plugind", "go-plugin-direct", MAIN[0], "p50"),
    ("libplugind-plugind", "go-plugin-direct", MAIN[1], "rate"),
    ("grpc-go-plugind", "go-plugin-direct", MAIN[0], "p50"),
    ("grpc++-plugind", "grpc++-direct", MAIN[0], "p50"),
)
