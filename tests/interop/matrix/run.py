#!/usr/bin/env python3
"""Servers and clients of six gRPC implementations, crosswise, through plugind's sockets.

usage: run.py PROGRAMS [--build DIR] [--host NAME]... [--plugin NAME]...

  PROGRAMS       where build.sh put what it built
  --build DIR    where plugind was built; $PLUGIND_BUILD or build/ unless given
  --host NAME    only this host, and --plugin NAME only this plugin; the table is not compared then

Prints TAP: a result for each host and plugin, and one for the table in docs/compatibility.md.
UPDATE_DOCS=1 corrects the table.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from compatibility import (  # noqa: E402
    ROOT, Tap, compare_with_page, direct_server, end_with_sigterm, markdown_table,
    wait_for)
from private_daemon import PrivateDaemon  # noqa: E402

CHECKS = ["unary", "bidirectional", "large", "metadata", "compressed", "details", "trailers-only",
          "early", "front", "rejected"]
PASSES = "passes"
CLIENT_LIMIT = 200  # All checks at their own limits, and the start of a virtual machine.

# The check "compressed" sends 4 MiB of zeros each way, which gzip makes 4 KiB of.
COMPRESSED_LIMIT = 1 << 20
# Its server cannot compress: it must be seen to send all of the 4 MiB.
ANSWERS_UNCOMPRESSED = {"grpc-js"}

# The check "rejected" sends 5 MiB to a second plugin, whose server keeps its library's own limit, of
# 4 MiB.  The status that the library refuses it with must arrive, in the library's words.
LIMITED = {"MATRIX_DEFAULT_LIMIT": "1"}
REFUSALS = {
    "grpc-go": "8 grpc: received message larger than max (5242885 vs. 4194304)",
    "grpc++": "8 Received message larger than max (5242885 vs. 4194304)",
    # OUT_OF_RANGE; that of the others is RESOURCE_EXHAUSTED.
    "tonic": "11 Error, decoded message length too large: found 5242885 bytes, the limit is: "
             "4194304 bytes",
    "grpc-java": "8 gRPC message exceeds maximum size 4194304: 5242885",
    "grpcio": "8 SERVER: Received message larger than max (5242885 vs. 4194304)",
    "grpc-js": "8 Received message larger than max (5242885 vs 4194304)",
}

# What fails between two implementations without plugind as well; it must fail in the same way with
# it.
FAILS_DIRECTLY = {
    # tonic 0.12 sends a "%" in the status message as it is; grpc-js cannot decode that, and does not.
    ("grpc-js", "tonic"): ["trailers-only"],
}

# A google.rpc.Status that no library would write like this: with a field that does not exist, the
# fields in another order, and details of all 256 bytes.  Whoever parses it and writes it anew alters
# it.
MESSAGE = b"with details"
ANY = b"\x0a\x01a\x12" + b"\x80\x02" + bytes(range(256))
DETAILS = (b"\xa0\x06\x01" + b"\x12" + bytes([len(MESSAGE)]) + MESSAGE + b"\x08\x09"
           + b"\x1a\x87\x02" + ANY)


def programs(out, build):
    """The commands of each implementation's server and client."""
    cpp = os.path.join(build, "tests", "interop", "matrix", "cpp", "matrix-")
    python = f"{HERE}/python/.venv/bin/python"

    def java(main):
        return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                f"-Djava.util.logging.config.file={HERE}/java/logging.properties",
                "-cp", f"{HERE}/java/target/classes:{HERE}/java/target/lib/*",
                "io.github.plugind.matrix." + main]

    return {
        "grpc-go": ([f"{out}/grpc-go-server"], [f"{out}/grpc-go-client"]),
        "grpc++": ([cpp + "server"], [cpp + "client"]),
        "tonic": ([f"{out}/matrix-tonic-server"], [f"{out}/matrix-tonic-client"]),
        "grpc-java": (java("Server"), java("Client")),
        "grpcio": ([python, f"{HERE}/python/server.py"], [python, f"{HERE}/python/client.py"]),
        "grpc-js": (["node", f"{HERE}/node/server.js"], ["node", f"{HERE}/node/client.js"]),
    }


class CountingRelay:
    """Passes connections to a Unix socket on to another one, and counts the bytes each way."""

    def __init__(self, path, target):
        self.path = path
        self._target = target
        self.sent = self.answered = 0
        self._threads = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen()
        self._start(self._accept)

    def _start(self, run, *arguments):
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return  # close() has ended it
            there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                there.connect(self._target)
            except OSError:
                here.close()
                there.close()
                continue
            self._start(self._copy, here, there, "sent")
            self._start(self._copy, there, here, "answered")

    def _copy(self, source, to, counter):
        with contextlib.suppress(OSError):  # one end is gone: so is the other, below
            while data := source.recv(1 << 16):
                setattr(self, counter, getattr(self, counter) + len(data))
                to.sendall(data)
        for end in (source, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)  # Wakes accept().
        self._listener.close()
        for thread in self._threads:
            thread.join()
        os.unlink(self.path)


