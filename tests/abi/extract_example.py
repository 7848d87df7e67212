#!/usr/bin/env python3
"""Writes a program in a page of documentation: the block of C below the line "`NAME`:".

usage: extract_example.py PAGE NAME OUTPUT
"""
import re
import sys

page, name, output = sys.argv[1:]
with open(page, encoding="utf-8") as file:
    blocks = re.findall(rf"^`{re.escape(name)}`:\n\n```c\n(.*?)^```", file.read(),
                        flags=re.DOTALL | re.MULTILINE)
if len(blocks) != 1:
    sys.exit(f"{page} has {len(blocks)} programs {name}, not one")
with open(output, "w", encoding="utf-8") as file:
    file.write(blocks[0])
