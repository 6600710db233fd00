"""Counts what each process of a whole server does for one message, in workloads that are the same every time.

The clock and the load of the machine decide how much of the work falls together, so they are kept out: everything runs
on one processor, nothing arrives before every process has gone to sleep over what came before, and files lie in memory,
where a sync keeps nobody waiting. A count is the median over the turns: what a timer does now and then is not in it.
"""
import base64
import contextlib
import os
import pathlib
import re
import shutil
import signal
import statistics
import struct
import time

from count_talk import Client, Peer, message_of
from count_trace import Trace
from measure import role_of
from servers import LOGIN, PASSWORD, Goniec, tree_of

PATIENCE_S = 120
SENDER, RECIPIENT = LOGIN.encode(), b"user@bench.example"
GROUP = b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (SENDER, RECIPIENT)
MESSAGE = message_of(4096)
WARM_TURNS = 5
ROLES = ["delivery", "directory", "queue", "smtpd", "supervisor"]


class Counted(Goniec):
    """A server with one process of each kind, which can be asked whether it is at rest."""

    def __init__(self, program, folder, library):
        super().__init__(program, folder)
        self.roles = {}
        self.library, self.asked = library, folder / "allocations"
        self.asked.mkdir()

    def settings(self, sink_port):
        settings = super().settings(sink_port)
        settings["smtpd"] = dict(settings.get("smtpd", {}), processes=1)
        settings["delivery"] = dict(settings.get("delivery", {}), processes=1)
        settings["spool"] = {"segment": "4MiB", "reserve": "1MiB"}
        return settings

    def start(self, sink_port):
        os.environ.update(LD_PRELOAD=str(self.library), GONIEC_COUNT_FOLDER=str(self.asked))
        try:
            super().start(sink_port)
        finally:
            del os.environ["LD_PRELOAD"], os.environ["GONIEC_COUNT_FOLDER"]
        end = time.monotonic() + PATIENCE_S
        while sorted(self.roles.values()) != ROLES:  # the doors open before everybody is there
            if time.monotonic() > end:
                raise TimeoutError(f"these processes came: {sorted(self.roles.values())}")
            time.sleep(0.01)
            with contextlib.suppress(OSError):
                self.roles = {pid: role_of(pid) for pid in tree_of(self.root())}
        self.rest()

    def look(self, pids):
        """Does every thread sleep, and how often has it gone to sleep so far?"""
        still, sleeps = True, dict.fromkeys(pids, 0)
        for pid in pids:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/status") as file:
                    text = file.read()
                still = still and re.search(r"\nState:\s+(.)", text).group(1) == "S"
                sleeps[pid] += int(re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", text).group(1))
        return still, sleeps

    def rest(self, pids=None):
        """Waits until two looks in a row find the same sleep. Returns pid -> how often its threads have gone to sleep."""
        pids = pids or list(self.roles)
        end, before = time.monotonic() + PATIENCE_S, None
        while time.monotonic() < end:
            still, sleeps = self.look(pids)
            if still and sleeps == before:
                return sleeps
            before = sleeps if still else None
            time.sleep(0.0003)
        raise TimeoutError("the server never came to rest")

    def go_on(self):
        """Whoever was stopped can end now."""
        for pid in self.roles:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def allocations(self):
        return {pid: struct.unpack("Q", (self.asked / str(pid)).read_bytes()[:8])[0] for pid in self.roles}


class Relay:
    """One connection, one message at a time, each delivered before the next begins."""
    chunking, batch, counts_switches, turns = False, 1, True, 25

    def __init__(self, server, peer):
        self.server, self.peer = server, peer
        self.client = Client(server.ports["relay"])
        self.talk(self.client, b"EHLO client.bench.example\r\n", 250)

    def counted(self):
        """Processes and their roles."""
        return self.server.roles.items()

    def talk(self, client, octets, *codes):
        client.send(octets)
        client.expect(*codes)
        self.server.rest()

    def pass_on(self):
        """Lets the server deliver what it has."""
        while self.peer.serve():
            self.server.rest()

    def turn(self):
        self.talk(self.client, GROUP, 250, 250, 354)
        self.talk(self.client, MESSAGE, 250)
        self.pass_on()


class Submission(Relay):
    """A connection with TLS and a login for each message; the peer takes chunks."""
    chunking, turns = True, 15

    def __init__(self, server, peer):
        self.server, self.peer = server, peer

    def turn(self):
        client = Client(self.server.ports["submission"])
        self.server.rest()
        self.talk(client, b"EHLO client.bench.example\r\n", 250)
        self.talk(client, b"STARTTLS\r\n", 220)
        client.begin_tls()
        self.server.rest()
        self.talk(client, b"EHLO client.bench.example\r\n", 250)
        self.talk(client, b"AUTH PLAIN %s\r\n" % base64.b64encode(b"\0%s\0%s" % (SENDER, PASSWORD.encode())), 235)
        self.talk(client, GROUP, 250, 250, 354)
        self.talk(client, MESSAGE, 250)
        self.pass_on()
        self.talk(client, b"QUIT\r\n", 221)
        client.close()
        self.server.rest()


class Burst(Relay):
    """Twenty connections with a message each at once; the processes are stopped and go on one after the other, so that each
    finds all of it. (That wakes them once more than a server's life does, so switches are not counted.)"""
    batch, counts_switches, turns = 20, False, 12
    ORDER = ("smtpd", "queue", "delivery")

    def __init__(self, server, peer):
        self.server, self.peer = server, peer
        self.clients = [Client(server.ports["relay"]) for _ in range(self.batch)]
        for client in self.clients:
            self.talk(client, b"EHLO client.bench.example\r\n", 250)
        self.order = [pid for role in self.ORDER for pid in server.roles if server.roles[pid] == role]

    def counted(self):
        """Without the supervisor, which hears of each stop."""
        return [(pid, role) for pid, role in self.server.roles.items() if role != "supervisor"]

    def stop(self, pid):
        os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + PATIENCE_S
        while not re.search(r"\nState:\s+[Tt]", pathlib.Path(f"/proc/{pid}/status").read_text()):
            if time.monotonic() > end:
                raise TimeoutError("a process did not stop")
            time.sleep(0.0002)

    def round(self):
        for pid in self.order:
            os.kill(pid, signal.SIGCONT)
            self.server.rest([pid])
            self.stop(pid)
        self.peer.serve()

    def all_say(self, octets, *codes):
        for client in self.clients:
            client.send(octets)
        self.round()
        for client in self.clients:
            client.expect(*codes)

    def turn(self):
        wanted = self.peer.taken + self.batch
        for pid in self.order:
            self.stop(pid)
        self.all_say(GROUP, 250, 250, 354)
        self.all_say(MESSAGE, 250)
        end = time.monotonic() + PATIENCE_S
        while self.peer.taken < wanted and time.monotonic() < end:
            self.round()
        for _ in range(3):  # the outcomes, and what follows from them
            self.round()
        for pid in self.order:
            os.kill(pid, signal.SIGCONT)


WORKLOADS = {"relay": Relay, "burst": Burst, "submission": Submission}


def turns_of(play, figure):
    """Plays turns; figure() before the first and after each."""
    play.server.rest()
    seen = [figure()]
    for _ in range(play.turns):
        play.turn()
        play.server.rest()
        seen.append(figure())
    return seen


def middle(rows, key, batch):
    """The median of what a row was more than the one before, for a message."""
    return statistics.median(after[key] - before[key] for before, after in zip(rows, rows[1:])) / batch


def count_quiet(play, counts):
    """Allocations and context switches: before anybody watches, since who is watched waits for the watcher."""
    server = play.server
    rows = turns_of(play, lambda: (server.allocations(), server.rest()))
    for pid, role in play.counted():
        counts.setdefault(role, {})["allocations"] = middle([asked for asked, _ in rows], pid, play.batch)
        if play.counts_switches:
            counts[role]["switches"] = middle([sleeps for _, sleeps in rows], pid, play.batch)


def count_calls(play, counts, show):
    """System calls, syncs and octets written: watched by strace."""
    trace = Trace(play.server.roles, play.server.folder / "strace")
    try:
        times = turns_of(play, time.time)
    finally:
        trace.stop()
    trace.read()
    for _, role in play.counted():
        turns = [trace.between(role, since, until) for since, until in zip(times, times[1:])]
        for what in Trace.WHAT:
            counts[role][what] = statistics.median(turn[what] for turn in turns) / play.batch
        if show:
            show(role, trace.names(role, times[0], times[-1]), play.turns * play.batch)


def count(name, program, library, folder, traced=True, show=None):
    """role -> what -> how often for a message."""
    kind, counts = WORKLOADS[name], {}
    peer, server = Peer(kind.chunking), None
    try:
        server = Counted(program, folder / name, library)
        server.start(peer.port)
        play = kind(server, peer)
        for _ in range(WARM_TURNS):
            play.turn()
            server.rest()
        count_quiet(play, counts)
        if traced:
            count_calls(play, counts, show)
    finally:
        if server:
            server.go_on()
            server.stop()
        peer.close()
        shutil.rmtree(folder / name, ignore_errors=True)
    return counts


def stay_on_one_processor():
    """And let nobody be interrupted because somebody else was woken."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError:
        pass  # then it is a little less the same every time
