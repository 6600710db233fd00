"""Half of all sites are ill: the other half must not notice; and what was put off must not come back all at once."""
import collections
import datetime
import json
import os
import selectors
import socket
import statistics
import subprocess
import threading
import time

from names import ZONE, Abroad, Nsd, Watch
from scale import Figure, Lost
from servers import Sink, free_port

ABOUT = "half of all sites stall, refuse or time out: the other half's rate and latency; when retries come"
SITES = 2000
GOOD_RUN, BAD_RUN = 31000, 32000
WELL = ["127.0.0.1"] + [f"127.16.0.{n}" for n in range(1, 16)]
ILLS = ("silent", "stalls", "closed", "busy", "blackhole")


class IllServers(threading.Thread):
    """Accepts on many addresses of one port: "silent" says nothing, "stalls" greets and then says nothing, "busy" says 421."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.selector, self.port, self.held = selectors.DefaultSelector(), port, []
        self.greetings = {}

    def listen(self, address, greeting):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, self.port))
        listener.listen(4096)
        listener.setblocking(False)
        self.greetings[listener.fileno()] = greeting
        self.selector.register(listener, selectors.EVENT_READ)

    def blackhole(self, address):
        """A queue of one that is full: the kernel drops every further attempt without a word."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, self.port))
        listener.listen(0)
        self.held.append(listener)
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((address, self.port))
            self.held.append(client)

    def refuse(self, address):
        """Bound and not listening: connections are refused, also beside a sink on all addresses."""
        closed = socket.socket()
        closed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        closed.bind((address, self.port))
        self.held.append(closed)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                while True:
                    try:
                        peer, _ = key.fileobj.accept()
                    except OSError:
                        break
                    greeting = self.greetings[key.fd]
                    if greeting:
                        peer.send(greeting)
                    if greeting and greeting.startswith(b"421"):
                        peer.close()
                    else:
                        self.held.append(peer)


def zone(sites, ill):
    """g0... and c0... are well, b0... are ill, each a site of its own, which share a few addresses."""
    records = []
    for n in range(sites):
        for half in "gc":
            records.append(f"{half}{n} MX 10 mx.{half}{n}\nmx.{half}{n} A {WELL[n % len(WELL)]}")
        kind = ILLS[n % len(ILLS)]
        records.append(f"b{n} MX 10 mx.b{n}\nmx.b{n} A {ill[kind]}")
    return records


def start_load(bench, server, count, rate, number, pattern, sites):
    words = [bench.goniec, "load", "--json", "--to", f"127.0.0.1:{server.ports['relay']}", "--messages", count, "--connections", 10,
             "--size", 4096, "--users", sites, "--run", number, "--from", "s@home.example", "--rcpt", f"u@{pattern}%d.{ZONE}",
             *(["--rate", rate] if rate else [])]
    return subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)


def both_halves(bench, server, port, count, rate, number, other, sites):
    """Mail to the good half and as much to the other; how the good half's came through."""
    sink = Sink(bench.goniec, bench.folder, "--expect", count, "--run", number, port=port, name=f"sink{number}", hosts=WELL)
    loads = [start_load(bench, server, count, rate, number, "g", sites),
             start_load(bench, server, count, rate, number + 1, other, sites)]
    try:
        taken = [json.loads(each.communicate(timeout=120)[0]) for each in loads]
        end = time.monotonic() + 30
        while sink.process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        got = sink.take()
    if got["unique"] != count or got["surplus"]:
        raise Lost(f"of {count} to the good half {got['unique']} arrived, {got['surplus']} too often")
    seconds = (got["last_us"] - taken[0]["start_us"]) / 1e6
    return {"rate": count / seconds, "p50": got["arrival_ms"]["p50"], "p99": got["arrival_ms"]["p99"]}


def due(server):
    """Seconds until each next attempt: of messages that wait for their time, and of sites that pause."""
    rows = json.loads(server.say("queue", "list", "--json", "--limit", 0, "--state", "waiting"))
    now = time.time()
    attempts = {(one.get("site"), one["next"]) for row in rows for one in row["recipients"] if "next" in one}
    seconds = [datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() - now for _, at in attempts]
    return [s for s in seconds if s > 0.5]  # the others may go, and wait for their turn


