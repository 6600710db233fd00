#!/usr/bin/env python3
"""Do our tools measure what Postfix's measure? `goniec load` and `goniec sink` beside smtp-source and smtp-sink.

Each pair sends the same messages with the same dialogue (no pipelining: smtp-source has none) through the same Postfix,
in turns, and once more without a server between them. "accepted" is the rate from the generator's start to its end,
"delivered" the one to the moment at which the receiver has everything. For a server slower than the tools both must
agree within 10%; the exit status is 1 otherwise. CPU is that of the tools themselves, per message.

    make agree, or: bench/agree.py [--repeat 5] [--messages 2000] [--json FILE]
"""
import argparse
import json
import os
import pathlib
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from servers import Postfix, free_port, wait_port  # noqa: E402

BUILT = HERE.parent / "build/release/src/cli/goniec"
SENDER, RECIPIENT = "bench@bench.example", "user@bench.example"
WARM = 100        # messages before those that count: processes are started, caches filled
HEADER = 150      # octets that smtp-source adds to --size, about
PATIENCE_S = 120
WITHIN = 0.10
CASES = (("4 KiB, 20 connections, many messages each", 20, 4096, True), ("4 KiB, 20 connections, one message each", 20, 4096, False))


class Ours:
    name = "goniec load and sink"

    def __init__(self, goniec):
        self.goniec = goniec

    def sink(self, port, count):
        return [self.goniec, "sink", "--quiet", "--listen", f"127.0.0.1:{port}", *(["--expect", str(count)] if count else [])]

    def source(self, port, count, connections, octets, keep):
        return [self.goniec, "load", "--quiet", "--no-pipelining", "--to", f"127.0.0.1:{port}", "--messages", str(count),
                "--connections", str(connections), "--per-connection", "0" if keep else "1", "--size", str(octets + HEADER),
                "--from", SENDER, "--rcpt", RECIPIENT]


class Theirs:
    name = "smtp-source and smtp-sink"

    def __init__(self):
        self.user = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else "nobody"

    def sink(self, port, count):
        return ["/usr/sbin/smtp-sink", "-u", self.user, *(["-M", str(count)] if count else []), f"127.0.0.1:{port}", "4096"]

    def source(self, port, count, connections, octets, keep):
        return ["/usr/sbin/smtp-source", *(["-d"] if keep else []), "-s", str(connections), "-m", str(count), "-l", str(octets),
                "-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{port}"]


class Process:
    """A child of which we want to know when it ended and what it cost."""

    def __init__(self, command):
        self.command = command
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.ended_at = None

    def wait(self, what, may_fail=False):
        end = time.monotonic() + PATIENCE_S
        while self.ended_at is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.ended_at, self.status = time.monotonic(), os.waitstatus_to_exitcode(status)
                self.process.returncode = self.status
                self.cpu_us = (usage.ru_utime + usage.ru_stime) * 1e6
            elif time.monotonic() > end:
                raise SystemExit(f"{what}: no end after {PATIENCE_S} s")
            else:
                time.sleep(0.002)
        if self.status != 0 and not may_fail:
            raise SystemExit(f"{what}: {' '.join(self.command)}: exit {self.status}\n{self.process.stderr.read().decode()}")

    def stop(self):
        if self.ended_at is None:
            self.process.terminate()
            self.wait("ending", may_fail=True)
        self.process.stdout.close()
        self.process.stderr.close()


def last_arrival(sink):
    """Ours stays a moment for what might come twice, and says when the last one came; smtp-sink ends with it."""
    lines = sink.process.stdout.read().splitlines()
    return json.loads(lines[-1])["last_us"] / 1e6 if lines else sink.ended_at


def through_postfix(pair, case, count, postfix):
    """One run: rates, and CPU per message of the two tools and the server."""
    _, connections, octets, keep = case
    sink_port = free_port()
    sink = Process(pair.sink(sink_port, count + WARM))
    try:
        wait_port(sink_port, sink.process)
        postfix.start(sink_port)
        port = postfix.ports["relay"]
        Process(pair.source(port, WARM, connections, octets, keep)).wait("warming up")
        time.sleep(1)
        before = postfix.cpu_seconds()
        start = time.monotonic()
        source = Process(pair.source(port, count, connections, octets, keep))
        source.wait("generator")
        sink.wait("receiver")
        server_us = (postfix.cpu_seconds() - before) * 1e6
        delivered = count / (last_arrival(sink) - start)
    finally:
        sink.stop()
        postfix.stop()
    return {"accepted": count / (source.ended_at - start), "delivered": delivered, "generator_us": source.cpu_us / count,
            "receiver_us": sink.cpu_us / (count + WARM), "server_us": server_us / count}


