#!/usr/bin/env python3
"""Counts the instructions and allocations of the daemon's part of a call, and compares them with
expected.toml.

    run.py BUILD             one line a figure: "ok" or "FAIL", and what it is
    run.py BUILD --record    writes expected.toml and the table in docs/performance.md
    run.py --check-docs      whether the table has the figures of expected.toml

The figures come from callgrind, so they depend on compiler, options and libraries (those of Debian
12), but not on what else the machine does.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs/performance.md"
EXPECTED = HERE / "expected.toml"
BOUND = 0.03  # A count may grow by this part of it.
BEGIN, END = "<!-- table: instructions -->\n", "<!-- end of table -->\n"

# Two lengths of a run each: their difference is free of what happens once.
LOADS = {
    "unary-100": ("unary, 100 B, one at a time", 200, 700),
    "unary-100-32": ("unary, 100 B, 32 in flight", 320, 960),
    "unary-64k": ("unary, 64 KiB, one at a time", 50, 150),
    "stream-100": ("a stream of 100 messages of 100 B each way", 3, 8),
}


def run(program: pathlib.Path, load: str, calls: int) -> tuple[int, int]:
    """Instructions and allocations of so many calls."""
    with tempfile.TemporaryDirectory(prefix="plugind-callgrind-") as directory:
        result = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no",
             "--toggle-collect=daemon_share", f"--callgrind-out-file={directory}/out",
             str(program), load, str(calls)],
            capture_output=True, text=True, timeout=300)
    collected = re.search(r"Collected : (\d+)", result.stderr)
    if result.returncode != 0 or collected is None:
        sys.exit(f"{load}: callgrind ended with {result.returncode}:\n{result.stderr[-2000:]}")
    return int(collected.group(1)), int(result.stdout)


def measure(program: pathlib.Path) -> dict[str, dict[str, float]]:
    figures = {}
    for load, (_, few, many) in LOADS.items():
        short, long = run(program, load, few), run(program, load, many)
        instructions, allocations = ((b - a) / (many - few) for a, b in zip(short, long))
        figures[load] = {"instructions": round(instructions), "allocations": round(allocations, 2)}
    return figures


def compare(figures: dict, expected: dict) -> bool:
    good = True
    for load, (about, _, _) in LOADS.items():
        for what, figure in figures[load].items():
            recorded = expected[load][what]
            change = (figure - recorded) / recorded if recorded else float(figure > 0)
            verdict = "FAIL" if change > BOUND else "ok"
            note = " (record the gain: run.py BUILD --record)" if change < -BOUND else ""
            print(f"{verdict} {about}: {figure:,} {what} a call, {change:+.2%} of {recorded:,}{note}")
            good = good and verdict == "ok"
    return good


def table(figures: dict) -> str:
    rows = [f"| {about} | {figures[load]['instructions']:,} | {figures[load]['allocations']:g} |\n"
            for load, (about, _, _) in LOADS.items()]
    return "| a call | instructions | allocations |\n| --- | --- | --- |\n" + "".join(rows)


def with_table(text: str, figures: dict) -> str:
    before, rest = text.split(BEGIN)
    return before + BEGIN + table(figures) + END + rest.split(END, 1)[1]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", nargs="?", type=pathlib.Path)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--check-docs", action="store_true")
    options = parser.parse_args()
    if options.check_docs:
        expected = tomllib.loads(EXPECTED.read_text())
        if DOCS.read_text() == with_table(DOCS.read_text(), expected):
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
                f"allocations = {of['allocations']:g}\n" for load, of in figures.items()))
    DOCS.write_text(with_table(DOCS.read_text(), figures))
    print(EXPECTED.read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
