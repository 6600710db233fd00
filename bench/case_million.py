"""A million messages waiting for 50,000 domains: what that costs in memory, time and latency, and how it drains."""
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import measure as proc
from names import EVERYWHERE, ZONE, Abroad, Internet, Nsd
from scale import Figure, Lost
from servers import Sink, free_port, run, tree_of

ABOUT = "1,000,000 messages of 4 KiB wait for 50,000 domains: memory, start, latency of other mail, drain"
RUN = "1000000"
IDLE_RUN = "77"
IDLES = 10      # destinations of other mail, each with a receiver of its own: what one counted does not mix with the next


class Waiting(Abroad):
    """A server that keeps its spool over restarts; what is put off once waits for a day."""

    def __init__(self, program, folder, dns_port, sink_port, idle_ports):
        self.idle_ports = idle_ports
        super().__init__(program, folder, dns_port, sink_port,
                         queue={"first-retry": "1d", "longest-retry": "1d", "delay-notice": "never"})

    def settings(self, sink_port):
        settings = super().settings(sink_port)
        settings["routes"] += [{"domain": f"idle{i}.example", "via": f"smtp://127.0.0.1:{port}", "tls": "none"}
                               for i, port in enumerate(self.idle_ports)]
        return settings

    def begin(self):
        """Without waiting for anything; gives the moment."""
        begun = time.monotonic()
        with open(self.folder / "serve.out", "a") as output:
            self.process = subprocess.Popen([self.program, "serve", "--config", str(self.config)], stdout=output, stderr=output)
        return begun

    def kill(self):
        """All of it at once, as when the power fails, but for the page cache."""
        for pid in tree_of(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    def timed_ms(self, *words):
        """The shortest of five, in milliseconds: what the answer costs, without the machine's mood."""
        times = []
        for _ in range(5):
            begun = time.monotonic()
            self.say(*words)
            times.append((time.monotonic() - begun) * 1000)
        return min(times)

    def count(self):
        return json.loads(self.say("status", "--json"))["queue"]

    def pss(self):
        return sum(proc.by_role(self.root(), proc.pss_kib).values())


def take_one(port, server, seconds=60):
    """Until the first message is accepted; a new connection every few milliseconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
                talk = client.makefile("rwb")
                for words, good in ((None, b"220"), ("EHLO first.example", b"250"), ("MAIL FROM:<first@first.example>", b"250"),
                                    ("RCPT TO:<first@idle0.example>", b"250"), ("DATA", b"354"),
                                    ("Subject: first\r\n\r\nfirst\r\n.", b"250")):
                    if words:
                        talk.write(words.encode() + b"\r\n")
                        talk.flush()
                    line = talk.readline()
                    while line[3:4] == b"-":
                        line = talk.readline()
                    if not line.startswith(good):
                        raise OSError(line)
                return time.monotonic()
        except OSError:
            if server.process.poll() is not None:
                break
            time.sleep(0.01)
    raise Lost("nothing was accepted")


class Case:
    def __init__(self, bench):
        self.bench = bench
        self.small = bench.small
        self.messages = 10_000 if bench.small else 1_000_000
        self.domains = 500 if bench.small else 50_000
        self.sink_port, self.idle_ports = free_port(), [free_port() for _ in range(IDLES)]
        internet = Internet(self.domains)
        bench.say(f"{self.domains} domains at {internet.sites} sites")
        self.dns = Nsd(bench.folder, internet.records)
        self.server = Waiting(bench.goniec, bench.folder / "goniec", self.dns.port, self.sink_port, self.idle_ports)
        self.figures = []
        self.sinks, self.idles = [], 0
        self.idle()  # takes what take_one() sends

    def figure(self, what, value, unit, **bounds):
        figure = Figure(what, value, unit, **bounds)
        self.bench.say(figure.line().strip())
        self.figures.append(figure)

    def sink(self, name, *options):
        return self.keep(Sink(self.bench.goniec, self.bench.folder, "--run", RUN, *options, port=self.sink_port, name=name,
                              hosts=EVERYWHERE))

    def idle(self):
        """The next unused destination of other mail: its domain and its receiver."""
        i, self.idles = self.idles, self.idles + 1
        sink = Sink(self.bench.goniec, self.bench.folder, "--run", IDLE_RUN, port=self.idle_ports[i], name=f"idle{i}")
        return f"user%d@idle{i}.example", self.keep(sink)

    def keep(self, sink):
        self.sinks.append(sink)
        return sink

    def load(self, messages, rcpt, run_of, *options, users=1000):
        return json.loads(run([self.bench.goniec, "load", "--json", "--to", f"127.0.0.1:{self.server.ports['relay']}", "--messages",
                               messages, "--size", "4096", "--from", "sender%d@load.example", "--rcpt", rcpt, "--users", users,
                               "--run", run_of, *options], check=False))

    # -- what is measured in several states --

    def latency(self, name):
        """New mail, little enough that nothing queues: milliseconds to the 250 and to the arrival."""
        rcpt, sink = self.idle()
        seconds = 2 if self.small else 10
        with_cpu = proc.Difference(self.server.root(), proc.cpu_us)
        load = self.load(seconds * 300, rcpt, IDLE_RUN, "--connections", "4", "--rate", "300")
        time.sleep(0.5)
        cpu = with_cpu.taken()
        arrived = sink.take()
        if load["failed"] or arrived["unique"] != load["taken"] or arrived["surplus"]:
            raise Lost(f"{name}: {load} {arrived}")
        found = {"accept": load["latency_ms"], "arrive": arrived["arrival_ms"], "queue_us": cpu.get("queue", 0) / load["taken"]}
        self.bench.say(f"new mail, {name}: {found}")
        return found

    def throughput(self, name, seconds):
        """Messages a second to the idle destination, accepted and delivered."""
        rcpt, sink = self.idle()
        cpu = proc.Difference(self.server.root(), proc.cpu_us)
        load = self.load(10_000_000, rcpt, IDLE_RUN, "--connections", "20", "--seconds", str(seconds))
        while sink.count()["unique"] < load["taken"]:
            time.sleep(0.05)
        cpu = cpu.taken()
        arrived = sink.take()
        rate = arrived["unique"] / ((arrived["last_us"] - load["start_us"]) / 1e6)
        self.bench.say(f"{name}: {rate:.0f}/s, queue {cpu['queue'] / load['taken']:.1f} us a message")
        return rate, cpu["queue"] / load["taken"]

    def rate_of_domains(self):
        """Messages a second through an empty queue to some of the domains for which mail will wait, as many for each."""
        count = self.messages // 10
        sink = self.sink("base")
        begun = time.monotonic()
        load = threading.Thread(target=self.load, args=(count, f"user%d@d%d.{ZONE}", RUN, "--connections", "20"),
                                kwargs={"users": self.domains // 10})
        load.start()
        rate = self.arrive(sink, count, begun)
        load.join()
        sink.take()
        return rate

    def arrive(self, sink, count, begun):
        """Until all of it is there; the rate of 99 %: what a name server that lost a question puts off is tried again."""
        seen, moved, rate = 0, time.monotonic(), None
        while (now := sink.count()["unique"]) < count:
            if now > seen:
                seen, moved = now, time.monotonic()
            if rate is None and seen >= 0.99 * count:
                rate = seen / (moved - begun)
            if time.monotonic() - moved > 2:
                self.bench.say(f"{seen} of {count}, and nothing arrives; " + self.server.say("queue", "retry", "--all").strip())
                moved = time.monotonic()
            time.sleep(0.05 if self.small else 0.5)
        return rate or count / (time.monotonic() - begun)

    # -- the course --

    def empty(self):
        self.server.begin()
        take_one(self.server.ports["relay"], self.server)
        time.sleep(1)
        self.empty_roles = proc.by_role(self.server.root(), proc.pss_kib)
        self.empty_kib = sum(self.empty_roles.values())
        self.empty_latency = self.latency("empty queue")
        self.empty_rate, self.empty_cpu = self.throughput("empty queue", 1 if self.small else 5)
        self.empty_domains_rate = self.rate_of_domains()
        self.bench.say(f"empty queue, to {self.domains} domains: {self.empty_domains_rate:.0f}/s")
        self.server.stop()
        shutil.rmtree(self.server.folder / "state")

    def fill(self):
        self.server.begin()
        take_one(self.server.ports["relay"], self.server)
        self.deferring = self.sink("deferring", "--defer", "rcpt")
        begun = time.monotonic()
        load = self.load(self.messages, f"user%d@d%d.{ZONE}", RUN, "--connections", "50", users=self.domains)
        if load["taken"] != self.messages:
            raise Lost(f"not taken: {load}")
        self.bench.say(f"filled with {load['rate']:.0f}/s")
        self.wait_until(lambda: self.server.count()["states"]["waiting"] >= self.messages and self.all_tried())
        self.bench.say(f"all tried once after {time.monotonic() - begun:.0f} s")
        return load

    def all_tried(self):
        status = json.loads(self.server.say("status", "--json"))
        return status["since_start"]["deferred"] >= self.messages

    def wait_until(self, done, seconds=600):
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise Lost(f"still not there after {seconds} s: {self.server.say('status')}")
            time.sleep(0.5)

    def waiting(self):
        per = (self.server.pss() - self.empty_kib) * 1024 / self.messages
        roles = proc.by_role(self.server.root(), proc.pss_kib)
        self.bench.say(f"resident by role, KiB: {roles}")
        self.figure("resident, for each waiting recipient, after filling", per, "octets", at_most=250)
        self.figure("of that the queue process", (roles["queue"] - self.empty_roles["queue"]) * 1024 / self.messages, "octets")
        self.compare_latency("a million waiting")
        self.commands()

    def compare_latency(self, name):
        found = self.latency(name)
        for what in ("accept", "arrive"):
            for percent in ("p50", "p99"):
                base = self.empty_latency[what][percent]
                self.figure(f"{name}: {what} {percent}, times that of the empty queue ({base:.2f} ms)", found[what][percent] / base, "x",
                            at_most=2 if percent == "p99" else None)

    def commands(self):
        listed = json.loads(self.server.say("queue", "list", "--limit", "3", "--json"))
        for words in (["queue", "list", "--limit", "10"], ["queue", "list", "--limit", "10", "--domain", f"d{self.domains - 1}.{ZONE}"],
                      ["status"], ["trace", listed[0]["id"]], ["trace", "first@idle0.example"], ["queue", "show", listed[1]["id"]]):
            self.figure(f"goniec {' '.join(words)}", self.server.timed_ms(*words), "ms", at_most=100)

    def start_again(self, how):
        begun = self.server.begin()
        first = take_one(self.server.ports["relay"], self.server) - begun
        self.figure(f"start after {how}: first accepted message", first, "s", at_most=5)
        rcpt, sink = self.idle()
        load = subprocess.Popen([str(word) for word in (
            self.bench.goniec, "load", "--quiet", "--to", f"127.0.0.1:{self.server.ports['relay']}", "--messages", 10_000_000, "--size", 4096,
            "--rcpt", rcpt, "--run", IDLE_RUN, "--connections", 20, "--seconds", 14)])
        last, seen, full = time.monotonic(), 0, None
        while load.poll() is None:
            time.sleep(0.5)
            now, count = time.monotonic(), sink.count()["unique"]
            rate = (count - seen) / (now - last)
            self.bench.say(f"{now - begun:.1f} s after the start: {rate:.0f}/s")
            if full is None and rate >= 0.9 * self.empty_rate:
                full = last - begun
            last, seen = now, count
        sink.take()
        self.figure(f"start after {how}: 90 % of the full speed ({self.empty_rate:.0f}/s) reached", full if full else 99, "s", at_most=10)
        time.sleep(1)
        per = (self.server.pss() - self.empty_kib) * 1024 / self.messages
        self.figure(f"resident, for each waiting recipient, after {how}", per, "octets", at_most=250)
        waiting = self.server.count()["states"]["waiting"]
        if waiting != self.messages:
            raise Lost(f"{waiting} wait after {how}")

    def drain(self):
        self.deferring.take()
        sink = self.sink("drain")
        cpu = proc.Difference(self.server.root(), proc.cpu_us)
        begun = time.monotonic()
        self.bench.say(self.server.say("queue", "retry", "--all").strip())
        self.bench.say(f"retry of all: {time.monotonic() - begun:.1f} s")
        rate = self.arrive(sink, self.messages, begun)
        cpu = cpu.taken()
        arrived = sink.take()
        if arrived["surplus"] or arrived["unique"] != self.messages:
            raise Lost(f"drained: {arrived}")
        self.bench.say(f"drained with {rate:.0f}/s, queue {cpu['queue'] / self.messages:.1f} us a message")
        self.figure("drain, of the rate through an empty queue", 100 * rate / self.empty_domains_rate, "%", at_least=90)

    def space(self):
        state = self.server.folder / "state"
        self.wait_until(lambda: self.server.count()["messages"] == 0)
        octets, before = self.octets(state), None
        while octets != before:  # segments are made empty one after the other
            time.sleep(3)
            octets, before = self.octets(state), octets
        self.figure("disk in use after the drain", octets / (1 << 20), "MiB", at_most=2048)
        roles = proc.by_role(self.server.root(), proc.pss_kib)
        for role in ("queue", "delivery"):
            self.figure(f"resident after the drain, over the empty server: {role}", (roles[role] - self.empty_roles[role]) / 1024, "MiB")

    @staticmethod
    def octets(folder):
        return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())

    def measure(self):
        self.empty()
        self.fill()
        time.sleep(1 if self.small else 20)  # connections are kept for some seconds
        self.waiting()
        self.server.stop()
        self.start_again("a stop")
        self.server.kill()
        self.start_again("kill -9")
        self.compare_latency("after kill -9")
        rate, cpu = self.throughput("a million waiting", 1 if self.small else 5)
        self.figure("rate to an idle destination, of that with an empty queue", 100 * rate / self.empty_rate, "%", at_least=90)
        self.figure("queue process, CPU per message, empty", self.empty_cpu, "us")
        self.figure("queue process, CPU per message, a million waiting", cpu, "us")
        self.drain()
        time.sleep(1 if self.small else 20)
        self.space()
        return self.figures

    def done(self):
        self.server.stop()
        for sink in self.sinks:
            sink.take()
        self.dns.stop()


def measure(bench):
    case = Case(bench)
    try:
        return case.measure()
    finally:
        case.done()
