"""What plugind wants to reach, and whether it does."""

from typing import Dict, List, NamedTuple, Optional, Tuple

from contenders import DOWN, MANY, ONE, THERE_AND_BACK
from measure import Row, Slices, ratio
from processes import Load
from scaling import CONNECTIONS, LOADS, PLUGINS


class Target(NamedTuple):
    text: str
    value: Optional[float]
    limit: float
    unit: str
    at_most: bool = True
    why: str = ""  # there is no value

    @property
    def met(self) -> bool:
        if self.value is None:
            return False
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def line(self) -> str:
        sign = "<=" if self.at_most else ">="
        if self.value is None:
            return f"  {self.text:70} not run" + (f": {self.why}" if self.why else "")
        return (f"  {self.text:70} {self.value:8.2f} {sign} {self.limit:<5g} {self.unit:4}"
                f" {'met' if self.met else 'MISSED'}")


def targets(slices: Slices, rows: List[Row], missing: Dict[str, str]) -> List[Target]:
    """`missing`: why a proxy did not run, or what is in "go" or needs "valgrind"."""
    single = {(row.contender, row.load, row.metric): row.value for row in rows}

    def compare(text: str, key: str, to: str, load: Load, metric: str, limit: float,
                at_most: bool = True, why: str = "") -> Target:
        if text.startswith("(b)"):  # the Go plugin
            why = missing.get("go", why)
        return Target(text, ratio(slices, key, to, load, metric), limit, "x", at_most, why)

    def value(text: str, key: str, load: str, metric: str, limit: float, unit: str) -> Target:
        why = missing.get("go", "") if text.startswith("(b)") else ""
        return Target(text, single.get((key, load, metric)), limit, unit, why=why)

    own, direct = "libplugind-plugind", "go-plugin-direct"
    found = [
        compare("(b) / (a), p50, 1 in flight", own, direct, ONE, "p50", 1.0),
        compare("(b) / (a), p50, 1 in flight", own, direct, ONE, "p50", 0.8),
        compare("(b) / (a), calls/s, 32 in flight", own, direct, MANY, "rate", 1.2, False),
        compare("(b) / (a), calls/s, 32 in flight", own, direct, MANY, "rate", 1.5, False),
        compare("(e) / (d), p50, 1 in flight", "grpc++-plugind", "grpc++-direct", ONE, "p50", 1.4),
        compare("libplugind through plugind to the C++ plugin / bytes over two, p50",
                "libplugind-echo", "raw-2-hops", ONE, "p50", 2.0),
    ]
    for load in (ONE, MANY):
        at = f"{load.in_flight} in flight"
        found += [compare(f"(b) / the same through a grpc++ proxy, p50, {at}", own,
                          "libplugind-proxy", load, "p50", 0.45),
                  compare(f"(b) / the same through a grpc++ proxy, its CPU a call, {at}", own,
                          "libplugind-proxy", load, "middle_cpu", 0.25)]
    found.append(compare("(b) with --busy-poll 0us / a grpc++ proxy, its CPU a call, 1 in flight",
                         "libplugind-sleeping", "libplugind-proxy", ONE, "middle_cpu", 0.25))
    for proxy, name in (("nginx", "nginx"), ("haproxy", "HAProxy")):
        for load in (ONE, MANY):
            for metric in ("p50", "p99"):
                found.append(compare(
                    f"(b) / the same through {name}, {metric}, {load.in_flight} in flight", own,
                    f"libplugind-{proxy}", load, metric, 0.8, why=missing.get(proxy, "")))
    found += [
        compare("(e) / (d), bytes/s, 1 MiB messages from the plugin", "grpc++-plugind",
                "grpc++-direct", DOWN, "rate", 0.9, False),
        compare("(e) / (d), bytes/s, 1 MiB messages there and back", "grpc++-plugind",
                "grpc++-direct", THERE_AND_BACK, "rate", 0.9, False),
    ]
    found.append(compare("(e) beside streams that are not read / (e), calls/s, 32 in flight",
                         "grpc++-unread", "grpc++-plugind", MANY, "rate", 0.9, False))
    for prefix, counts in (("connections", CONNECTIONS), ("plugins", PLUGINS)):
        found += [_flat(slices, prefix, counts, load) for load in LOADS]
    connections, plugins = f"connections-{CONNECTIONS[-1]}", f"plugins-{PLUGINS[-1]}"
    return found + [
        value("an idle host connection", connections, "idle", "anon_of_one", 16, "KiB"),
        value("an idle host connection, after calls", connections, "after-calls", "anon_of_one", 16,
              "KiB"),
        Target("what forwarding holds for an idle plugin that runs",
               single.get(("plugind", "forwarding", "held_for_a_plugin")), 32, "KiB",
               why=missing.get("valgrind", "")),
        value("all that the daemon holds for an idle plugin that runs", plugins, "idle",
              "anon_of_one", 32, "KiB"),
        Target("the same, without what it holds for one that was not started",
               difference(single, (plugins, "idle"), (plugins, "not-started"), "anon_of_one"), 32,
               "KiB"),
        value("all that it holds for one, after calls", plugins, "after-calls", "anon_of_one", 32, "KiB"),
        value("a plugin's SIGKILL until 1,000 streams have ended, worst", "plugind",
              "plugin-killed", "calls_ended_after_worst", 100, "ms"),
        value("(b) / (a), the first call of a stopped plugin", f"{own}/{direct}",
              "first-call", "answered_after", 1.15, "x"),
        value("(b), a plugin's SIGKILL until its host is answered / (a), the first call",
              f"{own}/{direct}", "crash", "answered_again_after", 1.3, "x"),
        value("the same for a call after the event that it ended", f"{own}/{direct}",
              "crash", "answered_after", 1.3, "x"),
        value("a new host's first call to its spare / to a plugin that all share",
              "libplugind-spare/libplugind-echo", "new-host", "answered_after", 1.2, "x"),
        value("a new host's first call to its spare / its later calls",
              "libplugind-spare/later", "new-host", "answered_after", 1.2, "x"),
        value("a plugin that is registered, one of many", "plugind", "registered", "anon_of_one",
              64, "KiB"),
        value("a plugin that runs, one of many", "plugind", "running", "anon_of_one", 256, "KiB"),
        value("plugind accepts after exec", "plugind", "start", "accepts_after", 30, "ms"),
        value("plugind idle, RSS", "plugind", "idle", "rss", 24, "MiB"),
        value("plugind idle, RssAnon", "plugind", "idle", "rss_anon", 6, "MiB"),
    ]


def difference(single: Dict[Tuple[str, str, str], float], of: Tuple[str, str],
               less: Tuple[str, str], metric: str) -> Optional[float]:
    values = [single.get((*key, metric)) for key in (of, less)]
    return None if None in values else values[0] - values[1]


def _flat(slices: Slices, prefix: str, counts, load: Load) -> Target:
    """The worst of the daemon's CPU time a call with more of them, by that with one."""
    ratios = [ratio(slices, f"{prefix}-{count}", f"{prefix}-1", load, "middle_cpu")
              for count in counts if count > 1]
    what = "spread over them" if load.kind == "spread" else "to one of them"
    return Target(f"{counts[-1]} {prefix} / 1, CPU a call, {load.in_flight} in flight {what}",
                  None if not ratios or None in ratios else max(ratios), 1.1, "x")
