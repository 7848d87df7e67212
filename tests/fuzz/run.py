#!/usr/bin/env python3
"""Runs the fuzz targets for a while, each from its seeds, several at a time.

usage: run.py [--seconds N] [--jobs N] [--corpus DIRECTORY] BUILD [TARGET...]

BUILD is a build directory with the targets.  An input that fails is kept in BUILD/findings.  With
--corpus, inputs that reach something new are kept in DIRECTORY/TARGET, and are the start of the
next run.  Where PLUGIND_RESULTS names a file, a line for each target is appended to it, as
scripts/lib/report.sh describes.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = sorted(file.name[:-len("_fuzz.cc")] for file in HERE.glob("*_fuzz.cc"))


class Outcome(NamedTuple):
    target: str
    passed: bool
    summary: str
    log: str


def command(build, target, arguments):
    line = [str(build / "tests" / "fuzz" / f"fuzz-{target}"), "-max_len=4096", "-timeout=25",
            "-rss_limit_mb=2048", "-print_final_stats=1", *arguments]
    dictionary = HERE / f"{target}.dict"
    if dictionary.exists():
        line.append(f"-dict={dictionary}")
    return line


def summary_of(log, seconds):
    """What libFuzzer did, from what it printed."""
    executed = re.findall(r"stat::number_of_executed_units: *(\d+)", log)
    coverage = re.findall(r"\bcov: (\d+) ft: (\d+)", log)
    text = f"{executed[-1] if executed else 'no'} executions in {seconds} s"
    return text + (", coverage {} edges, {} features".format(*coverage[-1]) if coverage else "")


def finding_of(log, build, target):
    """What to tell of a failure: what it was, where the input is, how to see it again."""
    what = re.findall(r"^.*(?:does not hold: .*|runtime error: .*|ERROR: .*)$", log, re.MULTILINE)
    kept = re.findall(r"Test unit written to (\S+)", log)
    text = what[0] if what else "it ended with an error"
    if kept:
        text += f"; the input is {kept[-1]}; again: {command(build, target, [])[0]} {kept[-1]}"
    return text


def environment():
    """With names of functions in what the sanitizers print; binutils' tool is always there."""
    found = [shutil.which(name) for name in ("llvm-symbolizer-19", "llvm-symbolizer", "addr2line")]
    return {"ASAN_SYMBOLIZER_PATH": next(filter(None, found), ""), **os.environ}


def run(build, seeds, corpus, target, seconds):
    findings = build / "findings"
    findings.mkdir(exist_ok=True)
    kept = corpus / target
    kept.mkdir(parents=True, exist_ok=True)
    starts = [folder for folder in (seeds / target, HERE / "seeds" / target) if folder.is_dir()]
    if not any(file.is_file() for folder in starts for file in folder.iterdir()):
        return Outcome(target, False, "it has no seeds, neither in tests/fuzz/seeds nor by make_seeds.py",
                       "")
    line = command(build, target, [f"-max_total_time={seconds}",
                                   f"-artifact_prefix={findings}/{target}-",
                                   str(kept), *map(str, starts)])
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env=environment())
    log = done.stdout.decode(errors="replace")
    if done.returncode == 0:
        return Outcome(target, True, summary_of(log, seconds), log)
    return Outcome(target, False, finding_of(log, build, target), log)


def report(outcome):
    print(f"{outcome.target}: {outcome.summary}", flush=True)
    if not outcome.passed:
        print("\n".join(outcome.log.splitlines()[-60:]), flush=True)
    if "PLUGIND_RESULTS" in os.environ:
        with open(os.environ["PLUGIND_RESULTS"], "a", encoding="utf-8") as file:
            words = " ".join(outcome.summary.split())
            if outcome.passed:
                file.write(f"passed\t{outcome.target}\t\nnote\t{outcome.target}\t{words}\n")
            else:
                file.write(f"failed\t{outcome.target}\t{words}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--corpus", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    build = options.build.resolve()
    with tempfile.TemporaryDirectory(prefix="plugind-fuzz-") as directory:
        seeds = pathlib.Path(directory, "seeds")
        subprocess.run([sys.executable, HERE / "make_seeds.py", seeds], check=True)
        corpus = options.corpus or pathlib.Path(directory, "corpus")
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            rounds = [pool.submit(run, build, seeds, corpus, target, options.seconds)
                      for target in options.targets or TARGETS]
            failed = False
            for done in concurrent.futures.as_completed(rounds):
                report(done.result())
                failed = failed or not done.result().passed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
