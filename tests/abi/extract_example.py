#!/usr/bin/env python3
"""Writes the program in a page of documentation: its only block of C that has a main.

usage: extract_example.py PAGE OUTPUT
"""
import re
import sys

page, output = sys.argv[1:]
with open(page, encoding="utf-8") as file:
    blocks = re.findall(r"^```c\n(.*?)^```", file.read(), flags=re.DOTALL | re.MULTILINE)
programs = [block for block in blocks if "int main(" in block]
if len(programs) != 1:
    sys.exit(f"{page} has {len(programs)} programs in C, not one")
with open(output, "w", encoding="utf-8") as file:
    file.write(programs[0])
