"""A spool directory in which somebody else had his fingers: it is said what is wrong and what to do, nothing is
destroyed, and mail that can be delivered is."""
import hashlib
import os
import shutil
import struct
import subprocess

import pytest

from house import House, binary, free_port, wait_for
from load import Load, numbers

AT_VERSION, AT_NUMBER, AT_USE, AT_SEQUENCE, AT_CHECK, AT_STAMP, BLOCK = 8, 12, 20, 32, 60, 64, 4096
EMPTY, MESSAGES, JOURNAL = 0, 1, 2


def crc32c(octets):
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.fixture
def spool(house):
    """A stopped server with some messages waiting."""
    house.route_all_to(free_port())
    house.start()
    load = Load(house.ports["relay"], threads=1, sizes=(4000,))
    load.wait_accepted(30)
    load.stop()
    house.stop()
    house.accepted = load.accepted
    return house.folder / "state/spool"


def use_of(path):
    return struct.unpack_from("<I", path.read_bytes()[:64], AT_USE)[0]


def segment(spool, use):
    """One that is in this use; of messages, one that holds some."""
    found = [path for path in sorted(spool.glob("segments/*.seg")) if use_of(path) == use]
    return next(path for path in found if use != MESSAGES or b"X-Number" in path.read_bytes())


def stamp(path, head):
    """As the queue would make it (docs/formats/spool.md)."""
    key = (path.parents[path.suffix == ".seg"] / "stamp").read_bytes()[8:40]
    return hashlib.blake2b(head, key=key, digest_size=16).digest()


def describe(path, at, value, stamped=True):
    """Changes a number in the description and makes its checksum right, and the stamp that only the queue can make."""
    with open(path, "r+b") as file:
        head = bytearray(file.read(64))
        struct.pack_into("<I", head, at, value)
        struct.pack_into("<I", head, AT_CHECK, crc32c(head[:AT_CHECK]))
        head += stamp(path, head) if stamped else b""
        for where in (0, path.stat().st_size - BLOCK) if path.suffix == ".seg" else (0,):
            file.seek(where)
            file.write(head)


def swap_for_link(path):
    elsewhere = path.parents[2] / f"real-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def swap_for_folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def second_name(path):
    os.link(path, path.parents[2] / f"other-{path.name}")


def snapshot(spool):
    """Every name, what it is and its content; segments in use change nothing here while nobody starts."""
    return {str(path.relative_to(spool)): path.is_symlink() or path.is_dir() or path.read_bytes() for path in spool.rglob("*")}


def refuse(house, spool, words):
    """The start fails, says so in these words, and leaves every octet."""
    before = snapshot(spool)
    done = subprocess.run([binary(), "serve", "--config", str(house.config)], capture_output=True, text=True, timeout=120,
                          env=house.env())
    assert done.returncode == 1 and "Sanitizer" not in done.stderr, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert snapshot(spool) == before


@pytest.mark.parametrize("damage,words", [
    (lambda s: s.chmod(0o755), ("spool", "0700", "chmod")),
    (lambda s: (s / "bodies").chmod(0o777), ("bodies", "0700")),
    (lambda s: (s.rename(s.with_name("real")), s.symlink_to(s.with_name("real"))), ("spool", "links are not followed")),
    (lambda s: swap_for_link(s / "segments"), ("segments", "links are not followed")),
    (lambda s: (shutil.rmtree(s / "bodies"), (s / "bodies").write_text("x")), ("bodies", "not a directory")),
    (lambda s: swap_for_link(s / "lock"), ("lock", "symbolic link", "remove")),
    (lambda s: swap_for_folder(s / "lock"), ("lock", "a directory", "remove")),
    (lambda s: (shutil.copy(segment(s, MESSAGES), s / "checkpoint.real"), (s / "checkpoint").symlink_to("checkpoint.real")),
     ("checkpoint", "symbolic link")),
    (lambda s: swap_for_folder(s / "checkpoint"), ("checkpoint", "not a plain file")),
    (lambda s: describe(segment(s, MESSAGES), AT_VERSION, 9), (".seg", "newer version")),
    (lambda s: describe(segment(s, JOURNAL), AT_VERSION, 9), (".seg", "newer version")),
    (lambda s: (shutil.copy(segment(s, MESSAGES), s / "checkpoint"), describe(s / "checkpoint", AT_VERSION, 9)),
     ("checkpoint", "newer version")),
    (lambda s: second_name(segment(s, MESSAGES)), (".seg", "hard link", "remove")),
    (lambda s: second_name(segment(s, JOURNAL)), (".seg", "hard link")),
])
def test_a_spool_that_is_refused(house, spool, damage, words):
    damage(spool)
    refuse(house, spool if not spool.is_symlink() else spool.resolve(), words)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("name", [".", "segments"])
def test_another_owner_is_refused(house, spool, name):
    os.chown(spool / name, 65534, 65534)
    refuse(house, spool, ("another user", "chown"))


@pytest.mark.parametrize("at,value", [(AT_USE, JOURNAL), (AT_USE, EMPTY), (AT_VERSION, 9), (AT_SEQUENCE + 4, 0xFFFFFFFF)])
def test_what_a_writer_says_of_its_segment_is_not_believed(house, spool, sink, at, value):
    """Whoever took over smtpd can write where its segments say what they are."""
    path = segment(spool, MESSAGES)
    octets = path.read_bytes()
    inside = {number for number in house.accepted if f"X-Number: {number}\r\n".encode() in octets}
    describe(path, at, value, stamped=False)
    forged = path.read_bytes()
    assert "not written by this queue" in house.run("spool", "verify", check=False).stdout or at == AT_VERSION
    serve_on(house, sink, house.accepted - inside)
    (event,) = house.events("spool-damage", file=f"segments/{path.name}")
    assert ("not written by this queue" in event["what"] or at == AT_VERSION) and "left alone" in event["what"]
    assert path.read_bytes() == forged and not inside & set(numbers(sink.messages()))


