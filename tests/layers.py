#!/usr/bin/env python3
"""Holds every #include under src/ to the table in src/layers (see docs/architecture.md, "The house")."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
allowed = {}
for line in (root / "src/layers").read_text().splitlines():
    line = line.split("#")[0].strip()
    if line:
        room, _, uses = line.partition(":")
        allowed[room.strip()] = set(uses.split()) | {room.strip()}

faults, checked = [], 0
for room, uses in allowed.items():
    for later in uses - {room}:
        if later not in allowed:
            faults.append(f"src/layers: {room} uses the unknown room {later}")
        elif room in allowed[later]:
            faults.append(f"src/layers: {room} and {later} use each other")

for path in sorted((root / "src").rglob("*.[ch]")):
    room = path.relative_to(root / "src").parts[0]
    if room not in allowed:
        faults.append(f"{path}: the folder {room} is not in src/layers")
        continue
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        checked += 1
        target = match.group(1)
        if "/" not in target:
            if target != "goniec_config.h":
                faults.append(f'{path}:{number}: "{target}" names no room; write "{room}/{target}"')
            continue
        other = target.split("/")[0]
        if other not in allowed[room]:
            faults.append(f"{path}:{number}: {room} may not use {other} (src/layers)")
        elif target.endswith("_priv.h") and other != room:
            faults.append(f"{path}:{number}: {target} is private to {other}")

for fault in faults:
    print(fault, file=sys.stderr)
print(f"{checked} includes checked, {len(faults)} faults")
sys.exit(1 if faults or not checked else 0)
