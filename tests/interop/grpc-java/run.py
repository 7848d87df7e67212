#!/usr/bin/env python3
"""The official gRPC interop cases with grpc-java's client and server: directly and through plugind.

usage: run.py [--build DIR]

  --build DIR  where plugind was built; $PLUGIND_BUILD or build/ unless given

Needs target/, which mvn process-classes makes.  Prints TAP: a result for each case and route, one
for the list of the cases, and one for each table in docs/compatibility.md.  UPDATE_DOCS=1 corrects
the tables.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from compatibility import (  # noqa: E402
    ROOT, Tap, compare_with_page, direct_server, end_with_sigterm, markdown_table,
    wait_for)
from private_daemon import PrivateDaemon  # noqa: E402

# Every case of grpc-java's client but those of LEFT_OUT.
CASES = """
empty_unary large_unary client_compressed_unary client_compressed_unary_noprobe
server_compressed_unary client_streaming client_compressed_streaming
client_compressed_streaming_noprobe server_streaming server_compressed_streaming ping_pong
empty_stream custom_metadata status_code_and_message special_status_message unimplemented_method
unimplemented_service cancel_after_begin cancel_after_first_response timeout_on_sleeping_server
very_large_request pick_first_unary rpc_soak channel_soak orca_per_rpc orca_oob cacheable_unary
""".split()

# The other cases of grpc-java's client, and what they need that is not here.
LEFT_OUT = {
    "compute_engine_creds": "TLS, a machine of Google Compute Engine",
    "compute_engine_channel_credentials": "TLS, a machine of Google Compute Engine",
    "service_account_creds": "TLS, the key of a Google service account",
    "jwt_token_creds": "TLS, the key of a Google service account",
    "oauth2_auth_token": "TLS, the key of a Google service account",
    "per_rpc_creds": "TLS, the key of a Google service account",
    "google_default_credentials": "TLS, Google's default credentials",
}

# What is known to fail between grpc-java's own client and server.
FAILS_DIRECTLY = {"client_compressed_unary", "client_compressed_streaming", "cacheable_unary"}

# The stream of orca_oob is opened below the channel, where no interceptor can add metadata: on the
# front socket it finds its plugin by the service.
MANIFEST = """
name = "interop"
command = {command}
services = ["xds.service.orca.v3.OpenRcaService"]
"""

ROUTE_LIMIT = 300
LIST_LIMIT = 60


def java(main, *arguments):
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            f"-Djava.util.logging.config.file={HERE}/logging.properties",
            "-cp", f"{HERE}/target/classes:{HERE}/target/lib/*",
            "io.grpc.testing.integration." + main, *arguments]


class Client:
    """A process that makes every case's calls on one route, and ends with its `with`."""

    def __init__(self, path, plugin):
        self._said, self._complaints = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._process = subprocess.Popen(java("UnixSocketClient", path, plugin, *CASES),
                                         stdin=subprocess.DEVNULL, stdout=self._said,
                                         stderr=self._complaints)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._said.close()
        self._complaints.close()

    def finish(self, deadline):
        """Returns what each case ended with, and all that was said."""
        late = ""
        try:
            self._process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            late = f"no end within {ROUTE_LIMIT} s\n"
        said, complaints = (self._read(file) for file in (self._said, self._complaints))
        outcomes = dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)
        return outcomes, late + complaints

    @staticmethod
    def _read(file):
        file.seek(0)
        return file.read().decode(errors="replace")


def compare_with_official(tap):
    """A result: whether CASES and LEFT_OUT together are the cases of the client that is used."""
    name = "the list of the cases"
    try:
        listed = subprocess.run(java("UnixSocketClient"), stdin=subprocess.DEVNULL, check=True,
                                stdout=subprocess.PIPE, text=True, timeout=LIST_LIMIT)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        tap.result(False, name, str(error))
        return
    official, known = listed.stdout.split(), [*CASES, *LEFT_OUT]
    wrong = [f"{case} is official, but neither in CASES nor in LEFT_OUT"
             for case in official if case not in known]
    wrong += [f"{case} is no case of grpc-java's client" for case in known if case not in official]
    wrong += [f"{case} is listed twice" for case in sorted(set(known)) if known.count(case) > 1]
    tap.result(not wrong, name, "\n".join(wrong))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.environ.get("PLUGIND_BUILD",
                                                          os.path.join(ROOT, "build")))
    build = parser.parse_args().build
    end_with_sigterm()
    tap = Tap()
    directory = tempfile.mkdtemp(prefix="interop-", dir="/tmp")  # short: it holds a socket
    try:
        manifests = os.path.join(directory, "manifests")
        os.mkdir(manifests)
        with open(os.path.join(manifests, "interop.toml"), "w", encoding="utf-8") as manifest:
            manifest.write(MANIFEST.format(command=json.dumps(java("UnixSocketServer"))))
        direct = os.path.join(directory, "direct.sock")
        with direct_server(java("UnixSocketServer"), direct, os.path.join(directory, "log")), \
                PrivateDaemon(os.path.join(build, "daemon", "plugind"), manifests,
                              "warning") as daemon:
            routes = {"direct": (direct, ""),
                      "front socket": (daemon.socket, "interop"),
                      "plugin socket": (daemon.plugin_socket("interop"), "")}
            wait_for(daemon.plugin_socket("interop"))
            deadline = time.monotonic() + ROUTE_LIMIT
            with contextlib.ExitStack() as stack:  # At once: the cases mostly wait.
                clients = {route: stack.enter_context(Client(*to)) for route, to in routes.items()}
                outcomes = {route: client.finish(deadline) for route, client in clients.items()}
            log = daemon.log_text()
    finally:
        shutil.rmtree(directory, ignore_errors=True)

    rows = []
    for case in CASES:
        found = [outcomes[route][0].get(case, "fails: it was not reached") for route in routes]
        rows.append([case, *found])
        for route, outcome in zip(routes, found):
            # A case that fails without plugind must fail in the same way with it.
            good = outcome == found[0] and (outcome == "passes" or case in FAILS_DIRECTLY)
            tap.result(good, f"{case} ({route})",
                       "" if good else f"it {outcome}; directly it {found[0]}")
    if tap.failed:
        for route in routes:
            print(f"-- the client, {route}:\n{outcomes[route][1]}", file=sys.stderr)
        print(f"-- the daemon:\n{log}", file=sys.stderr)
    compare_with_official(tap)
    compare_with_page(tap, "interop-java", markdown_table(["case", *routes], rows))
    compare_with_page(tap, "interop-java-not-run",
                      markdown_table(["case", "needs"], LEFT_OUT.items()))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
