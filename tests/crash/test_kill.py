"""kill -9, of one process or of all, while mail pours in: what was accepted arrives."""
import os
import signal

import pytest

from house import wait_for
from load import Load, check_arrived, start, wait_empty

ROUNDS = int(os.environ.get("GONIEC_CRASH_ROUNDS", "5"))


def kill_one(house, role):
    """Kills one process of that role and waits until another has taken its place."""
    before = wait_for(f"a {role}", lambda: house.pids(role))
    victim = before[0]
    os.kill(victim, signal.SIGKILL)
    # The supervisor pauses longer and longer before it starts what keeps dying.
    wait_for(f"another {role}", lambda: len(after := house.pids(role)) >= len(before) and victim not in after, 90)


def verify_is_content(house):
    """What a crash leaves is no damage."""
    done = house.run("spool", "verify", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", ["smtpd", "queue", "delivery", "directory"])
def test_one_role_again_and_again(house, sink, role):
    start(house)
    load = Load(house.ports["relay"])
    for _ in range(ROUNDS):
        load.wait_accepted(60)
        kill_one(house, role)
        verify_is_content(house)
    load.wait_accepted(60)
    load.stop()
    duplicates = check_arrived(load, sink, house)
    # Twice only what was under way to the peer at the moment of a kill.
    assert duplicates <= ROUNDS * 64, duplicates
    house.stop()


def test_every_process_at_once(house, sink):
    start(house)
    load = Load(house.ports["relay"])
    for _ in range(ROUNDS):
        load.wait_accepted(60)
        house.kill()
        verify_is_content(house)
        start(house)
    load.wait_accepted(60)
    load.stop()
    check_arrived(load, sink, house)
    house.stop()


def test_large_bodies(house, sink):
    """Bodies in files of their own: none is lost, and none stays behind."""
    house.change({"spool": {"big-body": "64KiB"}})
    start(house)
    load = Load(house.ports["relay"], threads=4, sizes=(200, 300000, 900000))
    for role in ("smtpd", "queue", "delivery"):
        load.wait_accepted(12)
        kill_one(house, role)
    load.wait_accepted(12)
    house.kill()
    start(house)
    load.wait_accepted(12)
    load.stop()
    check_arrived(load, sink, house)
    house.stop()
    start(house)
    bodies = house.folder / "state/spool/bodies"
    # Those that are made ahead are empty.
    wait_for("the bodies' removal", lambda: not [path for path in bodies.iterdir() if path.stat().st_size])
    house.stop()


def test_nothing_is_sent_again_after_a_restart(house, sink):
    """What was settled stays settled, through a kill of everything and an ordinary stop."""
    start(house)
    load = Load(house.ports["relay"], threads=4, sizes=(200,))
    load.wait_accepted(200)
    load.stop()
    check_arrived(load, sink, house)
    count = len(sink.messages())
    house.kill()
    start(house)
    wait_empty(house)
    house.stop()
    start(house)
    wait_empty(house)
    house.stop()
    assert len(sink.messages()) == count
