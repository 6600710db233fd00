#!/usr/bin/env python3
"""Holds every RFC that the code cites to docs/rfc.md, and every file that docs/rfc.md names to the tree."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
page = (root / "docs/rfc.md").read_text()
listed = {int(number) for number in re.findall(r"^\| (\d{3,5}) \|", page, re.M)}

faults, cited = [], {}
for path in sorted((root / "src").rglob("*.[ch]")):
    text = path.read_text()
    for found in re.findall(r"\bRFC (\d{3,5}(?:, \d{3,5})*)\b", text):
        for number in found.split(", "):
            cited.setdefault(int(number), path)
    for wrong in re.findall(r"\b(?:RFC\d{3,5}|rfc \d{3,5}|RFC-\d{3,5})\b", text):
        faults.append(f'{path}: write "RFC 5321 section 4.1.4", not "{wrong}"')
for number, path in sorted(cited.items()):
    if number not in listed:
        faults.append(f"{path}: RFC {number} has no row in docs/rfc.md")
for name in sorted(set(re.findall(r"`((?:src/)?[a-z_]+/[a-z_0-9]+\.[ch])`", page))):
    if not (root / "src" / name.removeprefix("src/")).exists():
        faults.append(f"docs/rfc.md: there is no file {name}")

for fault in faults:
    print(fault, file=sys.stderr)
print(f"{len(cited)} RFCs cited, {len(listed)} listed, {len(faults)} faults")
sys.exit(1 if faults or not cited else 0)
