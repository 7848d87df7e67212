#!/usr/bin/env python3
"""What libplugind may import, export and keep.

usage: check_symbols.py SHARED_LIBRARY ARCHIVE HEADER
"""
import re
import subprocess
import sys

# Law 1 of the design: whatever touches signals, processes, threads or exit handlers.
FORBIDDEN = re.compile(
    r"^(_*(sig(action|nal|procmask|altstack|pending|suspend|wait.*|queue)|bsd_signal|sysv_signal"
    r"|pthread_sigmask|pthread_kill|pthread_create|pthread_atfork|register_atfork"
    r"|v?fork|clone3?|posix_spawn.*|exec(l|le|lp|v|ve|vp|vpe|veat)|fexecve|system|popen"
    r"|wait|wait[34]|waitpid|waitid|kill|killpg|tgkill|raise|atexit|at_quick_exit|on_exit"
    r"|cxa_atexit|cxa_thread_atexit.*|prctl|alarm|setitimer|timer_create|syscall|thrd_create"
    r"|dlopen|getaddrinfo|gethostby.*))$")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def symbols(*command):
    """The symbols' names, without versions and an archive's member lines."""
    names = (line.split()[-1] for line in output(*command).splitlines()
             if line and not line.endswith(":"))
    return {name.split("@")[0] for name in names}


def main():
    shared, archive, header = sys.argv[1:]
    problems = []

    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", shared))
    unexpected = [n for n in needed if not re.match(r"libc\.so|libc\.musl|ld-linux|ld-musl", n)]
    if not needed or unexpected:
        problems.append(f"{shared} needs {needed}, not libc alone")
    if re.search(r"\(TEXTREL\)", output("readelf", "-d", shared)):
        problems.append(f"{shared} has relocations in its code")

    with open(header, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
    declared = set(re.findall(r"PD_API[^;]*?\b(pd_\w+)\(", text))
    if len(declared) < 10:
        problems.append(f"found only {sorted(declared)} in {header}")
    for what, found in [
            (shared, symbols("nm", "-D", "--defined-only", shared)),
            (archive, symbols("nm", "-g", "--defined-only", archive))]:
        if found != declared:
            problems.append(f"{what} exports {sorted(found - declared)} too many and lacks "
                            f"{sorted(declared - found)}")

    for what, imported in [
            (shared, symbols("nm", "-D", "--undefined-only", shared)),
            (archive, symbols("nm", "-g", "--undefined-only", archive))]:
        if "recv" not in imported:
            problems.append(f"{what} does not even import recv: is it libplugind?")
        forbidden = sorted(name for name in imported if FORBIDDEN.match(name))
        if forbidden:
            problems.append(f"{what} imports {forbidden}")
        mangled = sorted(name for name in imported if name.startswith("_Z"))
        if mangled:
            problems.append(f"{what} needs the C++ runtime: {mangled}")

    # A thread-local variable would be one a thread, which somebody has to free at a thread's end.
    if re.search(r"(?m)^ +TLS ", output("readelf", "-lW", shared)):
        problems.append(f"{shared} has a segment of thread-local variables")
    for what in shared, archive:
        table = [line.split() for line in output("readelf", "-sW", what).splitlines()]
        if not any("FUNC" in line for line in table):
            problems.append(f"{what} has no functions: is it libplugind?")
        local = sorted(line[-1] for line in table if "TLS" in line)
        if local:
            problems.append(f"{what} has thread-local variables: {local}")

    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
