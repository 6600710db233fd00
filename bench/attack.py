#!/usr/bin/python3
"""What becomes of one honest client while others do their worst: its times before and during each attack, what the server
spends meanwhile, and whom it turns away. All settings are the defaults but one: the loopback is nobody's own network, so
that attackers from 127.x.y.z are strangers.

The attackers run at a lower priority (nice 10), since on a real network their work is done elsewhere; they still share the
processors' caches and the kernel with the server, so the figures are worse than a network's would be.
"""
import argparse
import base64
import collections
import contextlib
import itertools
import json
import multiprocessing
import os
import pathlib
import resource
import signal
import socket
import ssl
import statistics
import struct
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/support"))
os.environ.setdefault("GONIEC_BUILD", str(HERE.parent / "build/release"))
from house import House, Sink, wait_for  # noqa: E402 - needs the path and the build

ANNA, SECRET, HONEST = "anna@example.org", "correct horse battery", "127.99.9.9"
LETTER = f"From: {ANNA}\r\nSubject: a letter\r\n\r\n".encode() + b"x" * 4000 + b"\r\n.\r\n"
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname, CONTEXT.verify_mode = False, ssl.CERT_NONE


# -- the honest client --

class Session:
    """A mail program: submission with STARTTLS and a login."""

    def __init__(self, port, source=HONEST):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.hear(220)
        self.ask(b"EHLO honest.example\r\n", 250)
        self.ask(b"STARTTLS\r\n", 220)
        self.socket = CONTEXT.wrap_socket(self.socket)
        self.ask(b"EHLO honest.example\r\n", 250)
        self.ask(b"AUTH PLAIN " + base64.b64encode(f"\0{ANNA}\0{SECRET}".encode()) + b"\r\n", 235)

    def hear(self, code, lines=1):
        text = b""
        while text.count(b"\n") < lines or not text.endswith(b"\r\n") or text.splitlines()[-1][3:4] == b"-":
            piece = self.socket.recv(4096)
            if not piece:
                raise ConnectionError(text.decode(errors="replace"))
            text += piece
        if int(text.splitlines()[-1][:3]) != code:
            raise ConnectionError(text.decode(errors="replace"))

    def ask(self, text, code, lines=1):
        self.socket.sendall(text)
        self.hear(code, lines)

    def letter(self):
        self.ask(f"MAIL FROM:<{ANNA}>\r\nRCPT TO:<y@example.net>\r\nDATA\r\n".encode(), 354, 3)
        self.ask(LETTER, 250)

    def close(self):
        with contextlib.suppress(OSError, ConnectionError):
            self.ask(b"QUIT\r\n", 221)
        self.socket.close()


def live(port, seconds):
    """A letter on a kept session, and a whole new session with one, by turns: (kept, fresh, failures), milliseconds."""
    kept_ms, fresh_ms, failures, end = [], [], [], time.monotonic() + seconds
    kept = Session(port)
    while time.monotonic() < end:
        try:
            began = time.monotonic()
            kept.letter()
            kept_ms.append((time.monotonic() - began) * 1000)
            began = time.monotonic()
            fresh = Session(port)
            fresh.letter()
            fresh_ms.append((time.monotonic() - began) * 1000)
            fresh.close()
        except (OSError, ConnectionError) as fault:
            failures.append(str(fault))
        time.sleep(0.02)
    kept.close()
    return kept_ms, fresh_ms, failures


# -- attackers: each runs in a process of its own until it is killed --

def connect(port, source):
    connection = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
    return connection


def reset(connection):
    """Closes without the minute that the kernel would keep it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def addresses(first):
    """Strangers' addresses, one after the other, in 2,500 networks."""
    return (f"127.{first + n % 10}.{n // 10 % 250}.{n // 2500 % 250 + 1}" for n in itertools.count())


def stand_idle(ports, first, count, started):
    crowd = []
    for source in itertools.islice(addresses(first), count):
        crowd.append(connect(ports["submission"], source))
        crowd[-1].recv(200)
    started.set()
    signal.pause()


