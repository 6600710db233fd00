#!/usr/bin/env python3
"""Measures goniec where it must stay flat: a million waiting, many destinations, bad weather, big mail, idle clients.

Each case is a module bench/case_NAME.py with ABOUT (one line) and measure(bench), which returns a list of Figure.
A figure that misses its target is marked; mail that is lost or comes twice makes the exit status 1.

    make scale, or: bench/scale.py [--cases million,weather] [--small] [--json FILE]
"""
import argparse
import dataclasses
import importlib
import json
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
BUILT = HERE.parent / "build/release/src/cli/goniec"
CASES = ("table", "million", "domains", "recipients", "weather", "fair", "big", "idle", "cores")


@dataclasses.dataclass
class Figure:
    """One measured number: what it is, its unit, and the bound it is held to (None: only reported)."""
    what: str
    value: float
    unit: str
    at_most: float = None
    at_least: float = None

    def kept(self):
        return (self.at_most is None or self.value <= self.at_most) and (self.at_least is None or self.value >= self.at_least)

    def line(self):
        bound = f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}" if self.at_least is not None else ""
        return f"  {self.what:<64} {self.value:>12,.2f} {self.unit:<10} {bound:<12} {'' if self.kept() else 'MISSED'}".rstrip()


class Lost(Exception):
    """Mail was lost or arrived twice: nothing else counts then."""


@dataclasses.dataclass
class Bench:
    """What a case gets: the program, an empty folder of its own, and whether to run small (a test of the case itself)."""
    goniec: str
    folder: pathlib.Path
    small: bool

    def say(self, text):
        print(f"  [{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def run_case(name, bench):
    module = importlib.import_module(f"case_{name}")
    print(f"{name}: {module.ABOUT}", flush=True)
    begun = time.monotonic()
    figures = module.measure(bench)
    for figure in figures:
        print(figure.line(), flush=True)
    return {"about": module.ABOUT, "seconds": round(time.monotonic() - begun, 1),
            "figures": [dict(dataclasses.asdict(figure), kept=figure.kept()) for figure in figures]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goniec", default=BUILT, help="the program to measure, built for release")
    parser.add_argument("--cases", default=",".join(CASES), help="comma-separated; all: " + ",".join(CASES))
    parser.add_argument("--small", action="store_true", help="a hundredth of each load: shows that the case works, measures nothing")
    parser.add_argument("--folder", help="where spools lie (a fresh folder inside it is used)")
    parser.add_argument("--json", help="write the results to this file as well")
    parser.add_argument("--keep", action="store_true", help="do not remove the folder")
    arguments = parser.parse_args()
    results, failed = {}, []
    for name in arguments.cases.split(","):
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"goniec-{name}-", dir=arguments.folder))
        folder.chmod(0o755)
        try:
            results[name] = run_case(name, Bench(str(pathlib.Path(arguments.goniec).resolve()), folder, arguments.small))
        except Exception as error:  # the other cases still count
            traceback.print_exc()
            failed.append(f"{name}: {error}")
        finally:
            if not arguments.keep:
                shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    for text in failed:
        print("FAILED", text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.modules["scale"] = sys.modules["__main__"]
    sys.exit(main())
