#!/usr/bin/env python3
"""Enforces the include table of docs/architecture.md.

usage: check_layering.py [ROOT]

Prints one line per violation, FILE:LINE: RULE: what is wrong, and exits 1 if there is any.  Files
that are too long are reported as warnings only.
"""

import os
import re
import sys
from dataclasses import dataclass
from typing import Dict, FrozenSet, Iterator, List, NamedTuple, Optional, Tuple

MAX_LINES = 600

# Third-party libraries, by the beginning of the header's name.
LIBRARIES: Dict[str, Tuple[str, ...]] = {
    "asio": ("boost/asio.hpp", "boost/asio/", "boost/system/"),
    "intrusive": ("boost/intrusive/",),
    "boost": ("boost/",),
    "nghttp2": ("nghttp2/",),
    "grpc": ("grpc/", "grpc++/", "grpcpp/", "google/protobuf/", "google/rpc/"),
    "spdlog": ("spdlog/", "fmt/"),
    "cli11": ("CLI/",),
    "tomlplusplus": ("toml++/",),
    "openssl": ("openssl/",),
}

# Headers that exist on one family of operating systems only.
OS_HEADERS = re.compile(
    r"^(sys/|linux/|asm/|mach/|netinet/|arpa/|net/|(unistd|fcntl|poll|pwd|grp|dirent|dlfcn|sched|"
    r"signal|spawn|syslog|termios|netdb|pthread|semaphore|ucontext|windows|winsock2|ws2tcpip|"
    r"io|process|direct|tlhelp32|sddl|aclapi|namedpipeapi)\.h$)"
)

OS_MACROS = re.compile(
    r"\b(_WIN32|_WIN64|WIN32|__MINGW32__|__MINGW64__|__CYGWIN__|_MSC_VER|__linux__|__linux|linux|"
    r"__APPLE__|__MACH__|TARGET_OS_\w+|__unix__|__unix|__FreeBSD__|__OpenBSD__|__NetBSD__|"
    r"__ANDROID__|__GLIBC__|_POSIX_VERSION|BOOST_OS_\w+|BOOST_WINDOWS|BOOST_POSIX_API)\b"
)


@dataclass(frozen=True)
class Layer:
    """A folder, and what its files may include besides themselves."""

    folder: str
    layers: FrozenSet[str] = frozenset()
    libraries: FrozenSet[str] = frozenset()
    # Files in the folder, as a regular expression on the path below it, that may ask for the OS.
    os_files: Optional[str] = None


def layer(folder: str, layers: str = "", libraries: str = "", **rest) -> Layer:
    return Layer(folder, frozenset(layers.split()), frozenset(libraries.split()), **rest)


DAEMON = "daemon/platform daemon/plugin daemon/dialect daemon/forward daemon/control daemon/app"
IMPLEMENTATIONS = r"^(posix|linux|macos|windows)/"

# The most specific folder of a file is its layer.
LAYERS: List[Layer] = [
    layer("proto/wire", "", "nghttp2"),
    layer("proto", "", "grpc"),
    layer("daemon/platform", "daemon/error.h", "asio boost openssl", os_files=IMPLEMENTATIONS),
    layer("daemon/plugin", "daemon/error.h", "asio tomlplusplus"),
    layer("daemon/dialect", "daemon/error.h daemon/plugin daemon/platform", "asio"),
    layer("daemon/forward", "daemon/error.h daemon/plugin daemon/platform proto/wire",
          "asio intrusive"),
    layer("daemon/control", "daemon/error.h daemon/plugin proto proto/wire", "asio grpc"),
    layer("daemon/app", f"daemon/error.h proto proto/wire {DAEMON}",
          "asio boost grpc spdlog cli11 tomlplusplus"),
    layer("daemon", f"daemon/error.h proto proto/wire {DAEMON}",
          "asio boost grpc spdlog cli11 tomlplusplus"),
    layer("client-lib/include", os_files=r"^plugind/plugind\.h$"),
    layer("client-lib/src", "proto/wire client-lib/include", "nghttp2",
          os_files=r"_(posix|linux|macos|windows)\.(cc|h)$"),
    layer("client-lib/pluginctl", "client-lib/include proto proto/wire", "grpc cli11",
          os_files=r"_(posix|linux|macos|windows)\.(cc|h)$"),
]

# daemon/error.h and error.cc belong to everybody in daemon/, so they may include nothing above.
ERROR_LAYER = layer("daemon/error.h")

# Folders whose files are programs of their own or tests: anything goes but the length.
FREE = ("tests/", "plugins/", "client-lib/go/", "client-lib/node/", "client-lib/php/",
        "client-lib/python/", "client-lib/examples/")

