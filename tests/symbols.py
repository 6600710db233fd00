#!/usr/bin/env python3
"""No two rooms may define the same function or object: in static libraries the linker would quietly take the first.

usage: symbols.py LIBRARY.a ...
"""
import subprocess
import sys


def defined(library):
    """Global names that the library defines."""
    lines = subprocess.run(["nm", "--defined-only", "--extern-only", library], check=True, capture_output=True, text=True).stdout
    return {fields[2] for fields in map(str.split, lines.splitlines()) if len(fields) == 3 and fields[1] in "TDBRVWC"}


def main(libraries):
    homes, faults = {}, 0
    for library in libraries:
        for name in sorted(defined(library)):
            if name.startswith("__") or "@" in name or name.startswith("asan.") or name.startswith("_sub_"):
                continue
            if homes.setdefault(name, library) != library:
                print(f"{name}: defined in {homes[name]} and in {library}")
                faults += 1
    print(f"{len(homes)} names checked, {faults} faults")
    return 1 if faults or not homes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
