"""What the interop suites share: results as TAP, processes with an end, tables of the documentation."""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "scripts", "lib"))

from private_daemon import connects  # noqa: E402

PAGE = os.path.join(ROOT, "docs", "compatibility.md")
START_LIMIT = 60


class Tap:
    """Prints a line for each result; scripts/lib/count_results.py reads them."""

    def __init__(self):
        self._count = 0
        self.failed = 0

    def result(self, good, name, details=""):
        self._count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self._count} - {name}")
        for line in details.splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def end(self):
        print(f"1..{self._count}")
        return 1 if self.failed else 0


def end_with_sigterm():
    """Lets SIGTERM unwind the stack, so that every `with` ends its processes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def wait_for(path, process=None):
    """Returns when somebody accepts at the Unix socket; raises when the process or the time ends."""
    deadline = time.monotonic() + START_LIMIT
    with selectors.DefaultSelector() as pause:
        while not connects(path):
            if process is not None and process.poll() is not None:
                raise RuntimeError(f"it ended before it listened at {path}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody listens at {path} after {START_LIMIT} s")
            pause.select(0.01)  # Nothing tells when a socket begins to listen.


@contextlib.contextmanager
def direct_server(command, path, log, variables=None):
    """A plugin's process without plugind: it listens at `path`."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, **(variables or {}), "PLUGIND_LISTEN": "unix:" + path})
    try:
        try:
            wait_for(path, process)
        except RuntimeError as error:
            with open(log, encoding="utf-8", errors="replace") as said:
                raise RuntimeError(f"{command}: {error}\n{said.read()}") from None
        yield
    finally:
        process.kill()
        process.wait()


def compare_with_page(tap, mark, table):
    """A result: whether the page has this table; UPDATE_DOCS=1 puts it there."""
    name = f"the table '{mark}' in docs/compatibility.md"
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    marked = re.compile(rf"(?s)(<!-- {mark}:begin -->\n).*?(<!-- {mark}:end -->)")
    if not marked.search(text):
        tap.result(False, name, f"the page has no marks {mark}:begin and {mark}:end")
        return
    updated = marked.sub(lambda match: match[1] + table + match[2], text)
    if updated != text and os.environ.get("UPDATE_DOCS"):
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(updated)
        text = updated
    tap.result(updated == text, name,
               "" if updated == text else f"UPDATE_DOCS=1 corrects it.  Found:\n{table}")


def markdown_table(head, rows):
    def line(cells):
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
    return line(head) + line(["---"] * len(head)) + "".join(map(line, rows))
