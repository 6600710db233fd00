"""Disks that are full, fail, turn read-only or lose power under mixed load: clients are told, nothing accepted is lost.

Skipped where nobody may mount a file system. `make crash POWER=1` does rounds of power cuts.
"""
import os
import pathlib
import subprocess

import pytest

from disk import Ext4, NoDisk, Tmpfs, own_mounts
from house import wait_for
from rounds import Run, play
from traffic import Traffic

SMALL = {"spool": {"segment": "4MiB", "reserve": "24MiB", "big-body": "128KiB"}}
PATIENCE_S = 90

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@pytest.fixture
def make(tmp_path):
    """Makes a disk of a kind below the house's state, and a run on it."""
    made = []

    def build(kind, *arguments, **more):
        try:
            disk = kind(tmp_path / "house/state", *arguments, **more)
        except (NoDisk, OSError) as why:
            pytest.skip(f"no such file system to be had: {why}")
        made.append(disk)
        run = Run(tmp_path, changes=SMALL)
        made.append(run)
        return disk, run
    yield build
    for one in reversed(made):
        one.close()


def begin(run, accepted=150):
    run.house.start()
    traffic = Traffic(run.house.ports, run.ledger, "disk", clients=6)
    wait_for("some mail", lambda: run.ledger.accepted() >= accepted, PATIENCE_S)
    return traffic


def wait_told(run, words):
    """Until a client has been put off in these words, and one more after it."""
    def told():
        return sum(n for (code, text), n in list(run.ledger.replies.items()) if code // 100 == 4 and words in text)
    wait_for(f"a client that is told '{words}'", lambda: told() > 5, PATIENCE_S)


def check(run):
    """Everything to its end, and the account; returns the counts."""
    run.drain()
    run.house.stop()
    run.verify()
    return run.close_books()


def mount_again(disk, run, traffic, repair=lambda: None):
    """Once clients were told, goniec is stopped and the file system mounted anew, as a person would; nothing is lost."""
    wait_told(run, "4.3.")
    traffic.stop()
    run.halt()
    repair()
    disk.mount_again()
    run.house.start()
    assert check(run)["lost"] == 0


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_full_and_free_again(make, tmp_path, kind):
    disk, run = make(Tmpfs, 160) if kind == "tmpfs" else make(Ext4, 160, tmp_path / "image")
    traffic = begin(run)

    # Less than the reserve: nothing new, but what was accepted goes its way, reports of failures too.
    disk.fill(leave=12 << 20)
    wait_told(run, "4.3.1")
    accepted = run.ledger.accepted()
    wait_for("the end of all that was accepted", lambda: run.drain() or not run.ledger.owed(), PATIENCE_S)
    assert run.ledger.accepted() - accepted <= 6, "mail was taken below the reserve" # what was under way just then
    assert any(account.bounced for account in run.ledger.accounts.values())

    # Room again: mail is taken by itself.
    disk.free()
    accepted = run.ledger.accepted()
    wait_for("mail that is taken again", lambda: run.ledger.accepted() > accepted + 50, PATIENCE_S)

    # Nothing at all is left, reserve and all, time and again while it makes room.
    run.ledger.replies.clear()
    for _ in range(20):
        disk.fill()
    wait_told(run, "4.3.1")
    assert run.house.server.alive() and run.house.json("status")
    disk.free()
    accepted = run.ledger.accepted()
    wait_for("mail that is taken again", lambda: run.ledger.accepted() > accepted + 50, PATIENCE_S)
    traffic.stop()
    assert not run.house.events("child-ended", signal=6) and not run.house.events("child-ended", signal=11)
    counts = check(run)
    assert counts["lost"] == 0 and counts["twice"] == 0


def test_read_only_in_the_middle(make, tmp_path):
    """Such a file system comes back only after it was unmounted."""
    disk, run = make(Ext4, 160, tmp_path / "image")
    traffic = begin(run)
    disk.turn_read_only()
    mount_again(disk, run, traffic)


def test_a_disk_that_fails_to_write(make, tmp_path):
    """A device that has less room than it says: writes fail with EIO where a sync was asked for."""
    below = Tmpfs(tmp_path / "below", 90)
    disk, run = make(Ext4, 400, tmp_path / "below/image", below=below)
    traffic = begin(run)
    below.fill()
    mount_again(disk, run, traffic, below.free)


def test_power_cuts(tmp_path):
    """Every write that was not synced is gone; what a client was promised is not among them."""
    try:
        counts = play(4, 1, tmp_path, power=True)
    except NoDisk as why:
        pytest.skip(f"no such file system to be had: {why}")
    assert counts["lost"] == 0 and counts["kills: power"] == 4


def test_the_cut_is_one(tmp_path):
    """That the test above could fail: what was not synced is gone after it, what was is there."""
    try:
        disk = Ext4(tmp_path / "disk", 60, tmp_path / "image")
    except NoDisk as why:
        pytest.skip(f"no such file system to be had: {why}")
    try:
        synced, lost = disk.place / "synced", disk.place / "lost"
        with open(synced, "wb") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        lost.write_bytes(b"x")
        disk.cut_power()
        with pytest.raises(OSError):
            (disk.place / "late").write_bytes(b"x")
        disk.mount_again()
        assert synced.read_bytes() == b"x" and not lost.exists()
    finally:
        disk.close()


def test_somebody_elses_namespace_keeps_no_dead_disk(tmp_path):
    """A service that is started while the disk is mounted must not have a copy of it: it would stay as it was without power."""
    try:
        disk = Ext4(tmp_path / "disk", 20, tmp_path / "image")
    except (NoDisk, OSError) as why:
        pytest.skip(f"no such file system to be had: {why}")
    outside = own_mounts()
    other = subprocess.Popen(["nsenter", f"--mount=/proc/self/fd/{outside}", "unshare", "-m", "sleep", "300"], pass_fds=[outside])
    try:
        wait_for("another namespace", lambda: pathlib.Path(f"/proc/{other.pid}/comm").read_text() == "sleep\n")
        disk.cut_power()
        disk.mount_again()
        (disk.place / "file").write_text("x")
    finally:
        other.kill()
        other.wait()
        disk.close()
