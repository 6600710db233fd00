"""Resident memory: of an empty server, of 200 busy connections, of 10,000 idle ones, and after they have gone."""
import contextlib
import json
import resource
import selectors
import socket
import ssl
import subprocess
import threading
import time

import measure as kernel
import scale
from servers import Goniec, Sink

ABOUT = "memory of 200 busy and 10,000 idle connections; mail flows beside them"
BUSY = 200
FEW = 100       # connections of a kind before those that are measured: what is made once is made by then
TLS_PART = 5    # every fifth idle connection speaks TLS
MESSAGES = 20000


def pss(server):
    """KiB of all processes together, once they have come to rest."""
    return sum(kernel.by_role(server.root(), kernel.pss_kib).values())


def kernel_kib():
    """Memory of the kernel: what sockets hold, and its own objects. Both ends of a connection are in it."""
    rows = dict(line.split(":") for line in open("/proc/meminfo").read().splitlines())
    return int(rows["Slab"].split()[0])


class Crowd:
    """Idle clients: greeted, EHLO said, with or without TLS."""

    def __init__(self, server):
        self.server, self.all = server, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def say(self, connection, text):
        connection.sendall(text)
        answer = connection.recv(4096)
        if not answer.startswith((b"220", b"250")):
            raise scale.Lost(f"an idle client heard {answer!r}")

    def join(self, count, tls):
        port = self.server.ports["submission" if tls else "relay"]
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            connection.recv(4096)
            self.say(connection, b"EHLO idle.example\r\n")
            if tls:
                self.say(connection, b"STARTTLS\r\n")
                connection = self.context.wrap_socket(connection)
                self.say(connection, b"EHLO idle.example\r\n")
            self.all.append(connection)

    def still_there(self):
        """How many have not been hung up on."""
        closed = 0
        with selectors.PollSelector() as selector:
            for connection in self.all:
                selector.register(connection, selectors.EVENT_READ)
            for key, _ in selector.select(0):
                with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
                    key.fileobj.setblocking(False)
                    closed += key.fileobj.recv(4096) == b""
        return len(self.all) - closed

    def leave(self):
        for connection in self.all:
            connection.close()
        self.all = []


class Peak(threading.Thread):
    """The largest sum while it runs."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.most, self.ended = server, 0, threading.Event()

    def run(self):
        while not self.ended.wait(0.1):
            self.most = max(self.most, pss(self.server))

    def stop(self):
        self.ended.set()
        self.join()
        return self.most


def busy(bench, server, messages):
    """BUSY connections with 4 KiB messages; the report of the generator, with the peak of memory in MiB."""
    peak = Peak(server)
    peak.start()
    done = subprocess.run([bench.goniec, "load", "--json", "--to", f"127.0.0.1:{server.ports['relay']}", "--messages", str(messages),
                           "--connections", str(BUSY), "--rcpt", "user%d@bench.example", "--users", "100"], stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    if found["taken"] != messages:
        raise scale.Lost(f"{messages - found['taken']} messages were not taken: {found['errors']}")
    return dict(found, peak=peak.stop() / 1024)


def each(server, crowd, count, tls):
    """KiB that one more idle connection takes: in the server, and of the kernel for both ends."""
    crowd.join(FEW, tls)
    time.sleep(0.5)
    before, slab = pss(server), kernel_kib()
    crowd.join(count, tls)
    time.sleep(0.5)
    return (pss(server) - before) / count, (kernel_kib() - slab) / count


def measure_all(bench, server, count):
    messages = MESSAGES // 100 if bench.small else MESSAGES
    empty = pss(server)
    alone = busy(bench, server, messages)
    bench.say(f"{BUSY} busy connections: {alone['rate']:.0f}/s, {alone['latency_ms']}")
    crowd = Crowd(server)
    tls_count = count // TLS_PART
    plain, plain_kernel = each(server, crowd, count - tls_count - 2 * FEW, False)
    tls, tls_kernel = each(server, crowd, tls_count, True)
    full = pss(server)
    bench.say(f"{len(crowd.all)} idle ones: {kernel.by_role(server.root(), kernel.pss_kib)}")
    beside = busy(bench, server, messages)
    bench.say(f"{BUSY} busy connections beside them: {beside['rate']:.0f}/s, {beside['latency_ms']}")
    held = crowd.still_there()
    crowd.leave()
    after = kernel.settled(server.root(), kernel.pss_kib)
    return [
        scale.Figure("resident memory, empty server", empty / 1024, "MiB"),
        scale.Figure(f"  with {BUSY} busy connections, at its peak", alone["peak"], "MiB", at_most=40),
        scale.Figure("an idle plain connection", plain, "KiB", at_most=4),
        scale.Figure("an idle TLS connection", tls, "KiB", at_most=40),
        scale.Figure("  the kernel's objects for both ends of a plain one", plain_kernel, "KiB"),
        scale.Figure("  and of a TLS one", tls_kernel, "KiB"),
        scale.Figure("idle connections held", held, "", at_least=count),
        scale.Figure("  resident memory with them", full / 1024, "MiB"),
        scale.Figure("  rate of mail beside them, of that without them", 100 * beside["rate"] / alone["rate"], "%"),
        scale.Figure("resident memory when they have gone", after / 1024, "MiB", at_most=empty / 1024 + 12),
    ]


def idle_count(bench):
    """As many as the descriptors here allow a client to hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(200 + 2 * FEW if bench.small else 10000, hard - 200)


def measure(bench):
    count = idle_count(bench)
    server, sink = Goniec(bench.goniec, bench.folder / "goniec"), Sink(bench.goniec, bench.folder)
    try:
        server.start(sink.port)
        server.warm_up(bench.goniec)
        return measure_all(bench, server, count)
    finally:
        server.stop()
        sink.take()
