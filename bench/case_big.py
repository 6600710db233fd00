"""Messages of 50 MiB from 100 connections at once: bounded memory, whole arrivals, and small mail that is not held up."""
import hashlib
import json
import mmap
import os
import random
import smtplib
import subprocess
import threading
import time

import measure as kernel
import scale
from servers import Goniec, Sink

ABOUT = "50 MiB messages from 100 connections at once; small mail in between"
MIB = 1 << 20
SMALL_RATE = 100  # small messages a second, while nothing else happens and while the big ones come
QUIET_S = 10
SAMPLES = 3       # big messages of chance octets, compared octet by octet where they arrive
ARRIVE_S = 150    # how long all of it may take
DOMAINS = ("quiet", "busy", "big", "sample")


def behind():
    """The generator and the receiver of the big mail stand for other machines: they take no time from the server."""
    os.nice(19)


def sink(bench, name):
    more = {"preexec_fn": behind} if name in ("big", "sample") else {}
    options = ["--store", bench.folder / "samples"] if name == "sample" else []
    return Sink(bench.goniec, bench.folder, "--stats", 1, *options, name=name, **more)


def wait_for(sink, count, seconds):
    """Until so many messages have arrived, or the time is up."""
    end = time.monotonic() + seconds
    while (sink.last() or {"messages": 0})["messages"] < count and time.monotonic() < end:
        time.sleep(0.2)


class BigGoniec(Goniec):
    """Each domain has a way of its own, so that one receiver does not wait for another."""
    sinks = {}

    def settings(self, sink_port):
        settings = super().settings(sink_port)
        settings["smtpd"]["max-size"] = "64MiB"
        settings["routes"] = [{"domain": f"{name}.example", "via": f"smtp://127.0.0.1:{sink.port}", "tls": "none"}
                              for name, sink in self.sinks.items()]
        return settings


def load(bench, server, domain, count, octets, connections, *options, **more):
    command = [bench.goniec, "load", "--json", "--to", f"127.0.0.1:{server.ports['relay']}", "--messages", str(count), "--size",
               str(octets), "--connections", str(connections), "--rcpt", f"user%d@{domain}.example", "--timeout", "120", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)


def small_mail(bench, server, domain, seconds):
    return load(bench, server, domain, SMALL_RATE * seconds, 4096, 10, "--rate", str(SMALL_RATE))


def report(process, seconds=ARRIVE_S):
    return json.loads(process.communicate(timeout=seconds)[0])


# -- big messages whose octets are compared --

def chance_text(octets, seed):
    """Lines that hardly compress and hardly repeat; some begin with a dot."""
    chance = random.Random(seed)
    line = bytes(chance.choices(range(33, 127), k=76))
    text = bytearray()
    while len(text) < octets:
        at = chance.randrange(76)
        line = line[at:] + line[:at]
        text += (b"." if at == 0 else b"") + line + b"\r\n"
    return bytes(text)


def send_sample(server, number, body):
    """Command by command, since sendmail() turns the whole message over several times."""
    with smtplib.SMTP("127.0.0.1", server.ports["relay"], timeout=ARRIVE_S) as client:
        client.ehlo("sample.example")
        client.mail("sender@load.example")
        client.rcpt(f"user{number}@sample.example")
        client.docmd("DATA")
        client.send(b"Subject: sample %d\r\n\r\n" % number)
        client.send(body.replace(b"\r\n.", b"\r\n.."))
        client.send(b".\r\n")
        client.getreply()


def stored_samples(folder):
    """number -> the hash of what stands behind its header."""
    found = {}
    for path in folder.glob("*.eml"):
        head, _, body = path.read_bytes().partition(b"Subject: sample ")
        number, _, body = body.partition(b"\r\n\r\n")
        if int(number.split()[0]) in found:
            raise scale.Lost(f"sample {number} arrived twice")
        found[int(number.split()[0])] = hashlib.sha256(body).hexdigest()
    return found


# -- what is watched meanwhile --

