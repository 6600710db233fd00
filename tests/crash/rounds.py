#!/usr/bin/python3
"""Rounds of kill -9 under mixed load, and an account of every message and recipient.

    GONIEC_BUILD=build/release tests/crash/rounds.py --rounds 300 [--from SEED] [--keep FOLDER] [--power]

Every STRETCH rounds the load stops, everything drains, the account is settled, the server is killed and started once
more to see that nothing is sent again. The spool is verified after each round. A fault ends the run; all that is needed
to look at it is kept. The seed gives the same kinds of kills in the same order and the same messages; not the same
moments, which are the kernel's. With --power the disk (ext4 on a loop device, as root) loses in each round all that was
not synced.
"""
import argparse
import collections
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from house import House, Process, merge, wait_for  # noqa: E402
from disk import Ext4  # noqa: E402
from kills import BACK_S, Killer  # noqa: E402
from ledger import SENDERS, Ledger, read_events  # noqa: E402
from traffic import LOGIN, PASSWORD, Traffic, settings, start_sinks  # noqa: E402

STRETCH = 25
DRAIN_S = 240


class Fault(Exception):
    """The account or the spool is not as promised."""


class Run:
    def __init__(self, folder, changes=None, disk=None):
        self.folder, self.disk = pathlib.Path(folder), disk
        self.sinks = start_sinks(self.folder / "sinks")
        self.house = House(self.folder / "house", merge(settings(self.sinks), changes or {}), accounts=())
        self.house.run("account", "add", LOGIN, "--password-stdin", "--alias", f"*@{SENDERS}", stdin=PASSWORD + "\n")
        self.ledger, self.counts = Ledger(), collections.Counter()

    def close(self):
        if self.house.server is not None:
            self.house.kill()
        for sink in self.sinks.values():
            sink.kill()
        if self.disk:
            self.disk.close()

    def halt(self):
        """Every process, at once."""
        Killer(self.house, random.Random(), self.counts).kill_all(start=False)
        self.house.server = None

    def verify(self):
        """A crash is no damage; and no stop either."""
        done = self.house.run("spool", "verify", "--json", check=False)
        self.counts["verified"] += 1
        if done.returncode != 0:
            raise Fault(f"spool verify gave {done.returncode}: {done.stdout}{done.stderr}")

    def stretch(self, seed, rounds):
        """So many rounds under load, then the account."""
        chance = random.Random(seed)
        killer = Killer(self.house, chance, self.counts, self.disk)
        self.house.start()
        traffic = Traffic(self.house.ports, self.ledger, seed)
        try:
            for _ in range(rounds):
                self.round(killer, chance)
        finally:
            traffic.stop()
        return self.settle(killer)

    def round(self, killer, chance):
        """Mail is taken again after the kill before; for a moment more it flows; then the next."""
        goal = self.ledger.accepted() + chance.choice((1, 10, 40))
        wait_for("mail that is taken again", lambda: self.ledger.accepted() >= goal, BACK_S)
        killer.pause(0.4)
        kind = killer.round()
        self.verify()
        self.counts["rounds"] += 1
        self.ledger.look(self.sinks.values())
        return kind

    def settle(self, killer):
        """Everything is brought to its end; then nothing may come that was there before."""
        self.drain()
        killer.kill_all()
        self.drain()
        self.house.stop()
        self.verify()
        return self.close_books(killer.moments)

    def close_books(self, moments=()):
        """Nothing may be owed any more; the counts since the last time."""
        self.ledger.look(self.sinks.values())
        if self.ledger.owed():
            raise Fault(f"accepted, and neither delivered nor bounced: {self.ledger.owed()[:10]}")
        now = self.ledger.settle(read_events(self.house.log_file), moments)
        if self.ledger.faults:
            raise Fault("\n".join(self.ledger.faults[:20]))
        self.house.log_file.replace(self.house.log_file.with_suffix(".1"))
        return now

    def drain(self):
        def is_empty():
            if self.house.run("queue", "list", "--json", check=False).stdout.strip() != "[]":
                return False
            self.ledger.look(self.sinks.values())
            return True
        wait_for("an empty queue", is_empty, DRAIN_S)


