#!/usr/bin/env python3
"""Tells what the daemon's instructions for a call are spent on: frames and HPACK, allocation, copies,
its own code, Asio.

    parts.py BUILD           prints the table
    parts.py BUILD --record  writes it into docs/performance.md
    parts.py BUILD --check   fails if a part's share is another than there by more than 2 %

The figures are callgrind's, as those of run.py, whose sums they are parts of.  nghttp2's HPACK is not
among the names that its library shows: it is what the library's own functions for it, which are, call.
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

import run

DOCS = run.DOCS
BEGIN = "<!-- table: parts -->\n"
BOUND = 2
LOADS = {"unary-100": "one at a time", "unary-100-32": "32 in flight"}
# A function belongs to the first part that fits its library and its name.
PARTS = {
    "nghttp2": ("nghttp2: frames, streams, HPACK", lambda library, name: "libnghttp2" in library),
    "memory": ("allocation", lambda _, name: re.fullmatch(
        r"_?(int_)?(malloc|free|calloc|realloc)(_consolidate)?|unlink_chunk.*|tcache_.*|"
        r"operator (new|delete).*|sysmalloc|systrim.*", name)),
    "copies": ("copying and comparing bytes",
               lambda _, name: re.search(r"mem(cpy|move|cmp|chr|set)|str(len|cmp)", name)),
    "plugind": ("plugind's own code", lambda _, name: "plugind::" in name.split("<")[0]),
    "asio": ("Asio, with its locks and timers", lambda _, name: re.search(
        r"boost::asio|pthread_mutex|daemon_share|clock_gettime|epoll|timerfd", name)),
    "rest": ("system calls' other side, C++ library and all else", lambda _, __: True),
}
HPACK = {"nghttp2_hd_deflate_hd": "HPACK, to write", "nghttp2_hd_inflate_hd2": "HPACK, to read"}


class Profile(NamedTuple):
    own: collections.Counter  # (library, function) → instructions
    whole: collections.Counter  # the same, with what it calls


def read(lines) -> Profile:
    """callgrind's file: https://valgrind.org/docs/manual/cl-format.html"""
    names: dict[tuple[str, str], str] = {}
    at = {"ob": "", "fn": ""}
    own, whole = collections.Counter(), collections.Counter()
    called = False  # The next costs are those of a call.
    for line in lines:
        if found := re.match(r"(c?)(ob|fn|f[lie])=\((\d+)\)(?: (.*))?", line):
            callee, kind, number, name = found.groups()
            if name is not None:
                names[kind[:1] + kind[1:].replace("i", "l").replace("e", "l"), number] = name
            if not callee and kind in at:
                at[kind] = names[kind, number]
        elif line.startswith("calls="):
            called = True
        elif found := re.match(r"(?:[+-]?\d+|\*) (\d+)", line):
            where = at["ob"], at["fn"]
            whole[where] += int(found.group(1))
            if not called:
                own[where] += int(found.group(1))
            called = False
    return Profile(own, whole)


def inner_function(library: str, name: str) -> str:
    """How callgrind calls what the library's function `name` hands its work to."""
    code = subprocess.run(["objdump", "-d", f"--disassemble={name}", library], check=True,
                          capture_output=True, text=True).stdout
    called = re.findall(r"call\s+([0-9a-f]+) <nghttp2_hd_", code)
    if len(called) != 1:
        sys.exit(f"{library}: {name} calls {len(called)} functions for HPACK, not one")
    return f"0x{int(called[0], 16):016x}"


def measure(program: pathlib.Path, load: str) -> dict[str, float]:
    """Instructions a call, by part."""
    _, few, many = run.FORWARDING[load]
    sums = []
    for calls in (few, many):
        with tempfile.TemporaryDirectory(prefix="plugind-callgrind-") as directory:
            out = pathlib.Path(directory, "out")
            subprocess.run(["valgrind", "--tool=callgrind", "--collect-atstart=no",
                            "--toggle-collect=daemon_share", f"--callgrind-out-file={out}",
                            str(program), load, str(calls)], check=True, capture_output=True,
                           timeout=600)
            profile = read(out.read_text().splitlines())
        sums.append(collections.Counter())
        for (library, name), cost in profile.own.items():
            part = next(key for key, (_, fits) in PARTS.items() if fits(library, name))
            sums[-1][part] += cost
        library = next(library for library, _ in profile.own if "libnghttp2" in library)
        for outer in HPACK:
            sums[-1][outer] = profile.whole[library, inner_function(library, outer)]
    return {part: (sums[1][part] - sums[0][part]) / (many - few) for part in sums[1]}


def table(figures: dict[str, dict[str, float]]) -> str:
    totals = {load: sum(figures[load][part] for part in PARTS) for load in LOADS}
    rows = ["| instructions of a call of 100 B | " + " | ".join(LOADS.values()) + " |\n",
            "| --- | --- | --- |\n"]

    def add(about: str, part: str) -> None:
        rows.append(f"| {about} | " + " | ".join(
            f"{figures[load].get(part, 0):,.0f} ({figures[load].get(part, 0) / totals[load]:.0%})"
            for load in LOADS) + " |\n")

    for part, (about, _) in PARTS.items():
        add(about, part)
    for part, about in HPACK.items():
        add(about + ", with what that calls", part)
    return "".join(rows)


def shares(text: str) -> list[tuple[str, list[int]]]:
    """By row of a table, in percent."""
    found = [(row.split("|")[1].strip(), re.findall(r"\((\d+)%\)", row)) for row in text.splitlines()]
    return [(about, [int(share) for share in of]) for about, of in found if of]


def differences(recorded: str, now: str) -> list[str]:
    was, is_now = dict(shares(recorded)), dict(shares(now))
    if was.keys() != is_now.keys():
        return [f"the rows are others: {', '.join(sorted(was.keys() ^ is_now.keys()))}"]
    return [f"{about}: {was[about]} % recorded, {of} % now" for about, of in is_now.items()
            if any(abs(a - b) > BOUND for a, b in zip(was[about], of, strict=True))]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    program = options.build / "tests/instructions/forward_instructions"
    text = table({load: measure(program, load) for load in LOADS})
    print(text, end="")
    if options.check:
        found = differences(DOCS.read_text().split(BEGIN)[1].split(run.END)[0], text)
        print("".join(line + "\n" for line in found), end="")
        return 1 if found else 0
    if options.record:
        before, rest = DOCS.read_text().split(BEGIN)
        DOCS.write_text(before + BEGIN + text + run.END + rest.split(run.END, 1)[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