class Watch(threading.Thread):
    """The largest resident memory of all processes together, and its parts at that moment."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.most, self.parts, self.ended = root, 0, {}, threading.Event()

    def run(self):
        while not self.ended.wait(0.2):
            parts = kernel.by_role(self.root, kernel.pss_kib)
            if sum(parts.values()) > self.most:
                self.most, self.parts = sum(parts.values()), parts

    def stop(self):
        self.ended.set()
        self.join()


class Probe(threading.Thread):
    """Syncs a block of a file that exists, again and again: what the disk itself lets a small commit wait."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.path, self.took_ms, self.ended = folder / "probe", [], threading.Event()
        self.path.write_bytes(bytes(4 * MIB))

    def run(self):
        block = os.urandom(mmap.PAGESIZE)
        fd = os.open(self.path, os.O_WRONLY)
        os.fsync(fd)
        while not self.ended.wait(1 / SMALL_RATE):
            begun = time.monotonic()
            os.pwrite(fd, block, len(self.took_ms) * mmap.PAGESIZE % (4 * MIB))
            os.fdatasync(fd)
            self.took_ms.append((time.monotonic() - begun) * 1000)
        os.close(fd)

    def result_ms(self):
        self.ended.set()
        self.join()
        return {f"p{percent}": round(sorted(self.took_ms)[len(self.took_ms) * percent // 100], 3) for percent in (50, 90, 99)}


# -- the case --

def quiet(bench, server, seconds):
    """Small mail and nothing else: what it is compared with."""
    probe = Probe(bench.folder)
    probe.start()
    small = small_mail(bench, server, "quiet", seconds)
    found = report(small)
    time.sleep(1.2)
    return {"reply": found["latency_ms"], "arrival": server.sinks["quiet"].take()["arrival_ms"], "sync": probe.result_ms()}


def busy(bench, server, count, octets):
    """All the big mail at once, and small mail until the last of it has arrived."""
    bodies = {number: chance_text(octets, number) for number in range(SAMPLES)}
    watch, probe = Watch(server.root()), Probe(bench.folder)
    begun = time.monotonic()
    big = load(bench, server, "big", count, octets, count, "--per-connection", "1", preexec_fn=behind)
    small = small_mail(bench, server, "busy", ARRIVE_S)
    for thread in [watch, probe] + [threading.Thread(target=send_sample, args=(server, *item), daemon=True) for item in bodies.items()]:
        thread.start()
    taken = report(big)
    taken_s = time.monotonic() - begun
    wait_for(server.sinks["big"], count, ARRIVE_S - taken_s)
    wait_for(server.sinks["sample"], SAMPLES, ARRIVE_S - taken_s)
    all_s = time.monotonic() - begun
    small.terminate()
    found = report(small)
    time.sleep(1.2)
    watch.stop()
    return {"reply": found["latency_ms"], "arrival": server.sinks["busy"].take()["arrival_ms"], "sync": probe.result_ms(),
            "small": found, "big": taken, "arrived": server.sinks["big"].take(), "taken_s": taken_s, "all_s": all_s, "peak": watch,
            "hashes": {number: hashlib.sha256(body).hexdigest() for number, body in bodies.items()}}


def check(bench, result, count, octets):
    arrived = result["arrived"]
    if result["big"]["taken"] != count:
        raise scale.Lost(f"{count - result['big']['taken']} big messages were not taken: {result['big']['errors']}")
    if arrived["unique"] != count or arrived["surplus"]:
        raise scale.Lost(f"of {count} big messages {arrived['unique']} arrived, {arrived['surplus']} too many")
    if arrived["octets"] < count * (octets - 2):
        raise scale.Lost("big messages arrived cut short")
    if stored_samples(bench.folder / "samples") != result["hashes"]:
        raise scale.Lost("a sample of the big messages arrived changed, or not at all")
    if result["small"]["failed"]:
        raise scale.Lost(f"small messages were not taken: {result['small']['errors']}")


def measure_all(bench, server, count, octets):
    report(load(bench, server, "quiet", 50, 4096, 10))  # a server that has just started is still filling its first segments
    before = quiet(bench, server, 2 if bench.small else QUIET_S)
    bench.say(f"alone: small mail {before['reply']}, arrival {before['arrival']}, a sync {before['sync']}")
    idle_kib = sum(kernel.by_role(server.root(), kernel.pss_kib).values())
    result = busy(bench, server, count, octets)
    bench.say(f"with big mail: small mail {result['reply']}, arrival {result['arrival']}, a sync {result['sync']}")
    bench.say(f"memory at its peak, KiB: {result['peak'].parts}")
    check(bench, result, count, octets)
    after_kib = kernel.settled(server.root(), kernel.pss_kib)
    explained = 2 * result["sync"]["p99"]
    volume = count * octets / MIB
    return [
        scale.Figure("big mail taken", volume / result["taken_s"], "MiB/s"),
        scale.Figure("big mail taken and delivered", volume / result["all_s"], "MiB/s"),
        scale.Figure("resident memory at its peak, all processes", result["peak"].most / 1024, "MiB", at_most=200),
        scale.Figure("  before", idle_kib / 1024, "MiB"),
        scale.Figure("  afterwards", after_kib / 1024, "MiB", at_most=idle_kib / 1024 + 16),
        scale.Figure("a sync of 4 KiB by somebody else, p99: alone", before["sync"]["p99"], "ms"),
        scale.Figure("  with big mail", result["sync"]["p99"], "ms"),
        scale.Figure("small mail, p99 of its 250: alone", before["reply"]["p99"], "ms"),
        scale.Figure("  with big mail; bound: twice, and two syncs", result["reply"]["p99"], "ms",
                     at_most=2 * before["reply"]["p99"] + explained),
        scale.Figure("small mail, p99 of its arrival: alone", before["arrival"]["p99"], "ms"),
        scale.Figure("  with big mail; bound: twice, and two syncs", result["arrival"]["p99"], "ms",
                     at_most=2 * before["arrival"]["p99"] + explained),
    ]


def measure(bench):
    count, octets = (4, 2 * MIB) if bench.small else (100, 50 * MIB)
    server = BigGoniec(bench.goniec, bench.folder / "goniec")
    (bench.folder / "samples").mkdir()
    try:
        server.sinks = {name: sink(bench, name) for name in DOMAINS}
        server.start(None)
        return measure_all(bench, server, count, octets)
    finally:
        server.stop()
        for each in server.sinks.values():
            each.take()
