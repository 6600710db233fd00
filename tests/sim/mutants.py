#!/usr/bin/env python3
"""Shows that the proof can fail: goniec with one known mistake at a time (src/base/mutant.h), until the simulator sees it.

A seed counts only when the same seed passes without the mistake, and when no seed without it was seen to fail in the same
words. Exit status 1 when a mutant was not caught.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FAILED = re.compile(r"^seed (\d+) \((\w+)\) FAILED: (.*)$", re.M)

# Where a mistake can show at all: the others' seeds would only take time.
SCENARIOS = {
    "reply-before-sync": "power", "sync-error-ignored": "disk", "refusal-answered-250": "disk", "segment-name-not-synced": "power",
    "empty-mark-not-synced": "power", "segment-freed-early": "power", "torn-tail-accepted": "power", "old-life-accepted": "power",
    "hole-ends-log": "flips", "last-commit-skipped": "kills", "unannounced-forgotten": "kills", "survivor-dropped": "weather",
    "ids-reused": "kills", "body-not-synced": "power", "body-name-not-synced": "power", "body-removed-early": "power",
    "checkpoint-not-synced": "power", "checkpoint-named-early": "power", "journal-freed-early": "power",
    "checkpoint-omits-leased": "kills", "confirmed-before-written": "kills", "retry-time-lost": "kills",
    "hold-forgotten": "operators", "delete-not-written": "operators", "recipient-forgotten": "weather", "lease-never-back": "kills",
    "held-lease-not-told": "kills", "outcome-not-told-again": "kills", "settled-before-250": "weather", "wrong-recipient": "weather",
    "bounce-closed-early": "kills",
}


def mutants():
    """(name, what it does) of all, as base/mutant.h has them."""
    text = (HERE.parent.parent / "src/base/mutant.h").read_text()
    return re.findall(r'X\([A-Z0-9_]+, "([a-z0-9-]+)",\s*"([^"]*)"\)', text)


def kind_of(why):
    """The failure without its numbers and names."""
    return re.sub(r"\S*[\d@]\S*", "", why)


class Simulator:
    def __init__(self, program, jobs):
        self.program, self.jobs, self.sound, self.words = program, jobs, {}, set()

    def failures(self, seed, count, scenario, mutant=None):
        """{seed: why} of those seeds that fail."""
        environment = dict(os.environ)
        environment.pop("GONIEC_MUTANT", None)
        if mutant:
            environment["GONIEC_MUTANT"] = mutant
        command = [self.program, "--from", str(seed), "--seeds", str(count), "--jobs", str(self.jobs)]
        command += ["--scenario", scenario] if scenario else []
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
        return {int(at): why for at, _, why in FAILED.findall(done.stdout)}

    def is_sound(self, seed, scenario):
        """Does it pass without any mistake?"""
        if (seed, scenario) not in self.sound:
            found = self.failures(seed, 1, scenario)
            self.sound[seed, scenario] = not found
            self.words |= {kind_of(why) for why in found.values()}
        return self.sound[seed, scenario]

    def catch(self, mutant, scenario, first, most):
        """(seeds that it took, the seed, why); None: it got away."""
        step = 2 * self.jobs
        for seed in range(first, first + most, step):
            found = self.failures(seed, min(step, first + most - seed), scenario, mutant)
            for at in sorted(found):
                if self.is_sound(at, scenario) and kind_of(found[at]) not in self.words:
                    return at - first + 1, at, found[at]
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", help="the simulator, built with -Dmutants=true")
    parser.add_argument("--seeds", type=int, default=200, help="seeds that each may take (200)")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--any", action="store_true", help="let each seed choose its scenario")
    parser.add_argument("only", nargs="*", help="names of mutants; all without")
    options = parser.parse_intermixed_args()
    simulator, escaped, worst = Simulator(options.program, options.jobs), [], 0
    chosen = [mutant for mutant in mutants() if not options.only or mutant[0] in options.only]
    print(f"{'mutant':26} {'caught after':14} {'scenario':10} what the simulator said")
    for name, what in chosen:
        scenario = None if options.any else SCENARIOS.get(name)
        caught = simulator.catch(name, scenario, options.first, options.seeds)
        if caught:
            worst = max(worst, caught[0])
            seeds = f"{caught[0]} seed{'s' if caught[0] > 1 else ''}"
            print(f"{name:26} {seeds:14} {scenario or 'any':10} seed {caught[1]}: {caught[2]}", flush=True)
        else:
            escaped.append(name)
            print(f"{name:26} {'NOT CAUGHT':14} {scenario or 'any':10} {what}", flush=True)
    print(f"{len(chosen) - len(escaped)} of {len(chosen)} mutants caught, the slowest after {worst} seeds")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
