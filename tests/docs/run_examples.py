#!/usr/bin/env python3
"""Runs the examples in pages of documentation as a reader would, and reports in TAP.

usage: run_examples.py --build DIR PAGE...

A page is one session of a shell, in a fresh copy of the tree's files, with what `meson install`
installs on its PATH.  In order:
  - a block of code that a line ending with "`FILE`:" introduces is written to FILE; if FILE belongs
    to the tree, the block must be a part of it, as it stands;
  - ```console runs the commands after "$ " and compares what they print with the lines below;
    "…" stands for anything, on a line of its own for any number of lines; how many spaces there
    are does not matter; without expected lines the output is free, and the command must succeed;
  - ```sh is run, and must succeed;
  - ```toml with a name and a command is a manifest, and plugind --check must accept it.
A block below "<!-- not run: WHY -->" is left out, "<!-- tested by FILE -->" if FILE reads it.  Any
other block with a language is a failure: an example that nobody runs.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Iterator, List, NamedTuple, Optional

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
TIMEOUT = 300  # seconds for a block; the slowest builds the Go host for the first time
# What setup scripts and builds made, so that the copy need not make it again.
SHARED = ["client-lib/python/.venv", "client-lib/python/.cache"]

PRELUDE = r"""
cd "$SESSION" || exit 1
end_jobs() {
  local job
  for job in $(jobs -p); do kill -TERM "$job"; done
  wait
}
trap end_jobs EXIT
"""


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str
    file: Optional[str]  # Written there.
    excuse: Optional[str]  # Why it is not run.


class Command(NamedTuple):
    text: str
    expected: List[str]


def blocks_of(page: str, content: str) -> Iterator[Block]:
    lines = content.split("\n")
    before = ""  # The last line that is not empty.
    i = 0
    while i < len(lines):
        fence = re.match(r"^```(\w*)\s*$", lines[i])
        if not fence:
            before = lines[i].strip() or before
            i += 1
            continue
        end = next((j for j in range(i + 1, len(lines)) if lines[j].startswith("```")), None)
        if end is None:
            raise SystemExit(f"{page}:{i + 1}: this block does not end")
        file = re.search(r"`([\w./-]+\.\w+)`:$", before)
        excuse = re.match(r"<!-- (not run: .+|tested by .+) -->$", before)
        yield Block(page, i + 1, fence[1], "\n".join(lines[i + 1:end]) + "\n",
                    file[1] if file else None, excuse[1] if excuse else None)
        before = ""
        i = end + 1


def commands_of(text: str) -> List[Command]:
    commands: List[Command] = []
    for line in text.rstrip("\n").split("\n"):
        if line.startswith("$ "):
            commands.append(Command(line[2:], []))
        elif line.startswith("> ") and commands and not commands[-1].expected:
            commands[-1] = Command(commands[-1].text + "\n" + line[2:], [])
        elif commands:
            commands[-1].expected.append(line)
        else:
            raise ValueError("it does not begin with a command")
    return commands


def matches(expected: List[str], printed: str) -> bool:
    pattern = ""
    for line in expected:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*"
            continue
        pieces = [r"\s+".join(re.escape(word) for word in piece.split(" ") if word)
                  for piece in re.sub(r"\s+", " ", line.strip()).split("…")]
        pattern += r"[ \t]*" + r"[^\n]*".join(pieces) + r"[ \t]*\n"
    text = re.sub(r"[ \t]+", " ", printed)
    return re.fullmatch(pattern, text if text.endswith("\n") or not text else text + "\n") is not None


class Session:
    """One shell, in a copy of the tree, that lives as long as a page."""

    def __init__(self, build: str, environment: dict):
        self.directory = tempfile.mkdtemp(prefix="plugind-docs-", dir="/tmp")
        copy_tree(self.directory, build)
        # A reader has a directory for sockets, which a test may not have.
        self.environment = dict(environment, SESSION=self.directory,
                                XDG_RUNTIME_DIR=self.directory)
        self.output = os.path.join(self.directory, ".output")
        self.shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=self.environment, start_new_session=True)
        self.shell.stdin.write(PRELUDE)

    def run(self, command: str) -> "tuple[int, str]":
        """Runs it in the shell; its exit code, and what it printed to stdout and stderr."""
        # `{ …; }` rather than a subshell: it may export, cd, and start jobs.
        self.shell.stdin.write(
            f"{{\n{command}\n}} >'{self.output}' 2>&1 </dev/null\necho \"done $?\"\n")
        self.shell.stdin.flush()
        line = read_line(self.shell, TIMEOUT)
        with open(self.output, encoding="utf-8", errors="replace") as file:
            printed = file.read()
        if not line.startswith("done "):
            raise RuntimeError(f"the shell ended, or {TIMEOUT} s passed; printed:\n{printed}")
        return int(line.split()[1]), printed

    def write(self, path: str, text: str) -> None:
        path = os.path.join(self.directory, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def close(self) -> List[str]:
        """Ends it; what is left of it then."""
        try:
            self.shell.stdin.close()
            self.shell.wait(60)
        except (OSError, subprocess.TimeoutExpired):
            os.killpg(self.shell.pid, signal.SIGKILL)
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and self._is_ours(pid)]
        left = [f"{pid} ({name_of(pid)})" for pid in left]
        shutil.rmtree(self.directory, ignore_errors=True)
        return left

    def _is_ours(self, pid: str) -> bool:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return f"SESSION={self.directory}\0".encode() in file.read()
        except OSError:
            return False


def name_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return "gone"


def read_line(process: subprocess.Popen, timeout: float) -> str:
    """A line of its stdout, "" when there is none in time."""
    import selectors
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(timeout):
            os.killpg(process.pid, signal.SIGKILL)
            return ""
    return process.stdout.readline()


def copy_tree(to: str, build: str) -> None:
    """The files that belong to the tree, as a checkout has them."""
    listing = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    for name in listing:
        if name and os.path.isfile(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(to, name)), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), os.path.join(to, name))
    os.symlink(build, os.path.join(to, "build"))
    for name in SHARED:
        if os.path.exists(os.path.join(ROOT, name)):
            os.symlink(os.path.join(ROOT, name), os.path.join(to, name))


def installed(build: str) -> dict:
    """Installs into a directory, and gives an environment in which it is found."""
    # Always the same one: Go compiles what uses libplugind anew when its path changes.
    to = os.path.join(build, "docs-install")
    shutil.rmtree(to, ignore_errors=True)
    done = subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", to],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"meson install failed:\n{done.stdout}")
    library = pkgconfig = None
    for directory, _, names in os.walk(to):
        library = directory if "libplugind.so" in names else library
        pkgconfig = directory if "plugind.pc" in names else pkgconfig
    prefix = os.path.dirname(os.path.dirname(pkgconfig))
    while not os.path.isdir(os.path.join(prefix, "bin")):
        prefix = os.path.dirname(prefix)
    keep = ("HOME", "USER", "LANG", "GOCACHE", "GOMODCACHE", "GOPATH", "GOFLAGS", "GOPROXY",
            "GOSUMDB", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR", "PLUGIND_CACHE",
            "CCACHE_DIR", "XDG_CACHE_HOME", "TMPDIR")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    environment.update(PATH=os.path.join(prefix, "bin") + ":" + os.environ["PATH"],
                       PLUGIND_BUILD=build, LD_LIBRARY_PATH=library, PKG_CONFIG_PATH=pkgconfig,
                       PKG_CONFIG_SYSROOT_DIR=to)
    return environment


def lacking(build: str) -> Optional[str]:
    """What the pages say is installed and is not."""
    names = {os.path.relpath(os.path.join(directory, name), os.path.join(build, "docs-install"))
             for directory, _, files in os.walk(os.path.join(build, "docs-install"))
             for name in files}
    wanted = ["bin/plugind", "bin/pluginctl", "libplugind.so", "libplugind.a",
              "include/plugind/plugind.h", "pkgconfig/plugind.pc", "systemd/system/plugind.service",
              "systemd/user/plugind.service"]
    absent = [file for file in wanted if not any(name.endswith("/" + file) for name in names)]
    return f"not installed: {', '.join(absent)}" if absent else None


def check_manifest(session: Session, block: Block) -> Optional[str]:
    directory = tempfile.mkdtemp(dir=session.directory)
    with open(os.path.join(directory, "example.toml"), "w", encoding="utf-8") as file:
        file.write(block.text)
    code, printed = session.run(f"plugind --check --manifests {directory}")
    return None if code == 0 else printed


def try_block(session: Session, block: Block) -> Optional[str]:
    """What is wrong with it."""
    if block.file:
        whole = os.path.join(ROOT, block.file)
        if os.path.exists(whole):
            with open(whole, encoding="utf-8") as file:
                return None if block.text in file.read() else f"{block.file} does not have it"
        session.write(block.file, block.text)
    if block.language == "console":
        for command in commands_of(block.text):
            code, printed = session.run(command.text)
            if not command.expected:
                if code != 0:
                    return f"{command.text}\nexit code {code}\n{printed}"
            elif not matches(command.expected, printed):
                expected = "\n".join(command.expected)
                return f"{command.text}\nexpected:\n{expected}\nprinted (exit code {code}):\n{printed}"
        return None
    if block.language == "sh":
        code, printed = session.run("( set -e\n" + block.text + ")")
        return None if code == 0 else f"exit code {code}\n{printed}"
    if block.language == "toml" and re.search(r"(?m)^command\b", block.text):
        return check_manifest(session, block)
    if block.file:
        return None
    return "nobody runs this example: name a file for it, or say <!-- not run: WHY -->"


class Report:
    def __init__(self):
        self.count = 0
        self.failed = False

    def tell(self, name: str, wrong: Optional[str] = None, skip: str = "") -> None:
        self.count += 1
        self.failed |= wrong is not None
        print(f"{'ok' if wrong is None else 'not ok'} {self.count} - {name}"
              + (f" # SKIP {skip}" if skip else ""), flush=True)
        for line in (wrong or "").splitlines():
            print(f"# {line}", flush=True)


def run_page(report: Report, page: str, build: str, environment: dict) -> None:
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        blocks = [block for block in blocks_of(page, file.read()) if block.language]
    mine = [block for block in blocks if not block.excuse]
    if not mine:
        return
    session = Session(build, environment)
    try:
        for block in mine:
            name = f"{page}:{block.line} {block.file or block.language}"
            try:
                report.tell(name, try_block(session, block))
            except (OSError, ValueError, RuntimeError) as error:
                report.tell(name, str(error))
                break
    finally:
        left = session.close()
    report.tell(f"{page} leaves no process", f"left: {', '.join(left)}" if left else None)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("pages", nargs="+")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    environment = installed(build)
    report = Report()
    report.tell("meson install installs what README.md says", lacking(build))
    for page in options.pages:
        run_page(report, page, build, environment)
    print(f"1..{report.count}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
