"""goniec load against goniec sink: what one sends the other counts, refuses, delays and keeps."""
import json
import socket
import subprocess

import pytest

from house import Process, binary, can_connect, free_port, wait_for


class Pair:
    """A sink that ends after `count` messages, and the load that is sent to it."""

    def __init__(self, folder, count, *options):
        self.count, self.port = count, free_port()
        self.sink = Process("sink", [binary(), "sink", "--quiet", "--listen", f"127.0.0.1:{self.port}", "--expect", str(count),
                                     *options], folder)
        wait_for("the sink's port", lambda: can_connect(self.port))

    def load(self, *options, expect=0):
        done = subprocess.run([binary(), "load", "--json", "--to", f"127.0.0.1:{self.port}", "--messages", str(self.count),
                               *options], capture_output=True, text=True, timeout=60)
        assert done.returncode == expect, done.stdout + done.stderr
        return json.loads(done.stdout)

    def arrived(self, expect=0):
        assert self.sink.process.wait(20) == expect, self.sink.text()
        return json.loads(self.sink.text().splitlines()[-1])


@pytest.mark.parametrize("sink_options, load_options", [
    ([], []),
    ([], ["--per-connection", "1"]),
    ([], ["--no-pipelining", "--size", "300000", "--per-connection", "7"]),
    (["--tls", "starttls", "--login", "anna:secret"], ["--tls", "starttls", "--login", "anna:secret", "--per-connection", "5"]),
    (["--tls", "implicit"], ["--tls", "implicit", "--size", "200000"]),
    (["--lmtp", "--recipients", "3"], ["--lmtp", "--recipients", "3"]),
    (["--recipients", "50"], ["--recipients", "50", "--no-pipelining"]),
    (["--delay", "data=5", "--delay", "end=5"], []),
])
def test_every_message_arrives_once(tmp_path, sink_options, load_options):
    pair = Pair(tmp_path, 200, *sink_options)
    sent = pair.load(*load_options)
    assert sent["taken"] == 200 and sent["failed"] == 0 and sent["errors"] == []
    arrived = pair.arrived()
    assert (arrived["unique"], arrived["surplus"], arrived["missing"]) == (200, 0, 0)


@pytest.mark.parametrize("sink_options, load_options", [([], []), (["--tls", "starttls"], ["--tls", "starttls", "--login", "a:b"])])
def test_idle_connections_are_held_meanwhile(tmp_path, sink_options, load_options):
    pair = Pair(tmp_path, 101, *sink_options)  # one more than come: the sink's end must not be the load's
    sent = pair.load("--messages", "100", "--idle", "300", "--connections", "5", *load_options)
    assert sent["taken"] == 100 and sent["idle"] == 300 and sent["connections"] == 305 and sent["errors"] == []
    pair.sink.stop()


def test_idle_connections_alone_end_after_a_time(tmp_path):
    pair = Pair(tmp_path, 1)
    sent = pair.load("--messages", "0", "--idle", "10", "--seconds", "1")
    assert sent["idle"] == 10 and sent["taken"] == 0
    pair.sink.stop()


def test_idle_connections_that_are_refused_try_again(tmp_path):
    pair = Pair(tmp_path, 20, "--refuse", "connect=421:50%")
    sent = pair.load("--messages", "10", "--idle", "10", "--connections", "1")
    assert sent["idle"] == 10 and sent["taken"] == 10 and "421" in sent["errors"][0]["error"]
    pair.sink.stop()


