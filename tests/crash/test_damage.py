"""A spool that was damaged on the disk, and a disk that is full."""
import os
import pathlib
import subprocess

import pytest

from house import free_port, wait_for
from load import Load, check_arrived, numbers, start


def send_while_nobody_takes(house, count):
    """Messages that are accepted and cannot be delivered yet."""
    house.route_all_to(free_port())
    start(house)
    load = Load(house.ports["relay"], threads=1, sizes=(4000,))
    load.wait_accepted(count)
    load.stop()
    house.stop()
    return load


def flip(spool, number, where):
    """Changes one bit of the stored message: in its record's header, its envelope or its body."""
    text = f"X-Number: {number}\r\n".encode()
    for path in spool.glob("segments/*.seg"):
        octets = path.read_bytes()
        body = octets.find(text)
        if body >= 0:
            record = octets.rfind(b"GNRC", 0, body)
            at = {"header": record + 9, "envelope": record + 64 + 40, "body": body + 2}[where]
            with open(path, "r+b") as file:
                file.seek(at)
                file.write(bytes([octets[at] ^ 1]))
            return
    raise AssertionError("the message is not in the spool")


@pytest.mark.parametrize("where", ["header", "envelope", "body"])
def test_one_damaged_record_takes_nobody_along(house, sink, where):
    load = send_while_nobody_takes(house, 40)
    spool = house.folder / "state/spool"
    victim = sorted(load.accepted)[len(load.accepted) // 2]
    flip(spool, victim, where)
    done = house.run("spool", "verify", "--json", check=False)
    assert done.returncode == 1 and '"damage"' in done.stdout, done.stdout

    house.route_all_to(sink.port)
    start(house)
    rest = load.accepted - {victim}
    wait_for("all others", lambda: rest <= set(numbers(sink.messages())))
    assert victim not in numbers(sink.messages())
    if where == "body":
        # Found when it was to be sent.
        house.wait_event("message-unreadable")
        # Nobody is left in the dark: the sender is told, or it is kept for the operator.
        wait_for("an end of it", lambda: house.events("bounced") or house.json("queue", "list", "--state", "held"))
    else:
        assert [event for event in house.events() if "quarantine/" in str(event)], "the damage was not reported"
        assert list(spool.glob("quarantine/*.rec"))
    house.kill()


def mount_small(folder, megabytes):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no small file system to be had: {done.stderr.strip()}")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_full_disk_refuses_and_recovers(house, sink):
    state = pathlib.Path(house.settings["state-dir"])
    state.mkdir(parents=True, exist_ok=True)
    mount_small(state, 96)
    try:
        house.route_all_to(free_port())
        house.change({"spool": {"segment": "4MiB", "reserve": "24MiB", "big-body": "256KiB"}})
        start(house)
        load = Load(house.ports["relay"], threads=4, sizes=(100000, 600000))
        wait_for("the first refusal", lambda: load.refused, 60)
        accepted = len(load.accepted)
        assert accepted > 20
        house.json("queue", "list") # it still answers
        # A filler takes what is left: even then nothing that was accepted suffers.
        filler = state / "filler"
        try:
            filler.write_bytes(b"x" * (200 << 20))
        except OSError:
            pass
        load.stop()
        filler.unlink()
        house.route_all_to(sink.port)
        house.run("reload")
        house.run("queue", "retry", "--all", check=False)
        check_arrived(load, sink, house)
        again = Load(house.ports["relay"], threads=2, sizes=(4000,))
        again.next = 100000
        again.wait_accepted(20)
        again.stop()
        check_arrived(again, sink, house)
        house.stop()
    finally:
        if house.server is not None:
            house.kill()
        subprocess.run(["umount", str(state)], check=False)
