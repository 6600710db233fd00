"""File systems of our own that can be full, fail, turn read-only or lose power. Needs root and loop devices."""
import contextlib
import ctypes
import fcntl
import functools
import os
import pathlib
import struct
import subprocess

EXT4_SHUTDOWN = 0x8004587D # _IOR('X', 125, __u32): from now on nothing reaches the disk, everything fails with EIO
NO_LOG_FLUSH = 2           # nor what the file system's own journal has not written yet


class NoDisk(Exception):
    """This machine has none of that kind for us."""


def call(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise NoDisk(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout.strip()


@functools.cache
def own_mounts():
    """From now on this thread and what it starts have a mount namespace of their own. Else whoever makes one meanwhile (a
    service that systemd starts, a container) gets a copy of our mounts: no umount of ours ends the file system then, and
    what is mounted again is the old one, without its power. Returns a descriptor of the namespace that was left."""
    outside, libc = os.open("/proc/self/ns/mnt", os.O_RDONLY), ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) != 0: # CLONE_NEWNS
        raise NoDisk(f"unshare: {os.strerror(ctypes.get_errno())}")
    call("mount", "--make-rprivate", "/")
    return outside


class Tmpfs:
    """In memory, of a fixed size."""

    def __init__(self, place, megabytes):
        own_mounts()
        self.place = pathlib.Path(place)
        self.place.mkdir(parents=True, exist_ok=True)
        call("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", self.place)
        self.filler = self.place / "filler"

    def room(self):
        space = os.statvfs(self.place)
        return space.f_bavail * space.f_frsize

    def fill(self, leave=0):
        """Takes what is free but for so many octets; again and again, it takes what has become free."""
        with contextlib.suppress(OSError), open(self.filler, "ab", buffering=0) as file:
            while self.room() > leave:
                file.write(b"x" * min(1 << 20, max(self.room() - leave, 1)))

    def free(self):
        self.filler.unlink(missing_ok=True)

    def close(self):
        subprocess.run(["umount", "-l", str(self.place)], check=False, capture_output=True)


class Ext4(Tmpfs):
    """An image on a loop device; `below`: a Tmpfs that it lies on and that may be too small for it."""

    def __init__(self, place, megabytes, image, below=None):
        own_mounts()
        self.place, self.image, self.below = pathlib.Path(place), pathlib.Path(image), below
        self.place.mkdir(parents=True, exist_ok=True)
        self.filler = self.place / "filler"
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        call("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.mount()

    def mount(self):
        call("mount", "-o", "loop,errors=remount-ro", self.image, self.place)
        os.chmod(self.place, 0o755)

    def mount_again(self):
        """After trouble, when nobody has it open: unmounted, mended as at the start of a machine, mounted."""
        call("umount", self.place)
        subprocess.run(["e2fsck", "-p", str(self.image)], capture_output=True, check=False)
        self.mount()

    def cut_power(self):
        """What was not synced is gone, also what other processes could read a moment before."""
        place = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(place, EXT4_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(place)

    def turn_read_only(self):
        """As ext4 does by itself when it finds itself damaged, also under writers."""
        device = pathlib.Path(call("findmnt", "-no", "SOURCE", self.place)).name
        pathlib.Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")

    def close(self):
        super().close()
        if self.below:
            self.below.close()