def crowd(bench, when, seconds):
    """The share of the fullest ten seconds."""
    buckets = collections.Counter(int(s // 10) for s in seconds)
    bench.say(f"{when} {len(seconds)} attempts are due; in tens of seconds: " +
              " ".join(f"{b * 10}:{n}" for b, n in sorted(buckets.items())[:40]))
    return max(buckets.values(), default=0) / max(len(seconds), 1)


def one_weather(bench, name, nsd, port, other, sizes):
    """A fresh server: everything at once from cold, then an even stream."""
    count, sites = sizes
    server = Abroad(bench.goniec, bench.folder / name, nsd.port, port)
    number = GOOD_RUN if other == "c" else BAD_RUN
    try:
        server.launch()
        watch = Watch(server.root())
        flat = both_halves(bench, server, port, count, 0, number, other, sites)
        evens = [both_halves(bench, server, port, count // 4, 1000, number + 10 * (n + 1), other, sites) for n in range(3)]
        even = {key: statistics.median(each[key] for each in evens) for key in evens[0]}
        watch.stop()
        bench.say(f"{name}: {flat['rate']:.0f}/s flat out (p99 {flat['p99']:.0f} ms); even stream p50 {even['p50']:.2f}, p99 "
                  f"{even['p99']:.2f} ms; {watch.descriptors} descriptors, {watch.kib / 1024:.0f} MiB")
        crowds = []
        if other == "b":
            bench.say(server.say("status").splitlines()[1].strip())
            crowds.append(crowd(bench, "before the restart", due(server)))
            server.stop()
            server.launch()
            time.sleep(3 if bench.small else 10)
            crowds.append(crowd(bench, "after the restart", due(server)))
        return {"rate": flat["rate"], "p50": even["p50"], "p99": even["p99"], "descriptors": watch.descriptors,
                "mib": watch.kib / 1024, "crowds": crowds}
    finally:
        server.stop()


def measure(bench):
    sites, count = (60, 600) if bench.small else (SITES, int(os.environ.get("WEATHER", 30000)))
    port = free_port()
    ill = {kind: f"127.77.0.{n + 1}" for n, kind in enumerate(ILLS)}
    servers = IllServers(port)
    for kind, greeting in (("silent", None), ("stalls", b"220 patience\r\n"), ("busy", b"421 4.3.2 not now\r\n")):
        servers.listen(ill[kind], greeting)
    servers.blackhole(ill["blackhole"])
    servers.refuse(ill["closed"])
    servers.start()
    nsd = Nsd(bench.folder, zone(sites, ill))
    try:
        calm = one_weather(bench, "calm", nsd, port, "c", (count, sites))
        bad = one_weather(bench, "storm", nsd, port, "b", (count, sites))
    finally:
        nsd.stop()
    full = not bench.small
    return [
        Figure("good half flat out, all sites well", calm["rate"], "/s"),
        Figure("good half flat out, the other half ill", bad["rate"], "/s", at_least=0.9 * calm["rate"] if full else None),
        Figure("even stream p50, all well", calm["p50"], "ms"),
        Figure("even stream p50, half ill", bad["p50"], "ms", at_most=1.1 * calm["p50"] if full else None),
        Figure("even stream p99, all well", calm["p99"], "ms"),
        Figure("even stream p99, half ill", bad["p99"], "ms", at_most=1.1 * calm["p99"] + 1 if full else None),
        Figure("retries in the fullest ten seconds, of all", bad["crowds"][0], "", at_most=0.25 if full else None),
        Figure("the same after a restart", bad["crowds"][1], "", at_most=0.25 if full else None),
        Figure("most descriptors of a delivery process", bad["descriptors"], "", at_most=8000),
        Figure("most memory of a delivery process", bad["mib"], "MiB", at_most=256),
    ]
