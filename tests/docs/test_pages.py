"""What the pages of documentation say about the tree is so."""

import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path[:0] = [os.path.join(ROOT, "tests", "layering"), os.path.join(ROOT, "tests", "bench")]

import behind  # noqa: E402
import check_layering  # noqa: E402
import report  # noqa: E402

# daemon/app may include all layers of the daemon, which the page says in words.
ALL_LAYERS = ", ".join(sorted(check_layering.DAEMON.split() + ["daemon/error.h", "proto",
                                                               "proto/wire"]))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def pages():
    listing = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others",
                              "--exclude-standard", "*.md"],
                             check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return sorted(page for page in listing if os.path.exists(os.path.join(ROOT, page)))


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```.*?^```", "", text))


def anchors(text):
    """As GitHub makes them of headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```", "", text))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
            for heading in headings}


class PagesTest(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        broken = []
        for page in pages():
            for target in re.findall(r"\]\(([^)\s]+)\)", without_code(read(page))):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                file = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                if not os.path.exists(os.path.join(ROOT, file)):
                    broken.append(f"{page}: {target}")
                elif anchor and anchor not in anchors(read(file)):
                    broken.append(f"{page}: {target} (no such heading)")
        self.assertEqual(broken, [])

    def test_every_page_of_docs_is_in_its_index(self):
        index = read("docs/README.md")
        absent = [page for page in pages()
                  if page.startswith("docs/") and page != "docs/README.md"
                  and f"({page[len('docs/'):]})" not in index]
        self.assertEqual(absent, [])

    def test_readme_installs_the_packages_that_the_scripts_install(self):
        readme = re.search(r"apt-get install ((?:.*\\\n)*.*)\n", read("README.md"))[1]
        scripts = re.search(r"(?s)# build\n(.*?)\n *# tests", read("scripts/lib/deps.sh"))[1]
        self.assertEqual(readme.replace("\\", "").split(), scripts.split())

    def test_readme_names_all_other_packages_that_the_scripts_install(self):
        deps = read("scripts/lib/deps.sh")
        more = (re.search(r"(?s)# tests, as far.*?\n(.*?)\)", deps)[1]
                + re.search(r"(?s)\nTEST_PACKAGES=\((.*?)\)", deps)[1]).split()
        more += " ".join(re.findall(r"(?m)\becho ([a-z][\w .-]*?)(?:;|$)", deps)).split()
        self.assertGreater(len(more), 12)
        readme = read("README.md")
        self.assertEqual([name for name in more if f"`{name}`" not in readme], [])

    def test_readme_says_which_go_and_rust_are_needed(self):
        files = subprocess.run(["git", "-C", ROOT, "ls-files", "*go.mod", "*Cargo.toml"],
                               check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        found = {"Go": [], "Rust": []}
        for file in files:
            found["Go"] += re.findall(r"(?m)^go ([\d.]+)$", read(file))
            found["Rust"] += re.findall(r'(?m)^rust-version *= *"([\d.]+)"', read(file))
        for language, versions in found.items():
            newest = max(versions, key=lambda version: [int(part) for part in version.split(".")])
            self.assertIn(f"{language} {newest}", read("README.md"))

    def test_every_reason_has_its_remedy(self):
        reasons = re.findall(r'X\(\w+, +"([A-Z_]+)"', read("daemon/error.h"))
        self.assertGreater(len(reasons), 10)
        section = read("docs/operations.md").split("## Troubleshooting", 1)[1]
        self.assertEqual([name for name in reasons if f"`{name}`" not in section], [])

    def test_every_fact_of_an_error_is_described(self):
        sources = subprocess.run(["git", "-C", ROOT, "ls-files", "daemon/*.cc"],
                                 check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        facts = set()
        for text in map(read, sources):
            facts.update(re.findall(r'details\.emplace_back\(\s*"(\w+)"', text))
            for braces in re.findall(r"Reason::k\w+,[^;]*?\{(\{\"[^;]*\})\}", text):
                facts.update(re.findall(r'\{"(\w+)",', braces))
        self.assertGreater(len(facts), 5)
        section = read("docs/errors.md").split("| metadata |", 1)[1].split("\n\n")[0]
        self.assertEqual(set(re.findall(r"`(\w+)`", re.sub(r"(?m)\|[^|]*\|[^|]*\|$", "", section))),
                         facts)

    def test_the_rows_in_which_plugind_is_behind_are_those_of_the_figures(self):
        rows = report.read_csv(os.path.join(ROOT, "docs", "plots", "figures.csv"))
        page = read("docs/performance.md")
        found = re.search(r"(?s)<!-- behind:begin -->\n(.*?)<!-- behind:end -->", page)
        self.assertEqual(found.group(1), behind.markdown(rows),
                         "run tests/bench/behind.py docs/plots/figures.csv docs/performance.md")

    def test_an_example_that_starts_a_daemon_waits_for_it(self):
        hasty = []
        for page in pages():
            commands = re.findall(r"(?m)^\$ (.*)$", read(page))
            for command, following in zip(commands, commands[1:] + [""]):
                if re.match(r"plugind .*&$", command) and not following.startswith("until pluginctl "):
                    hasty.append(f"{page}: {command}")
        self.assertEqual(hasty, [])

    def test_the_table_of_layers_is_the_one_that_is_enforced(self):
        table = read("docs/architecture.md").split("<!-- table: layers -->\n", 1)[1].split("\n\n")[0]
        rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
                for line in table.split("\n")[2:]]
        said = {row[0]: (row[2], row[3]) for row in rows}
        said["daemon/app"] = (ALL_LAYERS, said["daemon/app"][1])
        enforced = {
            one.folder: tuple(", ".join(sorted(names)) or "–" for names in (one.layers, one.libraries))
            for one in check_layering.LAYERS if one.folder != "daemon"}
        self.assertEqual(said, enforced)

    def test_every_option_is_described(self):
        sources = read("daemon/app/options.cc") + read("daemon/app/host_options.cc")
        options = re.findall(r'add_(?:option|flag)\("(--[a-z-]+)"', sources)
        self.assertGreater(len(options), 4)
        page = read("docs/operations.md")
        self.assertEqual([option for option in options if f"`{option}" not in page], [])


if __name__ == "__main__":
    unittest.main()