def serve_on(house, sink, expected):
    """The server starts and delivers these."""
    house.route_all_to(sink.port)
    with house:
        wait_for("what can be delivered", lambda: expected <= set(numbers(sink.messages())), 60)
        house.wait_empty()


def test_an_old_spool_is_believed_once(house, spool, sink):
    """Nothing in it has a stamp; afterwards everything has."""
    for path in spool.glob("segments/*.seg"):
        describe(path, AT_VERSION, 1)
        for where in (0, path.stat().st_size - BLOCK):
            with open(path, "r+b") as file:
                file.seek(where + AT_STAMP)
                file.write(bytes(16))
    (spool / "stamp").unlink()
    assert house.run("spool", "verify").returncode == 0
    serve_on(house, sink, house.accepted)
    assert not house.events("spool-damage") and (spool / "stamp").stat().st_mode & 0o777 == 0o600
    assert house.run("spool", "verify").returncode == 0


FOREIGN = ("notes.txt", "segments/notes.new", "segments/0000zzzz.seg", "bodies/letter", "segments/00000099.new.bak")


def test_foreign_files_are_left_alone(house, spool, sink):
    for name in FOREIGN:
        (spool / name).write_text("mine\n")
    (spool / "segments/folder").mkdir()
    done = house.run("spool", "verify", check=False)
    assert done.returncode == 1 and "notes.txt: not a file of the spool" in done.stdout
    serve_on(house, sink, house.accepted)
    told = {event["file"] for event in house.events("spool-damage")}
    for name in FOREIGN:
        assert (spool / name).read_text() == "mine\n" and name in told
    assert (spool / "segments/folder").is_dir()


@pytest.mark.parametrize("make,words", [
    (lambda path: path.mkdir(), "not a plain file"),
    (lambda path: path.symlink_to("/etc/hostname"), "symbolic link"),
    (lambda path: path.write_text("not a segment\n"), "unreadable"),
    (lambda path: shutil.copy(segment(path.parents[1], MESSAGES), path), "the copy of another"),
])
def test_what_only_looks_like_a_segment_is_left_alone(house, spool, sink, make, words):
    path = spool / "segments/00000777.seg"
    make(path)
    before = path.lstat()
    assert house.run("spool", "verify", check=False).returncode == 1
    serve_on(house, sink, house.accepted)
    assert path.lstat().st_mode == before.st_mode and path.lstat().st_mtime == before.st_mtime
    (event,) = house.events("spool-damage", file="segments/00000777.seg")
    assert words in event["what"] and "left alone" in event["what"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_segment_of_another_user_is_left_alone(house, spool, sink):
    path = segment(spool, EMPTY)
    os.chown(path, 65534, 65534)
    serve_on(house, sink, house.accepted)
    (event,) = house.events("spool-damage", file=f"segments/{path.name}")
    assert "another user" in event["what"] and "chown" in event["what"]


def test_an_empty_segment_with_a_second_name_is_left_alone(house, spool, sink):
    path = segment(spool, EMPTY)
    other = house.folder / "other"
    os.link(path, other)
    before = other.read_bytes()
    serve_on(house, sink, house.accepted)
    assert other.read_bytes() == before and house.events("spool-damage", file=f"segments/{path.name}")


def test_the_way_of_the_next_checkpoint_is_not_cleared_by_force(house, spool, sink):
    """What stands there under a second name stays whole under the other."""
    other = house.folder / "letter"
    other.write_text("dear reader\n")
    os.link(other, spool / "checkpoint.new")
    serve_on(house, sink, house.accepted)
    assert other.read_text() == "dear reader\n"


@pytest.mark.parametrize("longer", [False, True])
def test_a_segment_of_another_size_gives_what_it_has(house, spool, sink, longer):
    path = segment(spool, MESSAGES)
    octets = path.read_bytes()
    half = sorted(house.accepted)[len(house.accepted) // 2]
    cut = len(octets) + 5000 if longer else octets.find(f"X-Number: {half}\r\n".encode())
    os.truncate(path, cut)
    assert house.run("spool", "verify", check=False).returncode == 1
    expected = {number for number in house.accepted
                if longer or -1 < octets.find(f"X-Number: {number}\r\n".encode()) < cut // BLOCK * BLOCK - BLOCK * 2}
    assert len(expected) > 5
    serve_on(house, sink, expected)
    (event,) = house.events("spool-damage", file=f"segments/{path.name}")[:1]
    assert "size" in event["what"]
    assert longer or not house.accepted <= set(numbers(sink.messages()))


def test_damage_that_cannot_be_put_aside_stays(house, spool, sink):
    """The segment is not used again while it holds the only copy of what could not be read."""
    (spool / "quarantine").write_text("a file in the way\n")
    path = segment(spool, MESSAGES)
    octets = path.read_bytes()
    inside = sorted(number for number in house.accepted if f"X-Number: {number}\r\n".encode() in octets)
    victim = inside[len(inside) // 2]
    text = f"X-Number: {victim}\r\n".encode()
    record = octets.rfind(b"GNRC", 0, octets.find(text))
    with open(path, "r+b") as file:
        file.seek(record + 9)
        file.write(bytes([octets[record + 9] ^ 1]))
    serve_on(house, sink, house.accepted - {victim})
    assert text in path.read_bytes() and use_of(path) == MESSAGES
    assert "could not be copied" in str(house.events("spool-damage"))
    (spool / "quarantine").unlink()
    with house:
        wait_for("its copy", lambda: list(spool.glob("quarantine/*.rec")))
        house.wait_empty()