def test_bodies_that_nobody_keeps_end_where_they_should(tmp_path):
    """Dots and line ends in every place, cut anywhere: what is skimmed must end where what is kept ends."""
    sink = Process("sink", [binary(), "sink", "--quiet", "--listen", f"127.0.0.1:{(port := free_port())}"], tmp_path)
    wait_for("the sink's port", lambda: can_connect(port))
    head = "X-Load-Id: 5-%d-1\r\n\r\n"
    tails = ["", "..\r\n", "a\r\n..b\r\n", "a\n.\n.\r\nb\r\n", "\r\r\n" * 2000 + "\n.\r\n", "long" * 20000 + "\r\n", "x\r\n..\r\n" * 9000, "\r.\r\n"]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        replies = client.makefile("rb")
        client.sendall(b"HELO x\r\n")
        assert [replies.readline()[:3] for _ in range(2)] == [b"220", b"250"]
        for number, tail in enumerate(tails):
            for step in (7000, 4096, 1021, 65536):
                client.sendall(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
                assert [replies.readline()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
                message = ((head % number) + "filling\r\n" * 300 + tail + ".\r\n").encode()
                for at in range(0, len(message), step):
                    client.sendall(message[at:at + step])
                assert replies.readline()[:3] == b"250"
        client.sendall(b"QUIT\r\n")
        assert replies.readline()[:3] == b"221" and replies.readline() == b""
    sink.stop()
    arrived = json.loads(sink.text().splitlines()[-1])
    assert (arrived["messages"], arrived["unique"], arrived["unnamed"]) == (4 * len(tails), len(tails), 0)


def test_wrong_password_is_refused(tmp_path):
    pair = Pair(tmp_path, 10, "--login", "anna:secret")
    sent = pair.load("--login", "anna:wrong", expect=1)
    assert sent["taken"] == 0 and "535" in sent["errors"][0]["error"]
    pair.sink.stop()


def test_refusals_and_drops_are_counted_on_both_sides(tmp_path):
    pair = Pair(tmp_path, 100, "--refuse", "rcpt=550:user1@*", "--defer", "mail:s2@*", "--drop", "data:user3@*", "--drop", "body:user4@*")
    sent = pair.load("--users", "10", "--from", "s%d@load.example", expect=1)
    errors = {error["error"].split(" refused")[0]: error["count"] for error in sent["errors"]}
    assert sent["taken"] == 60 and sent["failed"] == 40
    assert errors["RCPT: 550 5.1.1"] == 10 and errors["MAIL: 451 4.1.8"] == 10
    pair.sink.stop()
    arrived = json.loads(pair.sink.text().splitlines()[-1])
    assert arrived["unique"] == 60 and arrived["refused"] == 20 and arrived["dropped"] == 20 and arrived["missing"] == 40


def test_surplus_messages_are_noticed(tmp_path):
    pair = Pair(tmp_path, 20)
    pair.load("--run", "77", "--messages", "10")
    pair.load("--run", "77", "--messages", "10")
    pair.load("--run", "78", "--messages", "10")
    arrived = pair.arrived(expect=1)
    assert arrived["unique"] == 20 and arrived["surplus"] == 10


def test_rate_is_kept(tmp_path):
    pair = Pair(tmp_path, 50)
    assert pair.load("--rate", "100")["rate"] == pytest.approx(100, rel=0.15)
    pair.arrived()


def test_messages_are_kept_whole(tmp_path):
    folder = tmp_path / "kept"
    pair = Pair(tmp_path, 3, "--store", str(folder))
    pair.load("--size", "5000", "--rcpt", "user%d@example.org", "--connections", "1")
    pair.arrived()
    kept = [path.read_bytes() for path in sorted(folder.glob("*.eml"))]
    assert len(kept) == 3
    assert b"X-Sink-To: <user1@example.org>\r\n" in kept[1]
    body = kept[0].split(b"\r\n\r\n", 1)[1]
    assert body.endswith(b"\r\n") and 4500 < len(body) < 5000


@pytest.mark.parametrize("arguments", [
    ["sink", "--refuse", "nonsense=550"], ["sink", "--refuse", "rcpt=200"], ["sink", "--listen", "nowhere"], ["sink", "--tls", "maybe"],
    ["load"], ["load", "--to", "127.0.0.1:1", "--messages", "0"], ["load", "--to", "127.0.0.1:1", "--tls", "maybe"],
])
def test_wrong_usage_says_why(arguments):
    done = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and done.stderr.startswith("goniec "), done.stderr
