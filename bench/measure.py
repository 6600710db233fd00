"""What the kernel says of a tree of processes: CPU, memory, switches and written octets, by goniec's roles."""
import collections
import os
import pathlib
import time

from servers import processes, tree_of


def role_of(pid):
    """'queue', 'smtpd', ... of a process of goniec; 'supervisor' for the one at the root, else the program's name."""
    words = pathlib.Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    if len(words) > 2 and words[1] == b"role":
        return words[2].decode()
    if len(words) > 1 and words[1] == b"serve":
        return "supervisor"
    return os.path.basename(words[0].decode(errors="replace")) or "kernel"


def by_role(root, of_process):
    """Sums of_process(pid) over the tree, for each role; processes that end meanwhile count nothing."""
    sums = collections.Counter()
    for pid in tree_of(root, processes()):
        try:
            sums[role_of(pid)] += of_process(pid)
        except OSError:
            continue
    return dict(sums)


def cpu_us(pid):
    """Microseconds on a processor so far, of all threads that live (exact, unlike the ticks of stat)."""
    tasks = pathlib.Path("/proc", str(pid), "task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1000


def pss_kib(pid):
    """Resident memory, shared pages divided among those that share them."""
    for line in pathlib.Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def private_kib(pid):
    """Resident memory that only this process has: what it would give back if it ended."""
    rows = pathlib.Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in rows if line.startswith("Private_"))


def written_octets(pid):
    """Octets handed to the block layer by this process."""
    for line in pathlib.Path("/proc", str(pid), "io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


def switches(pid):
    """Context switches of all threads: voluntary and forced."""
    count = 0
    for task in pathlib.Path("/proc", str(pid), "task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith(("voluntary_ctxt", "nonvoluntary_ctxt")):
                count += int(line.split()[1])
    return count


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def device_octets(folder):
    """Octets written so far to the disk that holds the folder, the file system's own included; None where unknown."""
    device = os.stat(folder).st_dev
    stat = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    return int(stat.read_text().split()[6]) * 512 if stat.exists() else None


def settled(root, of_process, seconds=45):
    """The least sum over the tree within this time, or once it has stopped falling for fifteen seconds."""
    least, since, end = float("inf"), time.monotonic(), time.monotonic() + seconds
    while time.monotonic() < min(end, since + 15):
        now = sum(by_role(root, of_process).values())
        if now < least * 0.99:
            since = time.monotonic()
        least = min(least, now)
        time.sleep(0.5)
    return least


class Difference:
    """Between two moments, for each role: Difference(root, cpu_us), the work, then .taken()."""

    def __init__(self, root, of_process):
        self.root, self.of_process = root, of_process
        self.before = by_role(root, of_process)

    def taken(self):
        after = by_role(self.root, self.of_process)
        return {role: after[role] - self.before.get(role, 0) for role in after}