SOURCES = (".cc", ".h", ".c", ".cpp", ".hpp", ".inc")
SKIPPED_DIRECTORIES = ("node_modules", "target", "vendor", "__pycache__")

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
CONDITION = re.compile(r"^\s*#\s*(?:if|ifdef|ifndef|elif|elifdef|elifndef)\b(.*)")


class Violation(NamedTuple):
    path: str
    line: int
    rule: str
    text: str
    warning: bool = False

    def __str__(self) -> str:
        kind = "warning" if self.warning else self.rule
        return f"{self.path}:{self.line}: {kind}: {self.text}"


def sources(root: str) -> Iterator[str]:
    for top in ("proto", "daemon", "client-lib", "plugins", "tests"):
        for folder, names, files in os.walk(os.path.join(root, top)):
            names[:] = sorted(n for n in names
                              if n not in SKIPPED_DIRECTORIES and not n.startswith("."))
            for name in sorted(files):
                if name.endswith(SOURCES):
                    yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def layer_of(path: str) -> Optional[Layer]:
    if path in ("daemon/error.h", "daemon/error.cc"):
        return ERROR_LAYER
    found = [one for one in LAYERS if path.startswith(one.folder + "/")]
    return max(found, key=lambda one: len(one.folder)) if found else None


def logical_lines(text: str) -> Iterator[Tuple[int, str]]:
    """Lines without comments, with continued lines joined."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    pending, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        start = start if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        yield start, re.sub(r"//.*", "", pending + line)
        pending = ""


def target_of(root: str, path: str, name: str) -> Optional[str]:
    """The path in the tree that a quoted include means, or None if it is no file of ours."""
    if os.path.exists(os.path.join(root, name)) or os.path.exists(os.path.join(root, name + ".in")):
        return name
    if name.startswith("plugind/plugind.h"):
        return "client-lib/include/" + name
    if re.search(r"\.(grpc\.)?pb\.h$", name):  # generated, so not in the tree
        return name if name.startswith("proto/") else "proto/" + name
    return None


def may_include(own: Layer, target: str) -> bool:
    if target == "daemon/error.h":
        return target in own.layers or own is ERROR_LAYER
    other = layer_of(target)
    return other is not None and (other.folder == own.folder or other.folder in own.layers)


def check_quoted(root: str, path: str, own: Layer, name: str) -> Optional[Tuple[str, str]]:
    target = target_of(root, path, name)
    if target is None:
        beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
        if os.path.exists(os.path.join(root, beside)):
            return "include", f'write "{beside}": includes are from the root of the tree'
        return "include", f'"{name}" is no file of the tree; use <> for other libraries'
    if not may_include(own, target):
        allowed = ", ".join(sorted(own.layers)) or "nothing but itself"
        return "layer", f'{own.folder} must not include "{name}"; it may include {allowed}'
    return None


def check_angled(root: str, path: str, own: Layer, name: str) -> Optional[Tuple[str, str]]:
    if target_of(root, path, name):
        return check_quoted(root, path, own, name)
    users = [key for key, starts in LIBRARIES.items() if name.startswith(starts)]
    if users and not own.libraries.intersection(users):
        return "library", f"{own.folder} must not use <{name}>; that is for other folders"
    if OS_HEADERS.match(name) and not asks_for_os(path, own):
        return "os", f"<{name}> is not on every system; it belongs behind a neutral header"
    return None


def asks_for_os(path: str, own: Layer) -> bool:
    return bool(own.os_files and re.search(own.os_files, path[len(own.folder) + 1:]))


def check_file(root: str, path: str) -> Iterator[Violation]:
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        text = file.read()
    count = text.count("\n")
    if count > MAX_LINES:
        yield Violation(path, count, "length", f"{count} lines; look for a second subject",
                        warning=True)
    if path.startswith(FREE):
        return
    own = layer_of(path)
    if own is None:
        yield Violation(path, 1, "folder", "this folder is not in the table of docs/architecture.md")
        return
    for number, line in logical_lines(text):
        include = INCLUDE.match(line)
        if include:
            quoted, angled = include.groups()
            wrong = (check_quoted(root, path, own, quoted) if quoted
                     else check_angled(root, path, own, angled))
            if wrong:
                yield Violation(path, number, *wrong)
        condition = CONDITION.match(line)
        if condition and OS_MACROS.search(condition.group(1)) and not asks_for_os(path, own):
            macro = OS_MACROS.search(condition.group(1)).group()
            yield Violation(path, number, "os", f"{macro} is asked for outside daemon/platform's "
                            "implementations: let meson choose the file")


def check_tree(root: str) -> List[Violation]:
    return [violation for path in sources(root) for violation in check_file(root, path)]


def main() -> int:
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    root = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else default)
    violations = check_tree(root)
    for violation in violations:
        print(violation)
    return 1 if any(not violation.warning for violation in violations) else 0


if __name__ == "__main__":
    sys.exit(main())