def figures(counts, gaps=()):
    """What the report needs, in lines."""
    kills = sum(n for name, n in counts.items() if name.startswith("kills: "))
    twice = counts["twice"]
    lines = [f"{counts['rounds']} rounds, {kills} kills, {counts['processes killed']} processes killed, "
             f"spool verified {counts['verified']} times",
             "kills: " + ", ".join(f"{name[7:]} {n}" for name, n in sorted(counts.items()) if name.startswith("kills: ")),
             "rounds: " + ", ".join(f"{name[8:]} {n}" for name, n in sorted(counts.items()) if name.startswith("rounds: ")),
             f"messages: {counts['accepted']} accepted, {counts['refused']} told to come back, {counts['sent']} cut off unanswered",
             f"recipients accepted: {counts['recipients']}; delivered {counts['delivered']}, bounced {counts['bounced']}, "
             f"LOST {counts['lost']}",
             f"twice: {twice} ({twice / max(counts['recipients'], 1) * 100:.3f} % of recipients, {twice / max(kills, 1):.2f} a kill); "
             f"reports: {counts['two reports']} second ones, {counts['report twice']} twice; "
             f"arrived though the client was cut off or told to come back: {counts['arrived unacknowledged']}"]
    explained = [f"{name[7:] or 'UNEXPLAINED'} {n}" for name, n in sorted(counts.items()) if name.startswith("twice: ")]
    if gaps:
        lines.append(f"twice: from the first arrival to the kill {gaps[len(gaps) // 2] * 1000:.0f} ms (median), "
                     f"{gaps[len(gaps) * 99 // 100] * 1000:.0f} (99 %), {gaps[-1] * 1000:.0f} (longest)")
    return lines + (["twice, as the log explains it: " + ", ".join(explained)] if explained else [])


def play(rounds, seed, folder, out=print, power=False):
    """The whole; the counts. Raises Fault (or whatever went wrong) with all left in `folder`."""
    disk = Ext4(folder / "house/state", 600, folder / "image") if power else None
    run = Run(folder, disk=disk)
    try:
        while rounds > 0:
            part, began = min(rounds, STRETCH), time.monotonic()
            try:
                now = run.stretch(seed, part)
            except Exception as fault:
                out(f"seed {seed}: {type(fault).__name__}: {fault}")
                raise
            out(f"seed {seed}: {part} rounds, {now['accepted']} messages, {now['recipients']} recipients, lost {now['lost']}, "
                f"twice {now['twice']}, {time.monotonic() - began:.0f} s")
            rounds, seed = rounds - part, seed + 1
    finally:
        run.close()
    counts = run.counts + run.ledger.counts
    for line in figures(counts, sorted(run.ledger.gaps)):
        out(line)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--from", type=int, default=1, dest="seed")
    parser.add_argument("--power", action="store_true", help="each round is a power cut, as far as the disk goes; needs root")
    parser.add_argument("--keep", help="folder to work in, which stays; else it goes when all is well")
    parser.add_argument("--json", help="file for the counts")
    options = parser.parse_args()
    folder = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="goniec-crash-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        counts = play(options.rounds, options.seed, folder, lambda line: print(line, flush=True), options.power)
    except Exception as fault:  # noqa: BLE001 - all of them mean the same here
        print(f"FAILED: {type(fault).__name__}; everything is kept in {folder}\n"
              f"again: tests/crash/rounds.py --rounds {STRETCH} --from SEED as printed above", flush=True)
        return 1
    finally:
        while Process.running:
            Process.running.pop().kill()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(counts, indent=1))
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    print("nothing was lost, and what came twice is explained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
