"""Reload, restart of single processes, full disks, wrong settings."""
import contextlib
import os
import pathlib
import shutil
import signal
import smtplib
import subprocess
import threading

import pytest

from house import House, Sink, binary, can_connect, free_port, wait_for

MESSAGE = "From: x@example.org\r\nTo: y@example.net\r\nSubject: {0}\r\n\r\nbody\r\n"


def send(house, subject="test", count=1):
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        for _ in range(count):
            client.sendmail("x@example.org", ["y@example.net"], MESSAGE.format(subject))


class Senders:
    """Clients that send numbered messages until the end and remember which were accepted. They go no further ahead of
    the sink than `ahead`: what is left to wait for at the end does not depend on how fast they were."""

    def __init__(self, house, sink, clients, ahead=200):
        self.house, self.sink, self.ahead = house, sink, ahead
        self.accepted, self.unanswered, self.stop = [], [], threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(clients)]

    def work(self, number):
        count = 0
        while not self.stop.is_set():
            if len(self.accepted) - self.sink.count() > self.ahead:
                self.stop.wait(0.02)
                continue
            count += 1
            self.send_one(f"<{number}.{count}>")

    def send_one(self, subject, recipient="y@example.net"):
        """Whether it was accepted."""
        try:
            with smtplib.SMTP("127.0.0.1", self.house.ports["relay"], timeout=30) as client:
                client.sendmail("x@example.org", [recipient], MESSAGE.format(subject))
                self.accepted.append(subject)
            return True
        except TimeoutError as fault:
            self.unanswered.append(fault)
        except (OSError, smtplib.SMTPException):
            pass # it died under the client, or the queue did
        return subject in self.accepted

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def test_reload_under_load_refuses_nobody(house, sink):
    stop, sent, faults = threading.Event(), [0], []

    def client():
        while not stop.is_set():
            try:
                send(house)
                sent[0] += 1
            except Exception as fault:  # noqa: BLE001 - any fault is a refused or dropped connection
                faults.append(fault)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for thread in clients:
        thread.start()
    for round_ in range(5):
        house.change({"smtpd": {"max-recipients": 1000 + round_}})
        house.run("reload")
        before = sent[0]
        wait_for("more mail", lambda: sent[0] > before + 5 or faults)
    stop.set()
    for thread in clients:
        thread.join()
    assert not faults
    sink.wait_messages(sent[0])
    house.wait_empty()
    assert len(sink.messages()) == sent[0]


def test_reload_keeps_an_open_session(house, sink):
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.ehlo()
        client.mail("x@example.org")
        house.run("reload")
        client.rcpt("y@example.net")
        assert client.data(MESSAGE.format("over a reload"))[0] == 250
    sink.wait_messages(1)


def test_reload_opens_and_closes_ports(house):
    port = free_port()
    listen = house.settings["listen"]
    house.change({"listen": [*listen, {"address": f"127.0.0.1:{port}", "service": "relay", "tls": "none"}]})
    house.run("reload")
    wait_for("the new port", lambda: can_connect(port))
    house.change({"listen": listen})
    house.run("reload")
    wait_for("the port to close", lambda: not can_connect(port))


