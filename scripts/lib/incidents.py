"""A crash, its report, a restart and an upgrade, while hosts call all the time: what the demonstration
shows besides its table, on a daemon of its own."""

import base64
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from typing import Callable, Dict, List, NamedTuple, Optional

from private_daemon import PrivateDaemon, processes_of

CALLERS = 4
DEADLINE = 60  # seconds for each step, on a busy machine
UNARY = "echo.v1.Echo/Unary"
STREAM = "echo.v1.Echo/BidiStream"
MANIFEST = """name = "echo"
version = "{version}"
command = ["{command}"]
upgrade.probation = "1s"
"""


class Incident(NamedTuple):
    """One thing that happened, and whether it went as it should."""
    what: str
    good: bool
    result: str
    milliseconds: float


class Failure(Exception):
    """A step did not come to its end."""


class Tools(NamedTuple):
    pluginctl: str
    proto: str
    socket: str

    def command(self, *arguments: str) -> List[str]:
        return [self.pluginctl, "--socket", self.socket, *arguments]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=DEADLINE)
        if done.returncode != 0:
            raise Failure(f"pluginctl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def instances(self) -> Dict[int, str]:
        """The pids of those that are there, and their states."""
        plugin = json.loads(self.run("status", "echo", "--json"))
        return {int(one["pid"]): one["state"] for one in plugin["instances"]}

    def version(self) -> str:
        return json.loads(self.run("status", "echo", "--json"))["manifest"]["version"]


def message(text: str) -> str:
    return json.dumps({"payload": base64.b64encode(text.encode()).decode()})


def eventually(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"after {DEADLINE} s still not: {what}")
        time.sleep(0.01)


class Load:
    """Hosts, each a process of its own, that call one after another."""

    def __init__(self, tools: Tools):
        self._tools = tools
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.answered = 0
        self.failures: List[str] = []
        self._threads = [threading.Thread(target=self._call, args=(str(number),))
                         for number in range(CALLERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _call(self, caller: str) -> None:
        sent = message("from caller " + caller)
        command = self._tools.command("call", "echo", UNARY, "--proto", self._tools.proto,
                                      "--json", "--timeout", f"{DEADLINE}s", "-d", sent)
        while not self._stop.is_set():
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, check=False)
            with self._lock:
                if done.returncode == 0 and json.loads(done.stdout) == json.loads(sent):
                    self.answered += 1
                else:
                    self.failures.append(reason_of(done.stderr) or done.stderr + done.stdout)

    def wait_answered(self, more: int) -> None:
        wanted = self.answered + more
        eventually(lambda: self.answered >= wanted, f"{more} more calls answered")


def reason_of(errors: str) -> str:
    try:
        return json.loads(errors)["error"].get("reason", "")
    except (ValueError, KeyError):
        return ""


class Stream:
    """A call that stays open."""

    def __init__(self, tools: Tools):
        self._process = subprocess.Popen(
            tools.command("call", "echo", STREAM, "--proto", tools.proto, "--json"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def answers(self, text: str) -> bool:
        self._process.stdin.write(message(text) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        return bool(line) and json.loads(line) == json.loads(message(text))

    def end(self) -> str:
        """What it was told at its end; "" if that was a good one."""
        _, errors = self._process.communicate(timeout=DEADLINE)
        return errors.strip() if self._process.returncode != 0 else ""


def crash(tools: Tools, load: Load, say: Callable[[str], None]) -> List[Incident]:
    (pid,) = tools.instances()
    with Stream(tools) as stream:
        if not stream.answers("in flight"):
            raise Failure("the stream was not answered: " + stream.end())
        say(f"$ kill -KILL {pid}    # the plugin")
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        told = stream.end()
    say("a stream in flight is told: " + (json.loads(told)["error"]["message"] if told else "nothing"))
    after: List[int] = []
    eventually(lambda: bool(after.extend(other for other, state in tools.instances().items()
                                         if other != pid and state == "INSTANCE_STATE_READY")
                            or after), "another instance that is ready")
    took = (time.monotonic() - killed) * 1000
    load.wait_answered(20)
    say(f"started again: pid {after[0]}")
    report = tools.run("crashes", "echo")
    say("$ pluginctl crashes echo\n" + report.rstrip())
    lost = list(load.failures)
    load.failures.clear()
    return [
        Incident("crash", reason_of(told) == "PLUGIN_CRASHED" and set(lost) <= {"PLUGIN_CRASHED"},
                 f"a stream and {len(lost)} calls in flight were told {reason_of(told)}", 0),
        Incident("report", "SIGKILL" in report and STREAM in report,
                 "names the signal and the stream", 0),
        Incident("restart", True, f"pid {pid}, then {after[0]}", took),
    ]


def upgrade(tools: Tools, load: Load, write_manifest: Callable[[str], None],
            say: Callable[[str], None]) -> List[Incident]:
    (old,) = tools.instances()
    before = load.answered
    with Stream(tools) as stream:
        began = stream.answers("begun with the old version")
        write_manifest("1.1.0")
        say('$ pluginctl upgrade echo    # version = "1.1.0"')
        started = time.monotonic()
        command = subprocess.Popen(tools.command("upgrade", "echo"), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            eventually(lambda: command.poll() is not None  # It failed.
                       or tools.instances().get(old) == "INSTANCE_STATE_DRAINING",
                       "the old instance in reserve")
            kept = stream.answers("answered by the old one") and stream.end() == ""
            output, errors = command.communicate(timeout=DEADLINE)
        finally:
            if command.poll() is None:
                command.kill()
                command.communicate()
        took = (time.monotonic() - started) * 1000
    load.wait_answered(20)
    after, version = tools.instances(), tools.version()
    calls, failed = load.answered - before, list(load.failures)
    say((output + errors).strip())
    say(f"version {version}; {calls} calls meanwhile, {len(failed)} failed")
    good = (began and kept and command.returncode == 0 and not failed and version == "1.1.0"
            and len(after) == 1 and old not in after)
    return [Incident("upgrade", good, f"to {version}; {calls} calls, {len(failed)} failed"
                     + (f" ({failed[0]})" if failed else ""), took)]


def show(build: str, proto: str, say: Callable[[str], None]) -> List[Incident]:
    """Lets it happen, says what, and returns how it went."""
    plugind = os.path.join(build, "daemon", "plugind")
    program = os.path.join(build, "plugins", "echo-cpp", "echo-cpp")
    with tempfile.TemporaryDirectory(prefix="plugind-demo-") as manifests:
        def write_manifest(version: str) -> None:
            # Whoever reads it at that moment reads the old one or the new one.
            path = os.path.join(manifests, "echo.toml")
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write(MANIFEST.format(version=version, command=program))
            os.replace(path + ".new", path)

        write_manifest("1.0.0")
        incidents: List[Incident] = []
        failure: Optional[Exception] = None
        with PrivateDaemon(plugind, manifests) as daemon:
            tools = Tools(os.path.join(build, "client-lib", "pluginctl", "pluginctl"), proto,
                          daemon.socket)
            say(f"{CALLERS} hosts call the plugin echo all the time")
            try:
                with Load(tools) as load:
                    load.wait_answered(20)
                    incidents += crash(tools, load, say)
                    incidents += upgrade(tools, load, write_manifest, say)
                    load.wait_answered(20)
            except (Failure, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as error:
                failure = error
                say("plugind's log:\n" + "\n".join(daemon.log_text().splitlines()[-40:]))
            code = daemon.stop()
        left = processes_of(os.path.dirname(program))
    if failure is not None:
        incidents.append(Incident("as a whole", False, str(failure), 0))
    incidents.append(Incident("stop", code == 0 and not left,
                              "no process left" if code == 0 and not left
                              else f"exit code {code}, left: {left}", 0))
    return incidents