def drip(ports, first, count, started):
    """Slowloris: half a command, half a handshake, half a message, an octet a second each."""
    crowd = []
    for number, source in enumerate(itertools.islice(addresses(first), count)):
        connection = connect(ports["submissions" if number % 3 == 1 else "submission"], source)
        if number % 3 != 1:
            connection.recv(200)
        connection.sendall((b"EHLO ", b"\x16\x03\x01\x02\x00\x01\x00\x01", b"EHLO x\r\n")[number % 3])
        crowd.append(connection)
    started.set()
    while True:
        for connection in crowd:
            with contextlib.suppress(OSError):
                connection.sendall(b"x")
        time.sleep(1)


def flood(ports, first, count, started):
    """Connections as fast as they go, from one address (count 1) or many; each reads what it is told and goes."""
    started.set()
    for source in addresses(first) if count > 1 else itertools.repeat(f"127.{first}.1.1"):
        with contextlib.suppress(OSError):
            connection = connect(ports["submission"], source)
            connection.recv(200)
            reset(connection)


def shake(ports, first, count, started):
    """Full TLS handshakes as fast as they go; half of them are left in the middle."""
    started.set()
    for number, source in enumerate(addresses(first) if count > 1 else itertools.repeat(f"127.{first}.1.1")):
        with contextlib.suppress(OSError):
            connection = connect(ports["submissions"], source)
            inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = CONTEXT.wrap_bio(inside, outside)
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            connection.sendall(outside.read())
            inside.write(connection.recv(8192))
            if number % 2:
                with contextlib.suppress(ssl.SSLWantReadError):
                    client.do_handshake()
                connection.sendall(outside.read())
            reset(connection)


def guess(ports, first, count, started):
    """Wrong passwords, several in a session, for anna and for others."""
    started.set()
    sources = addresses(first) if count > 1 else itertools.repeat(f"127.{first}.1.1")
    for number, source in enumerate(sources):
        with contextlib.suppress(OSError):
            connection = connect(ports["submissions"], source)
            client = CONTEXT.wrap_socket(connection)
            client.recv(200)
            client.sendall(b"EHLO x\r\n")
            client.recv(2000)
            for turn in range(10):
                login = ANNA if turn % 2 else f"user{number}@example.org"
                client.sendall(b"AUTH PLAIN " + base64.b64encode(f"\0{login}\0{os.getpid()}-{number}-{turn}".encode()) + b"\r\n")
                if not client.recv(400):
                    break
            client.close()


def again_and_again(ports, first, started, act):
    """With a new session when the old one is ended, from somebody who has an account."""
    started.set()
    while True:
        with contextlib.suppress(OSError, ConnectionError):
            session = Session(ports["submission"], f"127.{first}.1.1")
            while True:
                act(session)


def pour(ports, first, count, started):
    """Messages of 256 MiB that were not announced, and 2 GiB that were."""
    piece = (b"x" * 998 + b"\r\n") * 256

    def act(session):
        session.ask(f"MAIL FROM:<{ANNA}> SIZE=2147483648\r\n".encode(), 552)
        session.ask(f"MAIL FROM:<{ANNA}>\r\nRCPT TO:<y@example.net>\r\nDATA\r\n".encode(), 354, 3)
        for _ in range(1024):
            session.socket.sendall(piece)
        session.ask(b"\r\n.\r\n", 552)
    again_and_again(ports, first, started, act)


def recipients(ports, first, count, started):
    """RCPT after RCPT, a thousand at a time, without ever sending a message."""
    group = b"".join(b"RCPT TO:<user%d@example.net>\r\n" % n for n in range(1000))

    def act(session):
        session.ask(f"MAIL FROM:<{ANNA}>\r\n".encode(), 250)
        session.ask(group, 250, 1000)
        for _ in range(4):
            session.ask(group, 452, 1000)
        session.ask(b"RSET\r\n", 250)
    again_and_again(ports, first, started, act)


CASES = [  # name, what the attackers do, attackers, how many addresses or connections each
    ("5,000 idle connections", stand_idle, 2, 2500),
    ("200 slowloris connections", drip, 1, 200),
    ("connections, one address", flood, 2, 1),
    ("connections, 2,500 networks", flood, 2, 2),
    ("TLS handshakes, one address", shake, 2, 1),
    ("TLS handshakes, 2,500 networks", shake, 2, 2),
    ("password guesses, one network", guess, 4, 1),
    ("password guesses, 2,500 networks", guess, 4, 2),
    ("messages of 256 MiB", pour, 4, 1),
    ("RCPT without end", recipients, 4, 1),
]