@pytest.mark.parametrize("text,words", [
    ("hostnam: a", "did you mean"), ("smtpd: { idle: 5x }", "idle"), ("smtpd: { idle: 5min, idle: 6min }", "idle"),
    ("listen: [ { address: nonsense, service: relay } ]", "address"), ("queue: { expire: 5min", ":1:"),
    ("smtpd: { max-size: 99TiB }", "max-size"),
])
def test_wrong_settings_name_their_place(tmp_path, text, words):
    config = tmp_path / "goniec.conf"
    config.write_text(text + "\n")
    done = subprocess.run([binary(), "check", "--config", str(config)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f"{config}:1:" in done.stdout + done.stderr and words in done.stdout + done.stderr


def test_wrong_settings_leave_the_running_server_alone(house, sink):
    good = house.config.read_text()
    house.config.write_text("nonsense: 1\n")
    done = house.run("reload", check=False)
    assert done.returncode == 1 and "nonsense" in done.stdout + done.stderr
    house.config.write_text(good)
    send(house)
    sink.wait_messages(1)


def test_port_in_use_is_said(tmp_path):
    port = free_port()
    import socket
    with socket.create_server(("127.0.0.1", port)):
        house = House(tmp_path / "house", {"listen": [{"address": f"127.0.0.1:{port}", "service": "relay", "tls": "none"}]},
                      accounts=())
        done = subprocess.run([binary(), "serve", "--config", str(house.config)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and str(port) in done.stdout + done.stderr


@pytest.mark.parametrize("role", ["smtpd", "queue", "delivery", "directory"])
def test_a_process_dies_and_the_house_goes_on(house, sink, role):
    """kill -9 of one kind of process while mail flows: what got a 250 arrives."""
    with Senders(house, sink, 3) as senders:
        wait_for("some mail", lambda: len(senders.accepted) > 20)
        for _ in range(3):
            pids = wait_for("its processes", lambda: house.pids(role)) # one that has just been forked has not its name yet
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            wait_for("new processes", lambda: (now := house.pids(role)) and len(now) == len(pids) and not set(now) & set(pids))
            before = len(senders.accepted)
            wait_for("more mail", lambda: len(senders.accepted) > before + 10, 60)
    wait_for("all of it", lambda: set(senders.accepted) <= set(subjects(sink)), 60)
    house.wait_empty(60)


def subjects(sink):
    return [message.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for message in sink.messages()]


def test_a_queue_that_dies_sends_nothing_twice(tmp_path):
    """kill -9 of the queue alone: delivery finishes what it has in hand and tells the next queue about it."""
    sink = Sink(tmp_path, "--delay", "end=6000:slow@*", "--delay", "end=150")
    house = House(tmp_path / "house", accounts=())
    house.route_all_to(sink.port)
    ahead = 40
    with house:
        with Senders(house, sink, 2, ahead) as senders:
            for round_ in range(3):
                # One that outlasts the restart, however long that takes here. What came before it has left before it.
                wait_for("a slow one", lambda: senders.send_one(f"<slow.{round_}.{len(senders.accepted)}>", "slow@example.net"))
                before = sink.count()
                wait_for("mail on its way", lambda: sink.count() > before + ahead + 15, 60)
                (pid,) = house.pids("queue")
                os.kill(pid, signal.SIGKILL)
                wait_for("a new queue", lambda: (now := house.pids("queue")) and now != [pid])
        wait_for("all of it", lambda: set(senders.accepted) <= set(subjects(sink)), 60)
        house.wait_empty(60)
        assert house.events("lease-kept") and not house.events("leases-untold")
    sink.stop()
    assert not senders.unanswered
    arrived = subjects(sink)
    assert set(senders.accepted) <= set(arrived)
    assert sorted(arrived) == sorted(set(arrived))


def test_a_slow_first_message_holds_nobody_up(tmp_path):
    """A site that nothing is known of gets its second connection although there are two processes that deliver."""
    sink = Sink(tmp_path, "--delay", "end=600000:slow@*")
    house = House(tmp_path / "house", {"delivery": {"processes": 2}, "drain": "1s"}, accounts=())
    house.route_all_to(sink.port)
    with house:
        with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
            client.sendmail("x@example.org", ["slow@example.net"], MESSAGE.format("<slow>"))
        send(house, count=20)
        sink.wait_messages(20)
    sink.stop()


def test_clients_are_answered_while_the_queue_dies_again_and_again(house, sink):
    """A queue that dies before it has handed out a segment leaves nobody waiting for one."""
    with Senders(house, sink, 3) as senders:
        wait_for("some mail", lambda: sink.count() > 10)
        for round_ in range(6):
            (pid,) = wait_for("a queue", lambda: house.pids("queue"))
            before = len(house.events("recovered"))
            os.kill(pid, signal.SIGKILL)
            house.wait_event("child-started", round_ + 2, child="queue")
            if round_ % 2:
                house.wait_event("recovered", before + 1)
    assert not senders.unanswered
    house.wait_empty(60)


def test_a_stop_loses_no_leases(tmp_path):
    """What no server has begun to take goes back before delivery ends: nothing may arrive twice."""
    house = House(tmp_path / "house", {"delivery": {"idle-connection": "1s"}}, accounts=())
    sink = Sink(tmp_path, "--delay", "mail=400")
    house.route_all_to(sink.port)
    with house:
        send(house, count=60)
        sink.wait_messages(1)
    assert not house.events("lease-lost") and not house.events("drain-cut-off")
    with house:
        sink.wait_messages(60, 60)
        house.wait_empty()
    sink.stop()
    assert len(sink.messages()) == 60


def test_kill_everything_and_start_again(tmp_path):
    port = free_port()
    house = House(tmp_path / "house", accounts=())
    house.route_all_to(port)
    house.start()
    send(house, count=50)
    house.kill()
    sink = Sink(tmp_path, port=port)
    with house:
        sink.wait_messages(50)
        house.wait_empty()
    sink.stop()
    assert len(sink.messages()) == 50
    verify = subprocess.run([binary(), "spool", "verify", str(house.folder / "state/spool")], capture_output=True, text=True)
    assert verify.returncode == 0, verify.stdout + verify.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_disk(tmp_path, sink):
    """452 while the disk is low, nothing lost, and on by itself when there is room again."""
    state = tmp_path / "house" / "state"
    state.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=0700", "tmpfs", str(state)]).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        house = House(tmp_path / "house", {"spool": {"segment": "4MiB", "reserve": "32MiB"}}, accounts=())
        house.route_all_to(sink.port)
        with house:
            send(house)
            filler = state / "filler"
            with filler.open("wb") as file:  # until clearly less is left than the reserve
                while (space := os.statvfs(state)).f_bavail * space.f_frsize > 16 << 20:
                    file.write(b"x" * (1 << 20))
                    file.flush()

            def refused():
                try:
                    send(house)
                except smtplib.SMTPResponseException as answer:
                    return answer
                except smtplib.SMTPRecipientsRefused as answer:
                    (answer,) = answer.recipients.values()
                    return smtplib.SMTPResponseException(*answer)
            answer = wait_for("a refusal", refused)
            assert answer.smtp_code == 452 and b"4.3.1" in answer.smtp_error, answer
            assert house.server.alive()
            filler.unlink()

            def taken():
                with contextlib.suppress(smtplib.SMTPException):
                    send(house, "room again")
                    return True
            wait_for("room again", taken)
            wait_for("it to arrive", lambda: any(b"room again" in m for m in sink.messages()))
            house.wait_empty()
    finally:
        subprocess.run(["umount", "-l", str(state)], check=False)


def test_a_record_without_its_body_is_dropped(tmp_path, sink):
    """A body file is there before its message is acknowledged: a record that lacks it never was."""
    house = House(tmp_path / "house", accounts=())
    house.route_all_to(free_port())
    with house:
        send(house, "small")
        with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=60) as client:
            client.sendmail("x@example.org", ["y@example.net"], MESSAGE.format("large") + "x\r\n" * (1 << 20))
        bodies = list((house.folder / "state/spool/bodies").glob("*.body"))
    for body in bodies:
        body.unlink(missing_ok=True)  # those that were ready for others went with the stop
    house.route_all_to(sink.port)
    with house:
        house.wait_event("body-missing")
        sink.wait_messages(1)
        house.wait_empty()
    assert not house.events("message-unreadable")
    assert len(sink.messages()) == 1


@pytest.mark.skipif(shutil.disk_usage("/tmp").free > 1 << 40, reason="no reserve is larger than this disk")
def test_a_new_reserve_holds_after_a_reload(house, sink):
    def answer():
        try:
            send(house)
        except smtplib.SMTPResponseException as refused:
            return refused.smtp_code
        return 250

    assert answer() == 250
    house.change({"spool": {"reserve": "1TiB"}})
    house.run("reload")
    wait_for("a refusal", lambda: answer() == 452)
    house.change({"spool": {"reserve": "16MiB"}})
    house.run("reload")
    wait_for("room again", lambda: answer() == 250)
    house.wait_empty()


def test_one_owner_of_a_spool(house):
    other = subprocess.run([binary(), "serve", "--config", str(house.config)], capture_output=True, text=True, timeout=30)
    assert other.returncode == 1 and "running" in (other.stdout + other.stderr).lower()


def test_large_message(house, sink):
    body = "x" * 70 + "\r\n"
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=60) as client:
        client.sendmail("x@example.org", ["y@example.net"], MESSAGE.format("large") + body * (8 << 20 >> 6))
    (raw,) = sink.wait_messages(1, 60)
    assert raw.endswith(body.encode()) and raw.count(body.encode()) == 8 << 20 >> 6
    house.wait_empty()
    wait_for("its body file to go", lambda: not [p for p in pathlib.Path(house.folder, "state/spool/bodies").glob("*.body")
                                                  if p.stat().st_size])


@pytest.mark.parametrize("chunking", [True, False])
@pytest.mark.parametrize("tls", ["none", "starttls"])
def test_large_message_arrives_octet_by_octet(tmp_path, tls, chunking):
    """From its file, in many turns; by DATA every line's first dot is doubled on the way."""
    body = "".join(f".{number:060}\r\n" if number % 3 else f"{number:61}\r\n" for number in range(3 << 14))
    sink = Sink(tmp_path, "--tls", tls)
    house = House(tmp_path / "house", {"delivery": {"chunking": chunking, "tls": "none" if tls == "none" else "opportunistic"}},
                  accounts=())
    house.route_all_to(sink.port)
    with house, smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=60) as client:
        client.sendmail("x@example.org", ["y@example.net"], MESSAGE.format("large") + body)
        (raw,) = sink.wait_messages(1, 60)
    sink.stop()
    assert raw.endswith(body.encode())


@pytest.mark.skipif(int(pathlib.Path("/proc/sys/fs/nr_open").read_text()) > 1_300_000, reason="so many files may be open here")
def test_too_few_descriptors_are_told(tmp_path, sink):
    """Not even root may have as many as a million connections need: the log says so, and mail flows all the same."""
    house = House(tmp_path / "house", {"smtpd": {"max-connections": 1_000_000}}, accounts=())
    house.route_all_to(sink.port)
    with house:
        (told,) = house.events("too-few-descriptors")
        assert told["allowed"] < told["wanted"] and 0 < told["clients"] < told["allowed"]
        send(house)
        sink.wait_messages(1)
