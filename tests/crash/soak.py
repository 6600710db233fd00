#!/usr/bin/python3
"""Mixed load for as long as one likes, and figures over time that must stay flat.

    GONIEC_BUILD=build/release tests/crash/soak.py --minutes 60 [--csv FILE]

Besides the mail of tests/crash/traffic.py (sent at a steady rate) crowds come and go: for a part of each cycle the servers
of many recipients take nothing, so that a queue builds up, then it drains. Every few seconds a row: for each role its
memory (PSS), descriptors and threads, all processes together; the queue's length, octets of the spool, messages
accepted, and the time from the end of data to the reply (p50, p99).

The verdict. Rows of the first third are warm-up. Of the rest, the least value in each whole cycle is taken (between crowds;
what a crowd needs for its time is no leak), and a line of least squares is laid through these: over the whole run memory may
not rise by more than 5 % of the mean and 2 MiB. The median p99 of the last third may not be more than three times that
of the middle third. Descriptors and threads come and go with connections, so they are compared where there are none: behind the
first third and at the end the load stops until nothing is queued and nothing changes any more, and at the end there may
not be one more of them than then. And the account must be settled: nothing lost, nothing twice.
"""
import argparse
import csv
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from house import Process, Sink, binary, free_port  # noqa: E402
from kills import ROLES  # noqa: E402
from rounds import Run  # noqa: E402
from traffic import LOGIN, PASSWORD, Traffic  # noqa: E402

EVERY_S, CYCLE_S = 2.0, 20.0
CROWD = 3000 # messages that wait in the middle of a cycle
LOWS_LEAST, RISE_PART, RISE_KIB, LATENCY_TIMES = 5, 0.05, 2048, 3
STILL_S, STILL_MOST_S = 15, 120 # so long nothing may change; connections that are kept last 10 s


def kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))


def of_role(pids):
    """PSS in KiB, descriptors, threads."""
    sums = [0, 0, 0]
    for pid in pids:
        try:
            sums[0] += kib(pid)
            sums[1] += len(os.listdir(f"/proc/{pid}/fd"))
            sums[2] += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return sums