def attacker(play, ports, first, count, started):
    os.nice(10)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    play(ports, first, count, started)


# -- measuring --

def cpu_s(pids):
    """Processor seconds of these processes so far."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mib(pids):
    rows = (pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(line.split()[1]) for text in rows for line in text.splitlines() if line.startswith("Pss:")) / 1024


def spread(times):
    """(median, 99 %)"""
    if not times:
        return float("nan"), float("nan")
    ordered = sorted(times)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


def run_case(house, name, play, attackers, count, seconds):
    port = house.ports["submission"]
    before = live(port, seconds / 2)
    counts = house.json("status")["clients"]
    begun, processes = [], []
    for number in range(attackers):
        begun.append(multiprocessing.Event())
        processes.append(multiprocessing.Process(target=attacker, daemon=True,
                                                 args=(play, house.ports, 10 + 10 * number, count, begun[-1])))
        processes[-1].start()
    for event in begun:
        event.wait(60)
    pids = house.pids()
    cpu, began = cpu_s(pids), time.monotonic()
    during = live(port, seconds)
    took = time.monotonic() - began
    cpu, mib = (cpu_s(pids) - cpu) / took, pss_mib(pids)
    for process in processes:
        process.kill()
        process.join()
    now = house.json("status")["clients"]
    wait_for("the attackers' end", lambda: house.json("status")["clients"]["sessions"] < 10, 60)
    moved = {key: now[key] - counts[key] for key in now}
    away = sum(n for key, n in moved.items() if key.startswith("turned_away"))
    return {"case": name, "before": [spread(before[0]), spread(before[1])], "during": [spread(during[0]), spread(during[1])],
            "failures": during[2], "cpu": cpu, "mib": mib, "accepted_s": moved["accepted"] / took, "away_s": away / took,
            "put_off_s": moved["logins_slowed"] / took, "wrong_s": moved["logins_failed"] / took}


def print_row(row):
    (kept, kept99), (fresh, fresh99) = row["before"]
    (kept_, kept99_), (fresh_, fresh99_) = row["during"]
    print(f"{row['case']:34} {kept:5.1f} {kept99:6.1f} -> {kept_:6.1f} {kept99_:7.1f} | {fresh:5.1f} {fresh99:6.1f} -> "
          f"{fresh_:6.1f} {fresh99_:7.1f} | {row['cpu'] * 100:4.0f} % {row['mib']:5.0f} MiB | {row['accepted_s']:6.0f} "
          f"{row['away_s']:6.0f} {row['wrong_s']:5.0f} {row['put_off_s']:5.0f} | {len(row['failures'])}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="of each attack; half as long before it")
    parser.add_argument("--case", help="only those with this in their name")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    multiprocessing.set_start_method("fork")
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rows = []
    with tempfile.TemporaryDirectory(prefix="goniec-attack-", dir="/var/tmp") as folder:
        sink = Sink(folder, store=False)
        house = House(pathlib.Path(folder) / "house", {"relay": {"networks": []}, "log": {"level": "info"}},
                      accounts=((ANNA, SECRET),))
        house.route_all_to(sink.port)
        with house:
            if not options.json:
                print(f"{'':34} {'a letter, kept session, ms':^30} | {'a new session with a letter, ms':^30} | {'the server':^14} | "
                      "a second: clients, turned away, wrong, put off | failures of the honest one\n"
                      f"{'':34} median   99 % before -> during")
            for name, play, attackers, count in CASES:
                if options.case and options.case not in name:
                    continue
                rows.append(run_case(house, name, play, attackers, count, options.seconds))
                if not options.json:
                    print_row(rows[-1])
            lines = collections.Counter((json.loads(line)["role"], json.loads(line)["event"])
                                        for line in house.log_file.read_text().splitlines())
        sink.stop()
    if options.json:
        json.dump({"rows": rows, "log_lines": {" ".join(key): n for key, n in lines.items()}}, sys.stdout, indent=2)
    else:
        print("lines of the event log:", ", ".join(f"{n} {role} {event}" for (role, event), n in lines.most_common(12)))
        for row in rows:
            for fault in sorted(set(row["failures"]))[:3]:
                print(f"{row['case']}: {fault}")


if __name__ == "__main__":
    main()
