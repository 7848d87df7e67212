#!/usr/bin/env python3
"""Tells what the memory of an idle connection and of an idle plugin is for: of a host's connection,
and of what forwarding holds for a plugin that runs: its plugin socket and the connection to its
instance.

    memory.py BUILD             one line each: "ok" or "FAIL", and what it is; it fails if a sum is
                                more than 3 % over memory.toml
    memory.py BUILD --record    writes memory.toml and the table in docs/performance.md
    memory.py --check-docs      whether the table has the figures of memory.toml

The blocks come from valgrind (DHAT), at the end of two runs with different numbers of connections or
plugins; their difference is free of what is there once.  To each block comes what malloc() adds.
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs/performance.md"
EXPECTED = HERE / "memory.toml"
BOUND = 0.03
BEGIN, END = "<!-- table: memory -->\n", "<!-- end of table -->\n"
# What it is, two numbers of them, and what tells the blocks that belong to it.
SUBJECTS = {
    "idle-hosts": ("a host's connection", 50, 250,
                   re.compile(r"plugind::forward::(?!testing)|daemon_share")),
    "idle-plugins": ("forwarding for a plugin that runs, and its plugin socket", 20, 80,
                     re.compile(r"plugind::forward::(?!testing)")),
}
# A block belongs to the first part that fits its stack, as one text, and its size.
PARTS = {
    "frame": ("nghttp2: room for one frame that is to be sent",
              lambda stack, size: "libnghttp2" in stack and size > 16_000),
    "session": ("nghttp2: session, table of streams, two HPACK tables",
                lambda stack, size: "libnghttp2" in stack),
    "rest": ("the connection, bytes that were sent last, Asio's registrations, and all else",
             lambda stack, size: True),
}
# These do not.
PLAYED = re.compile(r"testing::(Peer|FakeProcess)")


def blocks(program: pathlib.Path, load: str, count: int) -> collections.Counter:
    """(part, size) → how many blocks there are at the end."""
    with tempfile.TemporaryDirectory(prefix="plugind-dhat-") as directory:
        subprocess.run(["valgrind", "--tool=dhat", "--num-callers=200",
                        f"--dhat-out-file={directory}/out", str(program), load, str(count)],
                       check=True, capture_output=True, timeout=600)
        report = json.loads(pathlib.Path(directory, "out").read_text())
    found = collections.Counter()
    for point in report["pps"]:
        stack = "\n".join(report["ftbl"][frame] for frame in point["fs"])
        if point["ebk"] == 0 or PLAYED.search(stack) or not SUBJECTS[load][3].search(stack):
            continue
        size = point["eb"] // point["ebk"]
        part = next(key for key, (_, fits) in PARTS.items() if fits(stack, size))
        found[part, size] += point["ebk"]
    return found


def with_overhead(size: int) -> int:
    """What glibc's malloc() takes for a block."""
    return max(32, (size + 8 + 15) // 16 * 16)


def measure(program: "pathlib.Path | str") -> dict[str, dict[str, int]]:
    figures = {}
    for load, (_, few, many, _) in SUBJECTS.items():
        less, more = blocks(program, load, few), blocks(program, load, many)
        figures[load] = dict.fromkeys(PARTS, 0)
        for part, size in more:
            of_one = (more[part, size] - less[part, size]) / (many - few)
            figures[load][part] += round(of_one * with_overhead(size))
    return figures


def table(figures: dict) -> str:
    rows = ["| bytes | " + " | ".join(about for about, *_ in SUBJECTS.values()) + " |\n",
            "| --- | --- | --- |\n"]
    for part, (about, _) in PARTS.items():
        rows.append(f"| {about} | " + " | ".join(f"{figures[load][part]:,}" for load in SUBJECTS)
                    + " |\n")
    rows.append("| all | " + " | ".join(f"{sum(figures[load].values()):,}" for load in SUBJECTS)
                + " |\n")
    return "".join(rows)


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
        print("docs/performance.md differs from tests/instructions/memory.toml; "
              "run tests/instructions/memory.py BUILD --record")
        return 1
    figures = measure(options.build / "tests/instructions/forward_instructions")
    if options.record:
        EXPECTED.write_text(
            "# Bytes; made by tests/instructions/memory.py BUILD --record.\n" +
            "".join(f"\n[{load}]\n" + "".join(f"{part} = {size}\n" for part, size in of.items())
                    for load, of in figures.items()))
        DOCS.write_text(with_table(DOCS.read_text(), figures))
        return 0
    expected = tomllib.loads(EXPECTED.read_text())
    good = True
    for load, (about, *_) in SUBJECTS.items():
        is_now, was = sum(figures[load].values()), sum(expected[load].values())
        verdict = "ok" if is_now <= was * (1 + BOUND) else "FAIL"
        note = " (record the gain: memory.py BUILD --record)" if is_now < was * (1 - BOUND) else ""
        print(f"{verdict} {about}: {is_now:,} bytes, {was:,} recorded{note}")
        good = good and verdict == "ok"
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