def uncompressed(plugin, relay):
    """What is wrong with the number of bytes that the check "compressed" took, or None."""
    if relay.sent > COMPRESSED_LIMIT:
        return f"the request took {relay.sent} bytes: it was not compressed"
    if plugin in ANSWERS_UNCOMPRESSED:
        if relay.answered < COMPRESSED_LIMIT:
            return f"the answer took {relay.answered} bytes: the server compresses after all"
    elif relay.answered > COMPRESSED_LIMIT:
        return f"the answer took {relay.answered} bytes: it was not compressed"
    return None


def run_client(command, plugin, path, limited, front, directory):
    """Returns what each check ended with, and what else the client said."""
    with CountingRelay(os.path.join(directory, "counted.sock"), path) as relay:
        try:
            arguments = [path, relay.path, limited, front, slug(plugin), DETAILS.hex()]
            done = subprocess.run([*command, *arguments], timeout=CLIENT_LIMIT,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
            said, complaints = done.stdout, done.stderr
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode()
            complaints = f"no end within {CLIENT_LIMIT} s\n" + (late.stderr or b"").decode()
    found = dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)
    outcomes = {check: found.get(check, "fails: it was not reached") for check in CHECKS}
    if outcomes["compressed"] == PASSES and (wrong := uncompressed(plugin, relay)):
        outcomes["compressed"] = "fails: " + wrong
    if refusal := found.get("rejected"):
        good = refusal == REFUSALS[plugin]
        outcomes["rejected"] = PASSES if good else f"fails: the status is {refusal}"
    return outcomes, complaints


def failures(outcomes):
    return [check for check in CHECKS if outcomes[check] != PASSES]


def describe(outcomes):
    return "\n".join(f"{check}: {outcomes[check]}" for check in CHECKS)


class Cell:
    """What came of one host and one plugin."""

    def __init__(self, host, plugin, commands, daemon, directory):
        command = commands[host][1]
        self.details = ""
        outcomes, complaints = run_client(
            command, plugin, daemon.plugin_socket(slug(plugin)),
            daemon.plugin_socket(limited_name(plugin)), daemon.socket, directory)
        failed = failures(outcomes)
        self.good = not failed
        self.text = PASSES
        if not failed:
            return
        server, log = commands[plugin][0], os.path.join(directory, "direct.log")
        path = os.path.join(directory, f"{slug(host)}-{slug(plugin)}.sock")
        limited = os.path.join(directory, f"{slug(host)}-{limited_name(plugin)}.sock")
        with direct_server(server, path, log), direct_server(server, limited, log, LIMITED):
            direct, direct_complaints = run_client(command, plugin, path, limited, path, directory)
        self.good = (failed == FAILS_DIRECTLY.get((host, plugin))
                     and all(outcomes[check] == direct[check] for check in CHECKS))
        self.text = "fails: " + ", ".join(
            f"{check} (directly {'it passes' if direct[check] == PASSES else 'as well'})"
            for check in failed)
        self.details = (f"through plugind:\n{describe(outcomes)}\n{complaints}\n"
                        f"directly:\n{describe(direct)}\n{direct_complaints}")


def slug(implementation):
    return implementation.replace("+", "p")


def limited_name(implementation):
    return slug(implementation) + "-limited"


def write_manifest(directory, name, command, variables):
    env = ", ".join(f"{key} = {json.dumps(value)}" for key, value in variables.items())
    with open(os.path.join(directory, name + ".toml"), "w", encoding="utf-8") as manifest:
        manifest.write(f'name = "{name}"\ncommand = {json.dumps(command)}\nenv = {{ {env} }}\n')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs")
    parser.add_argument("--build", default=os.environ.get("PLUGIND_BUILD",
                                                          os.path.join(ROOT, "build")))
    parser.add_argument("--host", action="append", default=[])
    parser.add_argument("--plugin", action="append", default=[])
    options = parser.parse_args()
    commands = programs(os.path.abspath(options.programs), os.path.abspath(options.build))
    hosts = [name for name in commands if not options.host or name in options.host]
    plugins = [name for name in commands if not options.plugin or name in options.plugin]
    end_with_sigterm()
    tap = Tap()
    rows = []
    directory = tempfile.mkdtemp(prefix="matrix-", dir="/tmp")  # short: it holds sockets
    try:
        manifests = os.path.join(directory, "manifests")
        os.mkdir(manifests)
        for plugin in plugins:
            write_manifest(manifests, slug(plugin), commands[plugin][0], {})
            write_manifest(manifests, limited_name(plugin), commands[plugin][0], LIMITED)
        with PrivateDaemon(os.path.join(options.build, "daemon", "plugind"), manifests,
                           "warning") as daemon:
            for plugin in plugins:
                wait_for(daemon.plugin_socket(slug(plugin)))
                wait_for(daemon.plugin_socket(limited_name(plugin)))
            for host in hosts:
                cells = [Cell(host, plugin, commands, daemon, directory) for plugin in plugins]
                for plugin, cell in zip(plugins, cells):
                    tap.result(cell.good, f"host {host}, plugin {plugin}", cell.details)
                rows.append([host, *(cell.text for cell in cells)])
            if tap.failed:
                print(f"-- the daemon:\n{daemon.log_text()}", file=sys.stderr)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if not options.host and not options.plugin:
        compare_with_page(tap, "matrix", markdown_table(["host \\ plugin", *plugins], rows))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
