"""What strace saw of some processes: system calls, syncs, octets written to files, between two moments."""
import bisect
import collections
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

PATIENCE_S = 120
WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2"}
SYNCS = {"fdatasync", "fsync", "sync_file_range"}
LINE = re.compile(r"(\d+)\s+(\d+\.\d+) (<\.\.\. )?(\w+)(.*)$")


class NotAllowed(Exception):
    """strace may not watch a process here."""


def tasks_of(pid):
    return os.listdir(f"/proc/{pid}/task")


def is_watched(pid):
    return all(re.search(r"\nTracerPid:\s+[1-9]", pathlib.Path(f"/proc/{pid}/task/{task}/status").read_text())
               for task in tasks_of(pid))


class Trace:
    """strace over processes (pid -> role) from its making to stop(); then read() and ask.

    Threads' waiting for each other (futex) depends on who is quicker and is counted by itself; calls that a signal
    interrupted are begun again and not counted."""

    WHAT = ("calls", "syncs", "octets", "futex")

    def __init__(self, roles, output):
        self.output = output
        attach = [word for pid in roles for word in ("-p", str(pid))]
        self.process = subprocess.Popen(["strace", "-f", "-ttt", "-y", "-qq", "-s", "0", "-e", "signal=none", "-o", output, *attach],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while not all(map(is_watched, roles)):
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise NotAllowed()
            time.sleep(0.02)
        self.roles = {task: role for pid, role in roles.items() for task in tasks_of(pid)}

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(PATIENCE_S)

    def read(self):
        self.calls = collections.defaultdict(list)  # role -> (when, name, octets written to a file)
        begun = {}
        for line in pathlib.Path(self.output).read_text(errors="replace").splitlines():
            found = LINE.match(line)
            role = self.roles.get(found.group(1)) if found else None
            if role is None:
                continue
            task, when, resumed, name, rest = found.groups()
            if rest.endswith("<unfinished ...>"):
                begun[task] = rest
            elif "= -1 EINTR" not in rest and "= ? ERESTART" not in rest:
                first = begun.get(task, "") if resumed else rest
                self.calls[role].append((float(when), name, self.written(name, first, rest)))

    @staticmethod
    def written(name, first, rest):
        result = re.search(r"= (\d+)$", rest)
        return int(result.group(1)) if name in WRITES and result and re.match(r"\(\d+</(?!dev/(?!shm/))", first) else 0

    def part(self, role, since, until):
        calls = self.calls[role]
        return calls[bisect.bisect(calls, (since,)):bisect.bisect(calls, (until,))]

    def between(self, role, since, until):
        part = self.part(role, since, until)
        futex = sum(name == "futex" for _, name, _ in part)
        return {"calls": len(part) - futex, "syncs": sum(name in SYNCS for _, name, _ in part),
                "octets": sum(octets for _, _, octets in part), "futex": futex}

    def names(self, role, since, until):
        """name -> how often, the most frequent first."""
        return collections.Counter(name for _, name, _ in self.part(role, since, until)).most_common()


def is_possible(library):
    """May a process be watched here? A container or the kernel's settings may forbid it."""
    if not shutil.which("strace"):
        return False
    sleeper = subprocess.Popen(["sleep", "60"], env=dict(os.environ, LD_PRELOAD=str(library)))
    try:
        watcher = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(sleeper.pid)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while watcher.poll() is None and not is_watched(sleeper.pid) and time.monotonic() < end:
            time.sleep(0.01)
        watched = watcher.poll() is None and is_watched(sleeper.pid)
        if watcher.poll() is None:
            watcher.send_signal(signal.SIGINT)
        watcher.wait(PATIENCE_S)
        return watched
    finally:
        sleeper.kill()
        sleeper.wait()
