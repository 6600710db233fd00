"""The same load with one core and with all: what grows with cores, and the serial part that does not."""
import os

import case_table
from scale import Figure

ABOUT = "one core and all of them (relay, 4 KiB, 200 connections; generator and receiver share the cores)"


def rate_with(bench, cores, count):
    """Server, generator and receiver on these cores only; children take the mask over."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        got = case_table.cost_of(bench, bench.folder / str(len(cores)), 200, count)
    finally:
        os.sched_setaffinity(0, before)
    return got


def measure(bench):
    count = 600 if bench.small else 60000
    every = sorted(os.sched_getaffinity(0))
    one, all_of_them = rate_with(bench, every[:1], count), rate_with(bench, every, count)
    rows = []
    for cores, got in ((1, one), (len(every), all_of_them)):
        rows += [Figure(f"{cores} cores: messages", got["rate"], "/s"),
                 Figure(f"{cores} cores: server CPU", sum(got["cpu"].values()), "us/msg")]
    serial = all_of_them["cpu"]["queue"] + all_of_them["cpu"].get("supervisor", 0)
    return rows + [
        Figure(f"growth from 1 to {len(every)} cores", all_of_them["rate"] / one["rate"], "times"),
        Figure("serial part (queue and supervisor)", serial, "us/msg"),
        Figure("the serial part alone would allow", 1e6 / serial, "/s"),
    ]
