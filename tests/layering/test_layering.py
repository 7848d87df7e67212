#!/usr/bin/env python3
"""The tree keeps the include table, and the checker finds every kind of violation."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, HERE)

from check_layering import check_tree  # noqa: E402


class SeededTree(unittest.TestCase):
    """Each test writes a small tree with one mistake in it."""

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="layering-")
        self.addCleanup(self.directory.cleanup)
        self.root = self.directory.name
        for header in ("daemon/error.h", "daemon/platform/process.h", "daemon/plugin/manifest.h",
                       "daemon/dialect/native.h", "daemon/forward/call.h",
                       "daemon/control/service.h", "daemon/app/options.h", "proto/wire/session.h",
                       "client-lib/include/plugind/plugind.h"):
            self.write(header, "#pragma once\n")

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def found(self, path, text):
        """(line, rule) of what is found after writing `text` to `path`."""
        self.write(path, text)
        return [(v.line, v.rule) for v in check_tree(self.root)]

    def test_clean_tree(self):
        self.assertEqual(check_tree(self.root), [])

    def test_allowed_includes(self):
        self.assertEqual(self.found("daemon/forward/a.cc", "\n".join([
            '#include "daemon/forward/call.h"', '#include "daemon/plugin/manifest.h"',
            '#include "daemon/platform/process.h"', '#include "proto/wire/session.h"',
            '#include "daemon/error.h"', '#include <boost/asio/post.hpp>', '#include <vector>'])), [])
        self.assertEqual(self.found("daemon/main.cc", '#include "daemon/app/options.h"\n'), [])
        self.assertEqual(self.found("daemon/control/a.cc",
                                    '#include "plugind/v1/plugin_host.grpc.pb.h"\n'
                                    '#include <grpcpp/grpcpp.h>\n'), [])
        self.assertEqual(self.found("client-lib/src/a.cc", '#include "plugind/plugind.h"\n'
                                    '#include "proto/wire/session.h"\n'), [])

    def test_upward_include(self):
        self.assertEqual(self.found("daemon/plugin/a.cc",
                                    '\n#include "daemon/forward/call.h"\n'), [(2, "layer")])

    def test_sideways_include(self):
        self.assertEqual(self.found("daemon/control/a.cc",
                                    '#include "daemon/forward/call.h"\n'), [(1, "layer")])
        self.assertEqual(self.found("daemon/control/a.cc",
                                    '#include "daemon/platform/process.h"\n'), [(1, "layer")])

    def test_domain_knows_no_platform(self):
        self.assertEqual(self.found("daemon/plugin/a.cc",
                                    '#include "daemon/platform/process.h"\n'), [(1, "layer")])

    def test_client_knows_no_daemon(self):
        self.assertEqual(self.found("client-lib/src/a.cc",
                                    '#include "daemon/error.h"\n'), [(1, "layer")])

    def test_wire_knows_nobody(self):
        self.assertEqual(self.found("proto/wire/a.cc", '#include "daemon/error.h"\n'),
                         [(1, "layer")])

    def test_error_header_knows_nobody(self):
        self.assertEqual(self.found("daemon/error.cc", '#include "daemon/app/options.h"\n'
                                    '#include "daemon/error.h"\n'), [(1, "layer")])

    def test_angled_include_of_our_own_file(self):
        self.assertEqual(self.found("daemon/plugin/a.cc",
                                    '#include <daemon/forward/call.h>\n'), [(1, "layer")])

    def test_generated_code_belongs_to_proto(self):
        self.assertEqual(self.found("daemon/forward/a.cc",
                                    '#include "plugind/v1/plugin_host.pb.h"\n'), [(1, "layer")])

    def test_relative_include(self):
        self.assertEqual(self.found("daemon/plugin/a.cc", '#include "manifest.h"\n'),
                         [(1, "include")])

    def test_unknown_include(self):
        self.assertEqual(self.found("daemon/plugin/a.cc", '#include "nowhere.h"\n'),
                         [(1, "include")])

    def test_foreign_library(self):
        for path, header in (("daemon/plugin/a.cc", "grpcpp/grpcpp.h"),
                             ("daemon/plugin/a.cc", "boost/process.hpp"),
                             ("daemon/forward/a.cc", "nghttp2/nghttp2.h"),
                             ("proto/wire/a.cc", "boost/asio.hpp"),
                             ("client-lib/src/a.cc", "google/protobuf/message.h"),
                             ("daemon/platform/a.cc", "spdlog/spdlog.h")):
            with self.subTest(path=path, header=header):
                self.assertEqual(self.found(path, f"#include <{header}>\n"), [(1, "library")])
                os.remove(os.path.join(self.root, path))

    def test_os_macro(self):
        for line in ("#ifdef _WIN32", "#if defined(__linux__)", "#  if !defined( __APPLE__ )",
                     "#if 1 && \\\n defined(__linux__)", "#elif BOOST_OS_WINDOWS"):
            with self.subTest(line=line):
                self.assertEqual(self.found("daemon/plugin/a.cc", line + "\n"), [(1, "os")])

    def test_os_macro_in_neutral_header(self):
        self.assertEqual(self.found("daemon/platform/process.h", "#ifdef _WIN32\n#endif\n"),
                         [(1, "os")])

    def test_os_macro_where_it_belongs(self):
        for path in ("daemon/platform/linux/a.cc", "daemon/platform/windows/a.h",
                     "client-lib/src/socket_posix.cc", "client-lib/include/plugind/plugind.h"):
            self.assertEqual(self.found(path, "#ifdef __linux__\n#endif\n"), [])

    def test_os_macro_in_comment(self):
        self.assertEqual(self.found("daemon/plugin/a.cc",
                                    "// #ifdef _WIN32\n/*\n#ifdef _WIN32\n*/\n"), [])

    def test_os_header(self):
        self.assertEqual(self.found("daemon/forward/a.cc", "#include <sys/socket.h>\n"),
                         [(1, "os")])
        self.assertEqual(self.found("daemon/forward/a.cc", "#include <unistd.h>\n"), [(1, "os")])
        os.remove(os.path.join(self.root, "daemon/forward/a.cc"))
        self.assertEqual(self.found("daemon/platform/posix/a.cc", "#include <unistd.h>\n"), [])

    def test_unknown_folder(self):
        self.assertEqual(self.found("proto2/a.cc", ""), [])  # not a folder of sources
        self.assertEqual(self.found("client-lib/misc/a.cc", ""), [(1, "folder")])

    def test_long_file_is_a_warning(self):
        self.write("daemon/plugin/a.cc", "\n" * 601)
        (violation,) = check_tree(self.root)
        self.assertTrue(violation.warning)
        self.assertEqual(violation.rule, "length")

    def run_checker(self):
        return subprocess.run([sys.executable, os.path.join(HERE, "check_layering.py"), self.root],
                              capture_output=True, text=True, check=False)

    def test_exit_code(self):
        self.write("daemon/plugin/a.cc", "\n" * 601)
        self.assertEqual(self.run_checker().returncode, 0)
        self.write("daemon/plugin/b.cc", '#include "daemon/forward/call.h"\n')
        done = self.run_checker()
        self.assertEqual(done.returncode, 1)
        self.assertIn("daemon/plugin/b.cc:1: layer:", done.stdout)


class RealTree(unittest.TestCase):
    def test_tree_keeps_the_table(self):
        violations = check_tree(ROOT)
        for violation in violations:
            if violation.warning:
                print(violation, file=sys.stderr)
        wrong = [str(violation) for violation in violations if not violation.warning]
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))


if __name__ == "__main__":
    unittest.main()
