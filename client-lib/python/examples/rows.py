"""Prints one line a call, and remembers whether all were as expected."""

import time

MIB = 1024 * 1024


class Rows:
    def __init__(self, host, route):
        self._host = host
        self._route = route
        self._failed = 0

    def show(self, plugin, call, make_call):
        """Runs make_call, which returns (as_expected, result), and prints its row."""
        start = time.perf_counter()
        try:
            ok, result = make_call()
        except Exception as error:
            ok, result = False, str(error)
        milliseconds = (time.perf_counter() - start) * 1000
        short = " ".join(result.split())[:80]
        columns = (self._host, self._route, plugin, call, "ok" if ok else "FAIL", short)
        print(*columns, f"{milliseconds:.1f}", sep="\t", flush=True)
        if not ok:
            self._failed += 1

    def exit_code(self):
        return 1 if self._failed else 0


def big_buffer():
    """16 MiB that differ from their own reverse."""
    block = bytes(range(256)) * 4096
    return b"".join(bytes([i]) + block[1:] for i in range(16))


def check_reverse(data, reply):
    return reply == data[::-1], f"{len(reply) // MIB} MiB came back reversed"
