#!/usr/bin/env python3
"""What the benchmark makes of starts, restarts and very many plugins.

No figure is measured here: a test never asserts a time.
"""

import os
import sys
import tempfile
import unittest
import unittest.mock

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))

import fleet  # noqa: E402
import lifecycle  # noqa: E402
import new_hosts  # noqa: E402
import processes  # noqa: E402
import reach  # noqa: E402
import report  # noqa: E402
from measure import Row  # noqa: E402
from processes import DaemonError  # noqa: E402


class Lifecycle(unittest.TestCase):
    OWN, SPAWNED = "libplugind-plugind", "go-plugin-direct"

    def rounds(self, *figures):
        """Of each: spawned, first, ended, answered, again."""
        return [lifecycle.Round({self.SPAWNED: spawned, self.OWN: first}, {self.OWN: ended},
                                {self.OWN: answered}, {self.OWN: again})
                for spawned, first, ended, answered, again in figures]

    def test_medians_and_the_worst(self):
        rows = lifecycle.rows_of(self.rounds((10, 11, 2, 14, 13), (30, 40, 5, 50, 45), (20, 21, 3, 24, 22)))
        for row in (Row(self.SPAWNED, "first-call", "answered_after", 20, "ms"),
                    Row(self.SPAWNED, "first-call", "answered_after_worst", 30, "ms"),
                    Row(self.OWN, "first-call", "answered_after", 21, "ms"),
                    Row(self.OWN, "first-call", "answered_after_worst", 40, "ms"),
                    Row(self.OWN, "crash", "ended_after", 3, "ms"),
                    Row(self.OWN, "crash", "ended_after_worst", 5, "ms"),
                    Row(self.OWN, "crash", "answered_after", 24, "ms"),
                    Row(self.OWN, "crash", "answered_after_worst", 50, "ms"),
                    Row(self.OWN, "crash", "answered_again_after", 22, "ms"),
                    Row(self.OWN, "crash", "answered_again_after_worst", 45, "ms")):
            self.assertIn(row, rows)

    def test_ratios_are_paired_by_round_and_reach_their_lines(self):
        # The ratios of the medians would be 1.0 and 2.0.
        rounds = self.rounds((10, 11, 1, 12, 11.5), (100, 20, 1, 40, 30), (20, 22, 1, 60, 50))
        found = {target.text: target.value
                 for target in reach.targets({}, lifecycle.rows_of(rounds), {})
                 if target.value is not None}
        self.assertEqual({text: round(value, 3) for text, value in found.items()}, {
            "(b) / (a), the first call of a stopped plugin": 1.1,
            "(b), a plugin's SIGKILL until its host is answered / (a), the first call":
            1.15,
            "the same for a call after the event that it ended": 1.2})

    def test_without_a_host_to_compare_with_there_is_no_ratio(self):
        rows = lifecycle.rows_of([lifecycle.Round({"libplugind-echo": 5}, {"libplugind-echo": 1},
                                                  {"libplugind-echo": 7}, {"libplugind-echo": 6})])
        self.assertEqual({row.contender for row in rows}, {"libplugind-echo"})
        self.assertEqual({row.unit for row in rows}, {"ms"})

    def test_ratios_are_not_listed_twice(self):
        self.assertEqual(report.single_figures([Row("a/b", "crash", "answered_after", 1.2, "x")]), "")

    def test_what_a_stop_leaves_ends_the_run(self):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            instances = os.path.join(directory, "instances")
            os.mkdir(instances)
            with open(os.path.join(instances, "control.sock"), "w", encoding="utf-8"):
                pass  # the daemon's own
            daemon = unittest.mock.Mock(directory=directory)
            with unittest.mock.patch.object(lifecycle, "daemon_pid", lambda _: os.getpid()):
                lifecycle.check_nothing_left(daemon)
                child = processes.Child("left", ["sleep", "1000"], directory)
                try:
                    with self.assertRaisesRegex(DaemonError, f"the processes .{child.pid}. are left"):
                        lifecycle.check_nothing_left(daemon)
                finally:
                    child.stop()
                os.mkdir(os.path.join(instances, "7"))
                with self.assertRaisesRegex(DaemonError, "the directories .'7'. of instances"):
                    lifecycle.check_nothing_left(daemon)


class NewHosts(unittest.TestCase):
    def test_ratios_are_paired_by_round(self):
        of = new_hosts.Answered
        rounds = [{new_hosts.SPARE: of(3, 1), new_hosts.SHARED: of(2, 9)},
                  {new_hosts.SPARE: of(4, 4), new_hosts.SHARED: of(4, 9)},
                  {new_hosts.SPARE: of(10, 2), new_hosts.SHARED: of(5, 9)}]
        rows = new_hosts.rows_of(rounds)
        for row in (Row(new_hosts.SPARE, "new-host", "answered_after", 4, "ms"),
                    Row(new_hosts.SPARE, "new-host", "later_answered_after", 2, "ms"),
                    Row(new_hosts.SHARED, "new-host", "answered_after", 4, "ms")):
            self.assertIn(row, rows)
        found = {target.text: target.value for target in reach.targets({}, rows, {})
                 if target.value is not None}
        self.assertEqual(found, {
            "a new host's first call to its spare / to a plugin that all share": 1.5,
            "a new host's first call to its spare / its later calls": 3.0})


class Fleet(unittest.TestCase):
    def test_memory_of_each_is_that_of_the_others(self):
        # The first one brings 500 KiB that are no plugin's.
        rows = fleet.memory_of_each(fleet.Fleet(100, 11, 1), fleet.Anon(1000, 1700, 2200, 2400))
        self.assertEqual(rows, [Row("plugind", "registered", "anon_of_one", 7, "KiB"),
                                Row("plugind", "running", "anon_of_one", 20, "KiB")])
        met = {target.text: target.value for target in reach.targets({}, rows, {})
               if target.value is not None}
        self.assertEqual(sorted(met.values()), [7, 20])

    def test_those_that_run_are_spread_over_all(self):
        names = [str(number) for number in range(1000)]
        for count in (1, 3, 200, 1000):
            found = fleet.spread(names, count)
            self.assertEqual(len(set(found)), count)
            self.assertGreaterEqual(int(found[-1]), 1000 - 1000 // count - 1)

    def test_a_machine_with_too_little_memory_says_so(self):
        with unittest.mock.patch.object(fleet, "available_mib", lambda: 1599.0):
            rows, notes = fleet.measure_fleet(None, fleet.Fleet(1000, 200, 3))
        self.assertEqual(rows, [])
        self.assertEqual(notes, ["200 running plugins: they need 1600 MiB, and the machine has "
                                 "1599 MiB available"])


if __name__ == "__main__":
    unittest.main()
