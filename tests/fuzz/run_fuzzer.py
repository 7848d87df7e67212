#!/usr/bin/env python3
"""Runs a fuzzer from its seeds, in a directory of its own.

usage: run_fuzzer.py FUZZER MAKE_SEEDS SEEDS RUNS

An input that fails is left in the current directory, as libFuzzer does, and named.
"""
import pathlib
import subprocess
import sys
import tempfile

fuzzer, make_seeds, seeds, runs = sys.argv[1:]
with tempfile.TemporaryDirectory() as directory:
    subprocess.run([sys.executable, make_seeds, directory], check=True)
    corpus = pathlib.Path(directory, seeds)
    sys.exit(subprocess.run([str(pathlib.Path(fuzzer).resolve()), f"-runs={runs}", "-seed=1",
                             "-max_len=4096", "-timeout=10", "-rss_limit_mb=1024",
                             "-print_final_stats=1", str(corpus)]).returncode)