def bare(pair, case, count):
    """The same with nothing between the two."""
    _, connections, octets, keep = case
    port = free_port()
    sink = Process(pair.sink(port, 0))
    try:
        wait_port(port, sink.process)
        start = time.monotonic()
        source = Process(pair.source(port, count, connections, octets, keep))
        source.wait("generator")
    finally:
        sink.stop()
    return {"accepted": count / (source.ended_at - start), "generator_us": source.cpu_us / count, "receiver_us": sink.cpu_us / count}


def compare(ours, theirs, case, count, repeat, postfix):
    """Medians of both pairs, which take turns, and of how far apart they were each time: neighbours in time meet the same
    machine, be it busy or not."""
    runs = {ours: [], theirs: []}
    for turn in range(repeat):
        for pair in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
            runs[pair].append(through_postfix(pair, case, count, postfix) if postfix else bare(pair, case, count))
    names = runs[ours][0]
    medians = [{what: statistics.median(run[what] for run in runs[pair]) for what in names} for pair in (ours, theirs)]
    apart = {what: statistics.median(a[what] / b[what] for a, b in zip(runs[ours], runs[theirs])) - 1 for what in names}
    return *medians, apart, [[round(run["accepted"]) for run in runs[pair]] for pair in (ours, theirs)]


def show(label, ours, theirs, apart, rates, held):
    """True: within what they are held to."""
    print(label)
    whole = True
    for what, unit in (("accepted", "msg/s"), ("delivered", "msg/s"), ("server_us", "us CPU"), ("generator_us", "us CPU"),
                       ("receiver_us", "us CPU")):
        if what not in theirs:
            continue
        is_held = held and what in ("accepted", "delivered")
        whole = whole and not (is_held and abs(apart[what]) > WITHIN)
        print(f"  {what.replace('_us', ''):<10} {ours[what]:>10.1f} {theirs[what]:>10.1f} {unit:<7} {100 * apart[what]:>+7.1f}%"
              f"{'  MISSED' if is_held and abs(apart[what]) > WITHIN else ''}")
    print(f"  accepted, each run: {rates[0]} {rates[1]}", flush=True)
    return whole


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goniec", default=BUILT, help="the program whose tools are compared, built for release")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each pair; the medians count")
    parser.add_argument("--messages", type=int, default=2000, help="through Postfix, in each run")
    parser.add_argument("--bare-messages", type=int, default=20000, help="from generator to receiver, in each run")
    parser.add_argument("--cases", choices=("all", "postfix", "bare"), default="all")
    parser.add_argument("--folder", help="where Postfix's queue lies (a fresh folder inside it is used)")
    parser.add_argument("--json", help="write the results to this file as well")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that Postfix is stopped
    Postfix.install()  # brings smtp-source and smtp-sink
    ours, theirs = Ours(str(pathlib.Path(arguments.goniec).resolve())), Theirs()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="goniec-agree-", dir=arguments.folder))
    folder.chmod(0o755)
    results, whole = {}, True
    print(f"{'':<12} {'goniec':>10} {'Postfix':>10}   (the tools: {ours.name}; {theirs.name})")
    try:
        for through in ("postfix", "bare"):
            postfix = Postfix(folder / "postfix") if through == "postfix" and arguments.cases != "bare" else None
            if arguments.cases not in ("all", through):
                continue
            for case in CASES:
                count = arguments.messages if postfix else arguments.bare_messages
                label = f"{'through Postfix' if postfix else 'generator into receiver'}, {case[0]}"
                mine, other, apart, rates = compare(ours, theirs, case, count, arguments.repeat, postfix)
                whole = show(label, mine, other, apart, rates, held=postfix is not None) and whole
                results[label] = {"goniec": mine, "postfix": other, "apart": apart, "accepted": rates}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    print(f"through Postfix the tools agree within {100 * WITHIN:.0f}%" if whole else "THE TOOLS DO NOT AGREE")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
