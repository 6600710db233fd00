"""What one relayed message of 4 KiB costs once the segments are in use: CPU by process, writes, syncs, latency."""
import json
import os

import measure as kernel
from run import RUN
from scale import Figure, Lost
from servers import Goniec, Sink, free_port, run

ABOUT = "what a message costs in the long run (relay, 4 KiB)"
SIZE = 4096


class Flushes:
    """Syncs that reached the disk under the folder (of everything on this machine: measure on a quiet one)."""

    def __init__(self, folder):
        device = os.stat(folder).st_dev
        self.file = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat"
        self.before = self.now()

    def now(self):
        try:
            with open(self.file) as stat:
                fields = stat.read().split()
        except OSError:
            return None
        return int(fields[15]) if len(fields) > 15 else None

    def taken(self):
        return None if self.before is None else self.now() - self.before


def one_round(bench, server, port, connections, count):
    """Sends `count` messages; what they cost, per message."""
    sink = Sink(bench.goniec, bench.folder, "--expect", count, "--run", RUN, "--stats", 1, port=port)
    try:
        cpu = kernel.Difference(server.root(), kernel.cpu_us)
        switches = kernel.Difference(server.root(), kernel.switches)
        flushes, octets = Flushes(bench.folder), kernel.device_octets(bench.folder)
        load = json.loads(run([bench.goniec, "load", "--json", "--to", f"127.0.0.1:{server.ports['relay']}", "--messages", str(count),
                               "--connections", str(connections), "--size", str(SIZE), "--users", "100", "--run", RUN,
                               "--from", server.login, "--rcpt", "user%d@bench.example"], check=False))
        arrived = sink.wait()
        cpu, switches, flushes = cpu.taken(), switches.taken(), flushes.taken()
        os.sync()
        octets = None if octets is None else kernel.device_octets(bench.folder) - octets
    finally:
        sink.take()
    if arrived["unique"] != count or arrived["surplus"]:
        raise Lost(f"{count} sent, {arrived['unique']} arrived, {arrived['surplus']} too many")
    return {"rate": count / ((arrived["last_us"] - load["start_us"]) / 1e6), "latency": load["latency_ms"],
            "cpu": {role: us / count for role, us in cpu.items()}, "switches": sum(switches.values()) / count,
            "flushes": None if flushes is None else flushes / count, "written": None if octets is None else octets / count / SIZE}


def figures(connections, got):
    under = f"{connections} connections: "
    rows = [Figure(under + "messages", got["rate"], "/s"),
            Figure(under + "server CPU", sum(got["cpu"].values()), "us/msg", at_most=100),
            Figure(under + "CPU of the queue process", got["cpu"]["queue"], "us/msg", at_most=5)]
    rows += [Figure(under + f"CPU of {role}", got["cpu"][role], "us/msg") for role in ("smtpd", "delivery")]
    if connections == 20:
        rows += [Figure(under + "accept latency p50", got["latency"]["p50"], "ms", at_most=0.6),
                 Figure(under + "accept latency p99", got["latency"]["p99"], "ms", at_most=2)]
    rows.append(Figure(under + "context switches", got["switches"], "/msg"))
    if got["written"] is not None:
        rows.append(Figure(under + "octets written to the disk per octet of mail", got["written"], "", at_most=1.3))
    if got["flushes"] is not None:
        rows.append(Figure(under + "disk syncs", got["flushes"], "/msg", at_most=0.1))
    return rows


def cost_of(bench, folder, connections, count, rounds=4):
    """The first round fills segments for the first time and does not count; of the others the one in the middle."""
    server = Goniec(bench.goniec, folder)
    port = free_port()
    server.start(port)
    try:
        warm = Sink(bench.goniec, bench.folder, port=port)
        server.warm_up(bench.goniec)
        warm.take()
        results = [one_round(bench, server, port, connections, count) for _ in range(rounds)][1:]
    finally:
        server.stop()
    return sorted(results, key=lambda result: result["rate"])[len(results) // 2]


def measure(bench):
    count = 600 if bench.small else 60000
    return [figure for connections in (20, 200)
            for figure in figures(connections, cost_of(bench, bench.folder / str(connections), connections, count))]
