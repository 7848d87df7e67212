#!/usr/bin/env python3
"""Has every sample host call the real plugins through a private daemon, lets a plugin crash and
exchanges it under load, and prints one table.

usage: demo.py --build DIR --plugins DIR --go-hosts DIR [--missing LANGUAGE=HINT]... [--strict]
               [--tsv FILE]

scripts/demo.sh calls this after it has built everything.  Exits 0 only if all rows are right.
"""

import argparse
import os
import subprocess
import sys
import time
from typing import Dict, List, NamedTuple

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

import incidents  # noqa: E402
from private_daemon import DaemonError, PrivateDaemon, processes_of  # noqa: E402

HOST_TIMEOUT = 180  # seconds; a host makes about a dozen calls
PLUGIN_LANGUAGE = {"kv": "go", "text": "rust"}


class Row(NamedTuple):
    host: str
    route: str
    plugin: str
    call: str
    outcome: str  # ok, FAIL or "not run"
    result: str
    time: str


class Host(NamedTuple):
    name: str
    command: List[str]


def go_hosts(directory: str) -> List[Host]:
    return [Host(name[len("host-"):], [os.path.join(directory, name)])
            for name in sorted(os.listdir(directory)) if name.startswith("host-")]


def scripted_hosts(language: str) -> List[Host]:
    runner = os.path.join(ROOT, "client-lib", language, "hosts")
    done = subprocess.run([runner, "list"], check=True, stdout=subprocess.PIPE, text=True)
    return [Host(name, [runner, "run", name]) for name in done.stdout.split()]


def c_hosts(build: str) -> List[Host]:
    path = os.path.join(build, "client-lib", "examples", "host-c")
    return [Host("c", [path])] if os.path.exists(path) else []


def parse(host: Host, line: str) -> Row:
    fields = line.split("\t")
    if len(fields) != 7:
        return Row(host.name, "", "", "", "FAIL", f"not a row: {line!r}", "")
    outcome = "ok" if fields[4] == "ok" else "FAIL"
    return Row(*fields[:4], outcome, fields[5], fields[6])


def run_host(host: Host, environment: Dict[str, str], missing: Dict[str, str]) -> List[Row]:
    """The rows that the host printed, and one more if it did not end well."""
    try:
        done = subprocess.run(host.command, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=HOST_TIMEOUT, check=False)
        output, code, errors = done.stdout, done.returncode, done.stderr
    except subprocess.TimeoutExpired as late:
        output, code, errors = late.stdout or b"", None, late.stderr or b""
    except OSError as error:
        return [Row(host.name, "", "", "", "FAIL", str(error), "")]
    rows = [parse(host, line) for line in output.decode(errors="replace").splitlines() if line]
    absent = {name: missing[language] for name, language in PLUGIN_LANGUAGE.items()
              if language in missing}
    lacking = any(row.plugin in absent for row in rows)
    rows = [row._replace(outcome="not run", result=absent[row.plugin], time="")
            if row.plugin in absent else row for row in rows]
    if code is None:
        rows.append(Row(host.name, "", "", "", "FAIL", f"no end within {HOST_TIMEOUT} s", ""))
    elif not rows:
        rows.append(Row(host.name, "", "", "", "FAIL", f"no rows, exit code {code}", ""))
    elif code != 0 and not lacking and all(row.outcome == "ok" for row in rows):
        rows.append(Row(host.name, "", "", "", "FAIL", f"exit code {code}", ""))
    if any(row.outcome == "FAIL" for row in rows):
        sys.stderr.write(f"-- what {host.name} wrote to stderr:\n{errors.decode(errors='replace')}\n")
    return rows


def all_rows(options, missing: Dict[str, str]) -> List[Row]:
    hosts = c_hosts(options.build)
    rows = []
    for language in ("go", "python", "node", "php"):
        if not os.path.isdir(os.path.join(ROOT, "client-lib", language)):
            continue
        if language in missing:
            rows.append(Row(language, "", "", "", "not run", missing[language], ""))
        else:
            hosts += go_hosts(options.go_hosts) if language == "go" else scripted_hosts(language)
    plugind = os.path.join(options.build, "daemon", "plugind")
    with PrivateDaemon(plugind, options.plugins) as daemon:
        environment = dict(os.environ, PLUGIND_SOCKET=daemon.socket,
                           PLUGIND_LIBRARY=os.path.join(options.build, "client-lib",
                                                        "libplugind.so"))
        for host in hosts:
            print(f"   {host.name}", file=sys.stderr)
            rows += run_host(host, environment, missing)
        if any(row.outcome == "FAIL" for row in rows):
            sys.stderr.write("-- what plugind logged at the end:\n"
                             + "\n".join(daemon.log_text().splitlines()[-40:]) + "\n")
        before = time.monotonic()
        code = daemon.stop()
        took = f"{(time.monotonic() - before) * 1000:.1f}"
    left = processes_of(options.plugins) + processes_of(os.path.dirname(plugind))
    mine = [f"{os.path.basename(executable)} ({pid})" for pid, executable in left]
    clean = code == 0 and not mine
    rows.append(Row("plugind", "lifeline closed", "all", "stop", "ok" if clean else "FAIL",
                    "no process left" if clean else
                    f"exit code {code}, left: {', '.join(mine) or 'nothing'}", took))
    return rows


def incident_rows(options) -> List[Row]:
    def say(text: str) -> None:
        print("\n".join("   " + line for line in text.splitlines()), flush=True)

    print("== a crash, its report, a restart and an upgrade, under load", flush=True)
    proto = os.path.join(ROOT, "plugins", "proto", "echo.proto")
    rows = [Row("pluginctl", f"{incidents.CALLERS} callers", "echo", one.what,
                "ok" if one.good else "FAIL", one.result,
                f"{one.milliseconds:.1f}" if one.milliseconds else "")
            for one in incidents.show(options.build, proto, say)]
    print()
    return rows


def print_table(rows: List[Row]) -> None:
    header = Row("host", "route", "plugin", "call", "", "result", "ms")
    lines = [header] + rows
    widths = [max(len(row[i]) for row in lines) for i in range(len(header))]
    widths[5] = min(widths[5], 64)
    last = None
    for row in lines:
        if last is not None and row.host != last:
            print()
        cells = [row[i].ljust(widths[i]) for i in range(5)]
        text = row.result if len(row.result) <= 64 or row.outcome != "ok" else row.result[:63] + "…"
        print("  ".join(cells + [text.ljust(widths[5]), row.time.rjust(widths[6])]).rstrip())
        last = row.host


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--plugins", required=True)
    parser.add_argument("--go-hosts", required=True)
    parser.add_argument("--missing", action="append", default=[])
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--tsv")
    options = parser.parse_args()
    for name in ("build", "plugins", "go_hosts"):
        setattr(options, name, os.path.abspath(getattr(options, name)))
    missing = dict(one.split("=", 1) for one in options.missing)
    try:
        rows = all_rows(options, missing) + incident_rows(options)
    except DaemonError as error:
        print(error, file=sys.stderr)
        return 1
    print_table(rows)
    if options.tsv:
        with open(options.tsv, "w", encoding="utf-8") as file:
            file.writelines("\t".join(row) + "\n" for row in rows)
    count = {outcome: sum(row.outcome == outcome for row in rows)
             for outcome in ("ok", "FAIL", "not run")}
    print(f"\n{count['ok']} ok, {count['FAIL']} failed, {count['not run']} not run")
    return 1 if count["FAIL"] or (options.strict and count["not run"]) else 0


if __name__ == "__main__":
    sys.exit(main())
