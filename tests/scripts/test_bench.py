#!/usr/bin/env python3
"""The benchmark compares what belongs together and says plainly what is out of reach.

No figure is measured here: a test never asserts a time.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))

import bench  # noqa: E402
import contenders  # noqa: E402
import measure  # noqa: E402
import plots  # noqa: E402
import processes  # noqa: E402
import proxies  # noqa: E402
import reach  # noqa: E402
import report  # noqa: E402
import scaling  # noqa: E402
from contenders import DOWN, MANY, ONE, THERE_AND_BACK, unary  # noqa: E402
from measure import Row  # noqa: E402
from processes import Contender, DaemonError, Load, Middle, Slice  # noqa: E402


def slices(*p50s, cpu=None):
    return [Slice(1e6 / p50, p50, 2 * p50, {1: 10}, cpu) for p50 in p50s]


class Slices(unittest.TestCase):
    def test_a_workers_answer(self):
        found = processes.parse_slice("5000.50 1.00 2.00 0:1 694:3")
        self.assertEqual(found, Slice(5000.5, 1.0, 2.0, {0: 1, 694: 3}))

    def test_a_workers_answer_about_streams(self):
        self.assertEqual(processes.parse_slice("5000.00 - -"), Slice(5000.0, None, None, {}))

    def test_ratio_is_paired_by_round(self):
        # A machine that is slow in one round is slow for both; the ratio of medians would be 2.
        found = {("a", ONE): slices(10, 20, 100), ("b", ONE): slices(5, 40, 50)}
        self.assertEqual(measure.ratio(found, "b", "a", ONE, "p50"), 0.5)

    def test_ratio_of_a_contender_that_did_not_run(self):
        self.assertIsNone(measure.ratio({("a", ONE): slices(1)}, "b", "a", ONE, "p50"))

    def test_ratio_of_a_figure_that_there_is_not(self):
        found = {("a", ONE): slices(1), ("b", ONE): slices(1)}
        self.assertIsNone(measure.ratio(found, "b", "a", ONE, "middle_cpu"))

    def test_the_slowest_thousandth_is_that_of_all_rounds(self):
        # One slow call in a thousand is in one round only.
        found = [Slice(1, 1, 1, {100: 999}), Slice(1, 1, 1, {100: 998, 500: 3})]
        self.assertAlmostEqual(measure.percentile_of_all(found, 0.999), 1.01 ** 501 / 1000)
        self.assertAlmostEqual(measure.percentile_of_all(found, 0.5), 1.01 ** 101 / 1000)
        # Two in three thousand are not the slowest thousandth.
        found = [Slice(1, 1, 1, {100: 999})] * 3 + [Slice(1, 1, 1, {500: 2})]
        self.assertAlmostEqual(measure.percentile_of_all(found, 0.999), 1.01 ** 101 / 1000)

    def test_the_slowest_thousandth_of_few_calls_is_not_told(self):
        self.assertIsNone(measure.percentile_of_all([Slice(1, 1, 1, {100: 999})], 0.999))

    def test_rounds_are_spread_and_complete(self):
        for rounds, most in ((12, 25), (25, 25), (1, 7), (2, 5)):
            due = [measure.is_due(done, rounds, most) for done in range(most)]
            self.assertEqual(sum(due), rounds)
        self.assertEqual([measure.is_due(done, 2, 4) for done in range(4)],
                         [True, False, True, False])

    def test_summary_tells_what_was_measured_and_nothing_else(self):
        unary_rows = measure.summary({("a", ONE): slices(10, 30, 20)})
        self.assertEqual({(row.metric, row.unit) for row in unary_rows},
                         {("p50", "us"), ("p99", "us"), ("rate", "calls/s"), ("bytes", "MB/s")})
        self.assertIn(Row("a", "unary/100B/1", "p50", 20, "us"), unary_rows)
        stream = measure.summary({("a", DOWN): [Slice(100.0, None, None, {}, 7.0, 9.0)]})
        self.assertEqual(set(stream), {
            Row("a", "server-stream/1MiB/1", "rate", 100.0, "messages/s"),
            Row("a", "server-stream/1MiB/1", "bytes", 104.8576, "MB/s"),
            Row("a", "server-stream/1MiB/1", "middle_cpu", 7.0, "us/message"),
            Row("a", "server-stream/1MiB/1", "all_cpu", 9.0, "us/message")})
        turns = measure.summary({("a", DOWN): [Slice(1, None, None, {}, None, None, 3.0, 8.0)]})
        self.assertIn(Row("a", "server-stream/1MiB/1", "middle_turns", 3.0, "turns/message"), turns)
        self.assertIn(Row("a", "server-stream/1MiB/1", "all_turns", 8.0, "turns/message"), turns)

    def test_memory_of_one_is_by_the_difference(self):
        self.assertEqual(scaling.memory_of_one("plugins", "idle", {1: 1000, 3: 1100, 11: 1300}),
                         [Row("plugins-11", "idle", "anon_of_one", 30.0, "KiB")])


class Workers(unittest.TestCase):
    """Workers that are shell scripts."""

    GOOD = 'echo ready; while read line; do echo "1000000 5 9 100:10"; done'
    BREAKS = ('echo ready; while read run kind size rest; do '
              '[ $size = 100 ] || exit 3; echo "1000000 5 9 100:10"; done')

    def measure(self, recover=lambda _: None, limit=60, **scripts):
        loads = (ONE, unary(4096, 1))
        contenders = [Contender(key, key, ["sh", "-c", script], loads)
                      for key, script in scripts.items()]
        plan = measure.Plan(lambda load: 3, lambda load: 0.00001, limit)
        measurement = measure.Measurement(contenders, "/", plan, False, recover)
        try:
            measurement.run()
        finally:
            measurement.quit()
        return measurement

    def test_every_load_has_its_rounds(self):
        found = self.measure(a=self.GOOD, b=self.GOOD)
        self.assertEqual({key: len(of) for key, of in found.slices.items()},
                         {(key, load): 3 for key in "ab" for load in (ONE, unary(4096, 1))})

    def test_a_first_call_that_starts_the_plugin_does_not_count(self):
        script = ('echo ready; rate=8; while read line; do echo "$rate 5 9 100:10"; '
                  'rate=1000000; done')
        worker = processes.Worker(Contender("a", "a", ["sh", "-c", script], (ONE,)), "/")
        try:
            self.assertEqual(measure.calibrate(worker, ONE, 0.1), 100000)
        finally:
            worker.quit()

    def test_turns_on_a_processor_are_counted_by_process(self):
        # A process that answers each line is woken by each.
        middle = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            before = processes.cpu_use(middle.pid)
            for _ in range(100):
                middle.stdin.write(b"x\n")
                middle.stdin.flush()
                middle.stdout.readline()
            after = processes.cpu_use(middle.pid)
            self.assertGreaterEqual(after.turns - before.turns, 10)
            self.assertGreater(after.seconds, before.seconds)
            contender = Contender("a", "a", ["sh", "-c", self.GOOD], (ONE,),
                                  processes.Middle("cat", middle.pid))
            worker = processes.Worker(contender, "/")
            try:
                quiet = measure.run_slice(worker, ONE, 1, True)
                self.assertLess(quiet.middle_turns, quiet.all_turns)
                self.assertGreater(quiet.all_turns, 0)
            finally:
                worker.quit()
        finally:
            middle.stdin.close()
            middle.stdout.close()
            middle.wait()

    def test_no_round_begins_when_time_is_up(self):
        found = self.measure(limit=0, a=self.GOOD)
        self.assertEqual(measure.rounds_done(found.slices, [ONE]), 1)
        self.assertEqual(measure.rounds_done(found.slices, [DOWN]), 0)

    def test_a_failure_ends_the_run(self):
        with self.assertRaisesRegex(DaemonError, "a ended with exit code 3"):
            self.measure(a=self.BREAKS)

    def test_a_failure_of_somebody_else_costs_its_load(self):
        found = self.measure(lambda one: one, a=self.BREAKS, b=self.GOOD)
        self.assertEqual({key: len(of) for key, of in found.slices.items()},
                         {("a", ONE): 3, ("b", ONE): 3, ("b", unary(4096, 1)): 3})
        self.assertRegex(found.failures[0], "^a, unary/4KiB/1: a ended with exit code 3")

    def test_a_failure_of_somebody_else_in_a_later_round_takes_what_there_is_of_it(self):
        dies = ('echo ready; n=0; while read line; do n=$((n+1)); [ $n != 5 ] || exit 3; '
                'echo "1000000 5 9 100:10"; done')
        found = self.measure(lambda one: one, a=dies)
        self.assertEqual([len(of) for of in found.slices.values()], [3])
        self.assertEqual(len(found.failures), 1)

    def test_after_a_failure_it_goes_on_with_what_replaces_the_contender(self):
        stuck = 'echo ready; read line; exit 3'
        found = self.measure(lambda one: one._replace(command=["sh", "-c", self.GOOD]), a=stuck)
        self.assertEqual({key: len(of) for key, of in found.slices.items()},
                         {("a", unary(4096, 1)): 3})

    def test_a_worker_that_hangs_is_ended(self):
        for script in ("echo ready; exec sleep 1000",
                       "trap '' TERM; echo ready; exec sleep 1000"):
            worker = processes.Worker(Contender("a", "a", ["sh", "-c", script], ()), "/")
            try:
                with self.assertRaisesRegex(DaemonError, "a does not answer within 0.01 s"):
                    worker.ask("run", timeout=0.01)
            finally:
                with unittest.mock.patch.object(processes, "STOP_TIMEOUT", 0.01):
                    worker.quit()
            self.assertFalse(os.path.exists(f"/proc/{worker.pid}"))

    def test_a_worker_that_does_not_greet_is_ended(self):
        with self.assertRaisesRegex(DaemonError, "said 'hello'"):
            processes.Worker(Contender("a", "a", ["sh", "-c", "echo hello; exec cat"], ()), "/")
        self.assertEqual(processes.descendants(os.getpid()), [])


class Contenders(unittest.TestCase):
    def scene(self, go_worker="bench-go", missing=()):
        daemon = unittest.mock.Mock(socket="/s", plugin_socket=lambda name: "/s/" + name)
        between = proxies.Proxies("", None, "/d")
        between.middles = {f"{proxy}-{plugin}": Middle(proxy, 1) for proxy in contenders.PROXIES
                           for plugin in ("echo", "kv") if proxy not in missing}
        plugins = unittest.mock.Mock(sockets={"echo": "/e", "kv": "/k"})
        variants = {one.key: daemon for one in contenders.VARIANTS}
        with unittest.mock.patch.object(contenders, "daemon_pid", lambda _: 1):
            return contenders.contenders(contenders.Scene("", go_worker, "", daemon, variants,
                                                          daemon, plugins, between))

    def test_what_is_compared_has_run(self):
        # A name that is written in another way here than there would never have a figure.
        ran = {(one.key, load) for one in self.scene() for load in one.loads}
        ran |= {(f"{prefix}-{count}", load) for prefix, counts in (
            ("connections", scaling.CONNECTIONS), ("plugins", scaling.PLUGINS))
            for count in counts for load in scaling.LOADS}
        asked = set()
        with unittest.mock.patch.object(
                reach, "ratio", lambda _, key, to, load, __: asked.update({(key, load), (to, load)})):
            reach.targets({}, [], {})
        self.assertEqual(asked - ran, set())
        self.assertGreater(len(asked), 20)
        keys = {key for key, _ in ran}
        self.assertEqual({line.key for _, lines in plots.HOSTS for line in lines} - keys, set())
        self.assertEqual({key for key, to, *_ in report.COMPARISONS for key in (key, to)} - keys,
                         set())

    def test_names_and_keys_are_distinct(self):
        found = self.scene()
        self.assertEqual(len({one.key for one in found}), len(found))
        # "the same …" is told apart by the line before it.
        self.assertEqual(len({one.about for one in found}),
                         len(found) - len(contenders.VARIANTS))

    def test_every_host_calls_both_plugins_with_every_load(self):
        loads = {Load("unary", size, many) for size in (100, 4 << 10, 64 << 10, 1 << 20)
                 for many in (1, 8, 32, 256)}
        ran = {one.key: set(one.loads) for one in self.scene()}
        for key in ("grpc++-plugind", "grpc++-kv", "grpc-go-echo", "grpc-go-plugind",
                    "libplugind-echo", "libplugind-plugind", "grpc++-direct", "go-plugin-direct",
                    *(f"{host}-{proxy}" for host in ("grpc++", "libplugind")
                      for proxy in contenders.PROXIES)):
            self.assertEqual(loads - ran[key], set(), key)

    def test_what_is_not_there_is_left_out(self):
        self.assertFalse([one for one in self.scene(missing=["nginx"]) if "nginx" in one.key])
        self.assertFalse([one for one in self.scene(go_worker=None) if "Go" in one.about])

    def test_only_somebody_elses_failure_is_passed_over_with_a_proxy_begun_anew(self):
        begun = Middle("anew", 2)
        between = unittest.mock.Mock(restart=lambda middle: begun)
        foreign = {one.key for one in self.scene() if bench.recover(one, between) is not None}
        self.assertEqual(foreign, {"grpc++-nginx", "grpc++-haproxy", "libplugind-nginx",
                                   "libplugind-haproxy"})
        for one in self.scene():
            self.assertIn(bench.recover(one, between), (None, one._replace(middle=begun)))


class Reach(unittest.TestCase):
    def test_at_most(self):
        self.assertRegex(reach.Target("x", 1.0, 1.0, "x").line(), r"\bmet$")
        self.assertRegex(reach.Target("x", 1.01, 1.0, "x").line(), r"\bMISSED$")

    def test_at_least(self):
        self.assertRegex(reach.Target("x", 1.2, 1.2, "x", at_most=False).line(), r"\bmet$")
        self.assertRegex(reach.Target("x", 1.1, 1.2, "x", at_most=False).line(), r"\bMISSED$")

    def test_target_without_a_figure_is_not_met(self):
        self.assertRegex(reach.Target("x", None, 1.0, "x").line(), r"not run$")
        self.assertRegex(reach.Target("x", None, 1.0, "x", why="no nginx").line(),
                         r"not run: no nginx$")

    def test_without_figures_nothing_is_met(self):
        found = reach.targets({}, [], {"nginx": "there is none"})
        self.assertFalse([target for target in found if target.met])
        for target in found:
            self.assertRegex(target.line(), "not run")
            self.assertEqual("there is none" in target.line(), "nginx" in target.line())

    def test_without_go_its_rows_say_so(self):
        for target in reach.targets({}, [], {"go": "no Go", "nginx": "there is none"}):
            self.assertEqual(target.line().endswith("not run: no Go"), "(b)" in target.text)

    def test_every_row_has_its_figure(self):
        # Each contender takes another time, so that a row which compares the wrong ones shows.
        own = {("libplugind-plugind", load): slices(30, cpu=3) for load in (ONE, MANY)}
        found = {**own, ("libplugind-echo", ONE): slices(24), ("raw-2-hops", ONE): slices(10),
                 ("libplugind-sleeping", ONE): slices(30, cpu=2),
                 ("grpc++-plugind", ONE): slices(26), ("grpc++-direct", ONE): slices(20)}
        for load in (ONE, MANY):
            found["go-plugin-direct", load] = slices(50)
            found["libplugind-proxy", load] = slices(100, cpu=10)
            found["libplugind-nginx", load] = slices(60)
            found["libplugind-haproxy", load] = slices(75)
        found["grpc++-unread", MANY] = slices(25)
        found["grpc++-plugind", MANY] = slices(20)
        for load in (DOWN, THERE_AND_BACK):
            found["grpc++-plugind", load] = [Slice(95.0, None, None, {})]
            found["grpc++-direct", load] = [Slice(100.0, None, None, {})]
        for load in scaling.LOADS:
            for prefix, counts in (("connections", scaling.CONNECTIONS),
                                   ("plugins", scaling.PLUGINS)):
                for count in counts:  # the worst is not the last one
                    cpu = {1: 10.0, 10: 12.0}.get(count, 10.0)
                    found[f"{prefix}-{count}", load] = slices(1, cpu=cpu)
        rows = [Row("connections-1000", "idle", "anon_of_one", 12, "KiB"),
                Row("connections-1000", "after-calls", "anon_of_one", 17, "KiB"),
                Row("connections-100", "idle", "anon_of_one", 99, "KiB"),
                Row("plugind", "forwarding", "held_for_a_connection", 27, "KiB"),
                Row("plugind", "forwarding", "held_for_a_plugin", 29, "KiB"),
                Row("plugins-100", "idle", "anon_of_one", 31, "KiB"),
                Row("plugins-100", "not-started", "anon_of_one", 11, "KiB"),
                Row("plugins-100", "after-calls", "anon_of_one", 33, "KiB"),
                Row("plugind", "plugin-killed", "calls_ended_after_worst", 60, "ms"),
                Row("libplugind-plugind/go-plugin-direct", "first-call", "answered_after", 1.1, "x"),
                Row("libplugind-plugind/go-plugin-direct", "crash", "answered_again_after", 1.2, "x"),
                Row("libplugind-plugind/go-plugin-direct", "crash", "answered_after", 1.4, "x"),
                Row("libplugind-plugind", "first-call", "answered_after", 99, "ms"),
                Row("libplugind-spare/libplugind-echo", "new-host", "answered_after", 1.05, "x"),
                Row("libplugind-spare/later", "new-host", "answered_after", 3, "x"),
                Row("libplugind-spare", "new-host", "answered_after", 99, "ms"),
                Row("plugind", "registered", "anon_of_one", 7, "KiB"),
                Row("plugind", "running", "anon_of_one", 260, "KiB"),
                Row("plugind", "start", "accepts_after", 13, "ms"),
                Row("plugind", "idle", "rss", 17, "MiB"),
                Row("plugind", "after-calls", "rss", 99, "MiB"),
                Row("plugind", "idle", "rss_anon", 4, "MiB")]
        lines = [(round(one.value, 3), one.limit, one.met)
                 for one in reach.targets(found, rows, {})]
        self.assertEqual(lines, [
            (0.6, 1.0, True), (0.6, 0.8, True), (1.667, 1.2, True), (1.667, 1.5, True),
            (1.3, 1.4, True), (2.4, 2.0, False),
            (0.3, 0.45, True), (0.3, 0.25, False), (0.3, 0.45, True), (0.3, 0.25, False),
            (0.2, 0.25, True),
            (0.5, 0.8, True), (0.5, 0.8, True), (0.5, 0.8, True), (0.5, 0.8, True),
            (0.4, 0.8, True), (0.4, 0.8, True), (0.4, 0.8, True), (0.4, 0.8, True),
            (0.95, 0.9, True), (0.95, 0.9, True),
            (0.8, 0.9, False)]
            + [(1.2, 1.1, False)] * 8
            + [(12, 16, True), (17, 16, False), (29, 32, True), (31, 32, True), (20, 32, True), (33, 32, False), (60, 100, True),
               (1.1, 1.15, True), (1.2, 1.3, True), (1.4, 1.3, False), (1.05, 1.2, True), (3, 1.2, False), (7, 64, True), (260, 256, False),
               (13, 30, True), (17, 24, True), (4, 6, True)])


class Report(unittest.TestCase):
    def test_table_names_every_contender_that_ran(self):
        found = {("a", ONE): slices(10), ("a", MANY): slices(20), ("a", unary(4096, 1)): slices(40)}
        text = report.table(measure.summary(found), {"a": "the first", "b": "the second"})
        self.assertRegex(text, r"the first +10\.0 +20\.0 +- +100000 +-")
        self.assertRegex(text, r"the first +20\.0 +40\.0 +- +50000 +-")
        self.assertRegex(text, r"the first +- +- +40 +-")
        self.assertNotIn("the second", text)

    def test_table_of_streams_and_of_many_connections(self):
        found = {("a", DOWN): [Slice(100.0, None, None, {}, 7.0)],
                 ("connections-1", scaling.LOADS[0]): slices(10, cpu=4.5),
                 ("plugins-10", scaling.LOADS[-1]): slices(10, cpu=6.5)}
        text = report.table(measure.summary(found), {"a": "the first"})
        self.assertRegex(text, r"the first +- +- +- +- +104\.9")
        self.assertRegex(text, r"1 connection +4\.5")
        self.assertRegex(text, r"10 plugins +- +- +- +6\.5")

    def test_figures_of_no_load_are_listed(self):
        text = report.table([Row("plugind", "idle", "rss", 17.0, "MiB")], {"a": "the first"})
        self.assertRegex(text, r"plugind, idle +rss +17\.00 MiB")

    def test_csv(self):
        rows = [Row("a", "unary/100B/1", "p50", 1.23456, "us")]
        with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
            report.write_csv(file.name, rows)
            with open(file.name, encoding="utf-8", newline="") as written:
                self.assertEqual(written.read(), "contender,load,metric,value,unit\n"
                                 "a,unary/100B/1,p50,1.235,us\n")
            self.assertEqual(report.read_csv(file.name), [rows[0]._replace(value=1.235)])

    def test_docs_change_between_the_marks_only(self):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            page = os.path.join(directory, "page.md")
            with open(page, "w", encoding="utf-8") as file:
                file.write("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
            for _ in range(2):
                report.update_docs(page, "new\n")
                with open(page, encoding="utf-8") as file:
                    self.assertEqual(file.read(), "before\n<!-- bench:begin -->\n```\nnew\n```\n"
                                     "<!-- bench:end -->\nafter\n")

    def test_docs_without_marks(self):
        with tempfile.NamedTemporaryFile("w", suffix=".md") as file:
            with self.assertRaises(SystemExit):
                report.update_docs(file.name, "new")


class Plots(unittest.TestCase):
    ROWS = [Row("grpc++-plugind", Load("unary", 100, count).name, "rate", 100.0 * count, "calls/s")
            for count in (1, 8, 32)] + [
        Row("grpc++-plugind", "unary/100B/1", "p50", 12.5, "us"),
        Row("grpc++-plugind", "unary/100B/1", "p99", 80, "us"),
        Row("grpc++-direct", "unary/100B/1", "p50", 10, "us"),  # and no p99: not drawn
        Row("connections-10", "spread/100B/32", "middle_cpu", 9.75, "us/call")]

    def test_points_are_those_that_were_measured(self):
        text = plots.scripts(self.ROWS)["in-flight.svg"]
        self.assertIn("<< EOD\n1 100.000\n8 800.000\n32 3200.000\nEOD\n", text)
        self.assertEqual(re.findall(r'title "([^"]*plugind|[^"]*direct|[^"]*nginx)"', text),
                         ["grpc++, plugind"])

    def test_bars(self):
        text = plots.scripts(self.ROWS)["latency.svg"]
        self.assertIn(" 12.5 80.0 0x1f6fd6\n", text)
        self.assertNotIn('direct, C++"', text)

    def test_what_grows(self):
        text = plots.scripts(self.ROWS)["scaling.svg"]
        self.assertIn("<< EOD\n10 9.750\nEOD\n", text)

    def test_a_plot_does_not_tell_when_it_was_drawn(self):
        for name, text in plots.scripts([]).items():
            self.assertNotIn("plot $", text)
            self.assertIn(f'set output "{name}"', text)

    def test_a_plot_that_cannot_be_drawn(self):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            with self.assertRaisesRegex(DaemonError, "could not draw latency.svg"):
                plots.write(self.ROWS, directory, "/does/not/exist")


    def test_what_gnuplot_says_is_told(self):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            gnuplot = os.path.join(directory, "gnuplot")
            with open(gnuplot, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\ncat >latency.svg; echo broken >&2; exit 1\n")
            os.chmod(gnuplot, 0o755)
            with self.assertRaisesRegex(DaemonError, "could not draw latency.svg:\nbroken"):
                plots.write(self.ROWS, directory, gnuplot)


class Tools(unittest.TestCase):
    def test_a_proxy_that_is_not_there(self):
        path, _, why = proxies.find_tool("no-such-proxy", "/does/not/exist")
        self.assertIsNone(path)
        self.assertIn("no-such-proxy", why)

    def test_a_proxy_that_does_not_run(self):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            os.makedirs(os.path.join(directory, "usr", "sbin"))
            os.makedirs(os.path.join(directory, "usr", "lib", "some-linux-gnu"))
            program = os.path.join(directory, "usr", "sbin", "lame-proxy")
            with open(program, "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\n[ -n "$OK" ] && exit; echo no $LD_LIBRARY_PATH >&2; exit 1\n')
            os.chmod(program, 0o755)
            path, _, why = proxies.find_tool("lame-proxy", directory)
        self.assertIsNone(path)
        self.assertRegex(why, "^lame-proxy does not run: no .*/usr/lib/some-linux-gnu$")

    def test_a_proxy_that_does_not_start(self):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, \
                unittest.mock.patch.object(proxies, "find_tool", lambda *_: ("sh", {}, "")):
            found = proxies.Proxies("", None, directory)
            found.middles = {"nginx-echo": Middle("nginx", 1), "haproxy-kv": Middle("haproxy", 2)}
            try:
                found.start_foreign("nginx", lambda *_: ["sh", "-c", "echo no such key >&2; exit 1"],
                                    {"kv": "/does/not/exist", "echo": "/does/not/exist"})
            finally:
                found.stop()
        self.assertEqual(found.missing, {"nginx": "nginx-kv ended with exit code 1; it wrote: "
                                                  "no such key"})
        self.assertEqual(list(found.middles), ["haproxy-kv"])

    def test_a_proxy_is_begun_anew_on_its_socket(self):
        serve = ("import socket, sys, time\n"
                 "one = socket.socket(socket.AF_UNIX)\none.bind(sys.argv[1])\none.listen()\n"
                 "time.sleep(1000)")
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, \
                unittest.mock.patch.object(proxies, "find_tool", lambda *_: (sys.executable, {}, "")):
            found = proxies.Proxies("", None, directory)
            try:
                found.start_foreign(
                    "nginx", lambda program, plugin, _:
                    [program, "-c", serve, found.socket("nginx", plugin)], {"kv": "/k", "echo": "/e"})
                before = dict(found.middles)
                after = found.restart(before["nginx-kv"])
                self.assertTrue(processes.connects(found.socket("nginx", "kv")))
            finally:
                found.stop()
        self.assertNotEqual(after.pid, before["nginx-kv"].pid)
        self.assertFalse(os.path.exists(f"/proc/{before['nginx-kv'].pid}"))
        self.assertFalse(os.path.exists(f"/proc/{after.pid}"))
        self.assertEqual(found.middles, {"nginx-kv": after, "nginx-echo": before["nginx-echo"]})


if __name__ == "__main__":
    unittest.main()
