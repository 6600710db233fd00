"""A small internet for the cases of scale: an authoritative DNS server (nsd) whose zone has many mail domains.

How they share servers follows what zone surveys show: a few providers take the mail of a third of all domains, a tenth
has a name of its own at a provider's addresses, some thousand hosters take another part, the rest stands alone, with
one MX, with two, or with an address only. All addresses lie in 127.0.0.0/8, so one sink on 0.0.0.0 is all of them.
"""
import collections
import itertools
import json
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import threading
import time

import measure
from servers import Goniec, free_port, run, tree_of, wait_port

ZONE = "bench.example"
EVERYWHERE = ("0.0.0.0",)  # where the sink of all domains listens
PROVIDERS = 10
SHARES = (("provider", 0.35), ("tenant", 0.10), ("hoster", 0.20), ("own", 0.25), ("pair", 0.04), ("bare", 0.06))


def _zipf(rng, count):
    """Numbers below `count`, the first ones often."""
    weights = list(itertools.accumulate(1 / (k + 1) for k in range(count)))
    while True:
        yield rng.choices(range(count), cum_weights=weights)[0]


def _address(block, number):
    return f"127.{block + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


class Internet:
    """`domains` domains d0.bench.example, d1...; `records` is the zone, `sites` how many sets of servers there are."""

    def __init__(self, domains, seed=1):
        rng = random.Random(seed)
        self.domains, self.records, sets = domains, [], set()
        self.kinds = collections.Counter()
        hosters = max(domains // 50, 5)
        providers, some = _zipf(rng, PROVIDERS), _zipf(rng, hosters)
        self._shared(hosters)
        for number in range(domains):
            kind = rng.choices([k for k, _ in SHARES], [w for _, w in SHARES])[0]
            self.kinds[kind] += 1
            which = next(providers) if kind in ("provider", "tenant") else next(some) if kind == "hoster" else number
            sets.add((kind, which) if kind != "tenant" else (kind, number))
            self._domain(f"d{number}", kind, which, number)
        self.sites = len(sets)

    def _shared(self, hosters):
        for p in range(PROVIDERS):
            for h in range(4):
                self.records += [f"mx{h}.provider{p} A {_address(1, p * 8 + h)}"]
        for h in range(hosters):
            self.records += [f"mx.hoster{h} A {_address(2, h)}"]

    def _domain(self, name, kind, which, number):
        add = self.records.append
        if kind == "provider":
            add(f"{name} MX 1 mx0.provider{which}")
            for host in range(1, 2 + which % 3):
                add(f"{name} MX {5 * host} mx{host}.provider{which}")
        elif kind == "tenant":
            add(f"{name} MX 0 {name}.tenants")
            add(f"{name}.tenants A {_address(1, which * 8)}")
            add(f"{name}.tenants A {_address(1, which * 8 + 1)}")
        elif kind == "hoster":
            add(f"{name} MX 10 mx.hoster{which}")
        elif kind == "bare":
            add(f"{name} A {_address(16, number)}")
        else:
            add(f"{name} MX 10 mail.{name}")
            add(f"mail.{name} A {_address(16, number)}")
            if kind == "pair":
                add(f"{name} MX 20 backup.{name}")
                add(f"backup.{name} A {_address(64, number)}")


class Nsd:
    """nsd with one zone, counting what it is asked."""

    def __init__(self, folder, records, ttl_s=3600):
        self.folder, self.port = pathlib.Path(folder) / "nsd", free_port()
        self.folder.mkdir(parents=True)
        zone, config = self.folder / "zone", self.folder / "nsd.conf"
        zone.write_text(f"$ORIGIN {ZONE}.\n$TTL {ttl_s}\n@ SOA ns root 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n" +
                        "\n".join(records) + "\n")
        config.write_text(
            f'server:\n  ip-address: 127.0.0.1@{self.port}\n  port: {self.port}\n  username: ""\n  zonesdir: "{self.folder}"\n'
            f'  pidfile: "{self.folder}/pid"\n  database: ""\n  xfrdfile: "{self.folder}/xfrd"\n  xfrdir: "{self.folder}"\n'
            f'  zonelistfile: "{self.folder}/list"\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: yes\n'
            f'  control-interface: "{self.folder}/control"\nzone:\n  name: "{ZONE}"\n  zonefile: "{zone}"\n')
        path = shutil.which("nsd", path="/usr/sbin:/usr/bin")
        if not path:
            raise SystemExit("nsd is needed for this case:\n  apt-get install -y --no-install-recommends nsd")
        self.process = subprocess.Popen([path, "-d", "-c", config], stdout=open(self.folder / "out", "w"), stderr=subprocess.STDOUT)
        self._wait()

    def _answers(self):
        question = struct.pack(">HHHHHH", 7, 0, 1, 0, 0, 0) + b"".join(
            bytes([len(label)]) + label.encode() for label in ZONE.split(".")) + b"\0" + struct.pack(">HH", 6, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.5)
            try:
                client.sendto(question, ("127.0.0.1", self.port))
                return client.recv(512)[3] & 15 == 0
            except OSError:
                return False

    def _wait(self):
        end = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit("nsd does not answer:\n" + (self.folder / "out").read_text())
            time.sleep(0.1)

    def queries(self):
        """How many it was asked so far."""
        text = run([shutil.which("nsd-control", path="/usr/sbin:/usr/bin"), "-c", self.folder / "nsd.conf", "stats_noreset"])
        return int(dict(line.split("=") for line in text.splitlines() if "=" in line)["num.queries"])

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


class Abroad(Goniec):
    """goniec sending by the MX records of a DNS server of ours, to servers on one port of the loopback; mail to
    home.example (and so every report) goes to that port of 127.0.0.1. `more`: sections laid over these settings."""

    def __init__(self, program, folder, dns_port, sink_port, **more):
        super().__init__(program, folder)
        self.dns_port, self.more = dns_port, more
        self.ports = {"relay": free_port(), "submission": free_port()}
        self.config = folder / "goniec.conf"
        self.config.write_text(json.dumps(self.settings(sink_port), indent=1))

    def settings(self, sink_port):
        settings = dict(super().settings(sink_port), **{
            "dns": {"resolvers": [f"127.0.0.1:{self.dns_port}"]},
            "delivery": {"port": sink_port, "refuse-networks": [], "tls": "none"},
            "routes": [{"domain": "home.example", "via": f"smtp://127.0.0.1:{sink_port}", "tls": "none"}],
        })
        for name, value in self.more.items():
            settings[name] = {**settings.get(name, {}), **value} if isinstance(value, dict) else value
        return settings

    def launch(self):
        with open(self.folder / "serve.out", "a") as output:
            self.process = subprocess.Popen([self.program, "serve", "--config", str(self.config)], stdout=output, stderr=output)
        wait_port(self.ports["relay"], self.process)

    def say(self, *words):
        return run([self.program, *words, "--config", self.config])


class Watch(threading.Thread):
    """Looks at a role of the server every 0.2 s: the most descriptors, sockets and memory that one process had."""

    def __init__(self, root, role="delivery"):
        super().__init__(daemon=True)
        self.root, self.role, self.ended = root, role, threading.Event()
        self.descriptors = self.kib = 0
        self.start()

    def run(self):
        while not self.ended.wait(0.2):
            for pid in tree_of(self.root):
                try:
                    if measure.role_of(pid) == self.role:
                        self.descriptors = max(self.descriptors, measure.descriptors(pid))
                        self.kib = max(self.kib, measure.private_kib(pid))
                except OSError:
                    continue

    def stop(self):
        self.ended.set()
        self.join()
        return self
