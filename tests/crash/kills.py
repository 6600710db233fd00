"""Ways in which a server meets its end; each is one round. What they do is drawn from a seed, when it hits is not."""
import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time

from house import Process, binary, wait_for

ROLES = ("smtpd", "queue", "delivery", "directory")
BACK_S = 90 # until a server that was left alone must take mail again

# name, how often it is drawn
KINDS = (("one", 34), ("role", 10), ("pair", 12), ("supervisor", 8), ("all", 14), ("starting", 10), ("stopping", 7), ("reloading", 5))


class Killer:
    """Kills parts of a house and sees that it goes on; counts what it did."""

    def __init__(self, house, chance, counts, disk=None):
        self.house, self.chance, self.counts, self.disk = house, chance, counts, disk
        self.in_a_row = 0 # single deaths since the last whole start: the supervisor waits longer after each
        self.nap = threading.Event()
        self.moments = [] # of kills, seconds since 1970

    def pause(self, most_s):
        self.nap.wait(self.chance.random() * most_s)

    def round(self):
        """One round; its name."""
        if self.disk:
            self.kill_power()
            return "power"
        kind = self.chance.choices([name for name, _ in KINDS], [weight for _, weight in KINDS])[0]
        if kind in ("one", "role", "pair", "reloading") and self.in_a_row >= 3:
            kind = "all"
        self.in_a_row = self.in_a_row + 1 if kind in ("one", "role", "pair", "reloading") else 0
        getattr(self, "kill_" + kind)()
        self.counts[f"rounds: {kind}"] += 1
        return kind

    def kill(self, pids, what):
        self.moments.append(time.time())
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.counts["processes killed"] += 1
        self.counts[f"kills: {what}"] += 1

    # -- parts --

    def kill_one(self, role=None):
        role = role or self.chance.choice(ROLES)
        pids = self.house.pids(role)
        self.kill([self.chance.choice(pids)] if pids else [], role)

    def kill_role(self):
        role = self.chance.choice(ROLES)
        self.kill(self.house.pids(role), role)

    def kill_pair(self):
        """Two, one shortly after the other or both at once: the queue and who works with it."""
        roles = ["queue", self.chance.choice(("smtpd", "delivery"))]
        self.chance.shuffle(roles)
        self.kill_one(roles[0])
        if self.chance.random() < 0.6:
            self.pause(0.2)
        self.kill_one(roles[1])

    def kill_reloading(self):
        command = subprocess.Popen([binary(), "reload"], env=self.house.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pause(0.05)
        self.kill_one()
        command.wait(BACK_S)

    # -- the whole --

    def start(self):
        self.house.start()

    def wait_end(self, pids):
        places = [pathlib.Path("/proc") / str(pid) for pid in pids]
        wait_for("the end of all processes", lambda: not any(place.exists() for place in places), BACK_S)

    def kill_all(self, start=True):
        """Every process, in any order, as near to at once as it goes."""
        pids = self.house.pids()
        self.chance.shuffle(pids)
        self.kill(pids, "all")
        self.house.server.process.wait()
        self.wait_end(pids)
        if start:
            self.start()

    def kill_supervisor(self):
        """The others may not outlive it."""
        pids = self.house.pids()
        self.kill([self.house.server.process.pid], "supervisor")
        self.house.server.process.wait()
        self.wait_end(pids)
        self.start()

    def kill_power(self):
        """Of the disk first: for a moment everybody writes to one that keeps nothing, and may promise nothing."""
        pids = self.house.pids()
        self.moments.append(time.time())
        self.disk.cut_power()
        self.pause(0.5)
        self.kill(pids, "power")
        self.house.server.process.wait()
        self.wait_end(pids)
        self.disk.mount_again()
        self.start()

    def kill_starting(self):
        """Everything, and then again while it starts and reads its spool."""
        self.kill_all(start=False)
        house, ready = self.house, self.house.starts()
        house.server = Process("serve", [binary(), "serve", "--config", str(house.config)], house.folder, house.env())
        self.pause(0.15)
        if self.chance.random() < 0.5:
            self.kill_one()
            wait_for("a start or its end", lambda: house.starts() > ready or not house.server.alive(), BACK_S)
            if house.server.alive():
                return
        self.kill_all()

    def kill_stopping(self):
        """In the middle of an orderly stop."""
        pids = self.house.pids()
        self.house.server.process.send_signal(signal.SIGTERM)
        self.pause(0.3)
        if self.chance.random() < 0.5:
            self.kill_one()
            self.house.server.process.wait(BACK_S)
            self.wait_end(pids)
            self.start()
        else:
            self.kill_all()