class Crowd(threading.Thread):
    """Many messages at once for a server that is not there in the first half of each cycle."""

    def __init__(self, run, place, ending):
        super().__init__(daemon=True)
        self.run_, self.place, self.ending = run, place, ending

    def run(self):
        number = 0
        while not self.ending.is_set():
            number += 1
            subprocess.run([binary(), "load", "--to", f"127.0.0.1:{self.run_.house.ports['submission']}", "--tls", "starttls",
                            "--login", f"{LOGIN}:{PASSWORD}", "--messages", str(CROWD), "--connections", "50", "--recipients", "2",
                            "--from", LOGIN, "--rcpt", "user%d@crowd.example", "--size", "3000", "--quiet"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            sink = Sink(self.place, "--quiet", port=self.run_.crowd_port, name=f"crowd{number}", store=False)
            self.ending.wait(CYCLE_S * 0.7)
            sink.kill()


class Soak:
    def __init__(self, folder, minutes):
        self.folder, self.seconds, self.rows = folder, minutes * 60, []
        self.idle = [] # rows without load: behind the warm-up, at the end
        changes = {"queue": {"first-retry": "1s", "longest-retry": "2s"}}
        self.run = Run(folder, changes=changes)
        self.run.crowd_port = free_port()
        routes = [{"domain": "crowd.example", "via": f"smtp://127.0.0.1:{self.run.crowd_port}"}]
        self.run.house.change({"routes": routes + self.run.house.settings["routes"]})

    def row(self, began, took):
        house = self.run.house
        values = {"seconds": round(time.monotonic() - began, 1)}
        for role in (*ROLES, "supervisor"):
            pids = house.pids(role) if role in ROLES else [house.server.process.pid]
            for name, value in zip(("pss_kib", "descriptors", "threads"), of_role(pids)):
                values[f"{role}_{name}"] = value
        values["queued"] = house.json("status")["queue"]["recipients"]
        values["spool_kib"] = sum(path.stat().st_blocks for path in (house.folder / "state/spool").rglob("*") if path.is_file()) // 2
        values["accepted"] = self.run.ledger.accepted() + self.run.ledger.counts["accepted"]
        took = sorted(took)
        values["p50_ms"] = round(took[len(took) // 2] * 1000, 2) if took else 0
        values["p99_ms"] = round(took[len(took) * 99 // 100] * 1000, 2) if took else 0
        return values

    def play(self, out):
        house, ledger = self.run.house, self.run.ledger
        house.start()
        ledger.keeps_files = False
        began = time.monotonic()
        self.load("warm", began, self.seconds / 3, out)
        self.idle.append(self.rest(began))
        self.load("soak", began, self.seconds, out)
        self.idle.append(self.rest(began))
        house.stop()
        self.run.verify()
        return self.run.close_books()

    def load(self, seed, began, until_s, out):
        """Traffic and crowds until so long after the beginning; then until nothing is queued."""
        house, ledger, ending = self.run.house, self.run.ledger, threading.Event()
        traffic = Traffic(house.ports, ledger, seed, clients=6, pause_s=0.05)
        crowd = Crowd(self.run, self.folder / "sinks", ending)
        crowd.start()
        while time.monotonic() - began < until_s:
            ending.wait(EVERY_S)
            ledger.look(self.run.sinks.values())
            took, ledger.took = ledger.took, []
            self.rows.append(self.row(began, took))
            out(self.rows[-1])
        traffic.stop()
        ending.set()
        crowd.join()
        last = Sink(self.folder / "sinks", "--quiet", port=self.run.crowd_port, name=f"crowd-{seed}", store=False)
        self.run.drain()
        last.kill()

    def rest(self, began):
        """A row of a server that has nothing to do, once its descriptors and threads have not changed for a while."""
        still, row = time.monotonic(), self.row(began, [])
        end = still + STILL_MOST_S
        while time.monotonic() - still < STILL_S and time.monotonic() < end:
            time.sleep(EVERY_S)
            before, row = row, self.row(began, [])
            if any(row[name] != before[name] for name in row if is_count(name)):
                still = time.monotonic()
        return row


def is_count(name):
    return name.endswith(("_descriptors", "_threads"))


def lows(rows, name):
    """The least value of each whole cycle, behind the warm-up."""
    first, last = rows[-1]["seconds"] / 3, rows[-1]["seconds"] // CYCLE_S
    cycles = {}
    for row in rows:
        cycle = row["seconds"] // CYCLE_S
        if row["seconds"] > first and cycle < last:
            cycles[cycle] = min(cycles.get(cycle, row[name]), row[name])
    return [cycles[cycle] for cycle in sorted(cycles)]


def rise(values):
    """By how much the line of least squares through them rises from the first to the last."""
    n = len(values)
    if n < LOWS_LEAST:
        return None
    mean_x, mean_y = (n - 1) / 2, sum(values) / n
    slope = sum((x - mean_x) * (y - mean_y) for x, y in enumerate(values)) / sum((x - mean_x) ** 2 for x in range(n))
    return slope * (n - 1)


def verdict(rows, idle):
    """[(name, mean of the lows, or the count behind the warm-up; rise; is it flat? None: too short to tell)]"""
    found = []
    for name in rows[0]:
        if name.endswith("_pss_kib"):
            values = lows(rows, name)
            mean, up = sum(values) / max(len(values), 1), rise(values)
            found.append((name, mean, up or 0, None if up is None else up <= mean * RISE_PART + RISE_KIB))
        elif is_count(name):
            warm, last = (row[name] for row in idle)
            found.append((name, warm, last - warm, last <= warm))
    third = len(rows) // 3
    middle, last = (sorted(row["p99_ms"] for row in part)[len(part) // 2] for part in (rows[third:2 * third], rows[2 * third:]))
    found.append(("p99_ms", middle, last - middle, last <= middle * LATENCY_TIMES))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--csv", default="soak.csv")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="goniec-soak-"))
    soak = Soak(folder, options.minutes)
    with open(options.csv, "w", newline="") as file:
        def out(row):
            if len(soak.rows) == 1:
                file.write(",".join(row) + "\n")
            csv.DictWriter(file, list(row)).writerow(row)
            file.flush()
            print(" ".join(f"{name.replace('_pss_kib', '')}={row[name]}" for name in
                           ("seconds", "smtpd_pss_kib", "queue_pss_kib", "delivery_pss_kib", "directory_pss_kib", "queued", "accepted",
                            "p50_ms", "p99_ms")), flush=True)
        try:
            counts = soak.play(out)
        finally:
            soak.run.close()
            while Process.running:
                Process.running.pop().kill()
    good = True
    for name, mean, up, flat in verdict(soak.rows, soak.idle):
        good = good and flat is not False
        print(f"{name:26} {mean:12.1f}  rise {up:+10.1f}  {'too short to tell' if flat is None else 'flat' if flat else 'RISES'}")
    for when, row in zip(("behind the warm-up", "at the end"), soak.idle):
        print(f"without load, {when}: " + ", ".join(f"{name[:-8]} {value} KiB" for name, value in row.items() if name.endswith("_pss_kib")))
    print(f"{counts['accepted']} messages accepted, lost {counts['lost']}, twice {counts['twice']}; rows in {options.csv}")
    shutil.rmtree(folder, ignore_errors=True)
    print("nothing rises" if good else "NOT FLAT")
    return 0 if good and not counts["lost"] and not counts["twice"] else 1


if __name__ == "__main__":
    sys.exit(main())
