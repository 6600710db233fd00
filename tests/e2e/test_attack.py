"""Floods, guessers, slow ones and giants: the limits that hold without anybody having set them, and those that are set.

Attackers come from other addresses of the loopback, which here are strangers: no network relays.
"""
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess

import pytest

from dns import Nsd
from house import ROOT, House, Sink, wait_for

ANNA = "anna@example.org"
MESSAGE = f"From: {ANNA}\r\nSubject: test\r\n\r\nbody\r\n"


def strangers(tmp_path, sink, smtpd=None, **settings):
    """A house in which the loopback is nobody's own."""
    house = House(tmp_path / "house", {"relay": {"networks": []}, "smtpd": {"login-without-tls": True, **(smtpd or {})}, **settings})
    house.route_all_to(sink.port)
    return house


class Client:
    """A raw session from a chosen address."""

    def __init__(self, port, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
        self.file = self.socket.makefile("rb")

    def reply(self):
        text = b""
        while line := self.file.readline():
            text += line
            if line[3:4] != b"-":
                return int(line[:3]), text.decode()
        return 0, text.decode()

    def ask(self, text):
        self.socket.sendall(text.encode())
        return self.reply()

    def log_in(self, password, login=ANNA):
        token = base64.b64encode(f"\0{login}\0{password}".encode()).decode()
        return self.ask(f"AUTH PLAIN {token}\r\n")

    def close(self):
        self.file.close()
        self.socket.close()


def greeted(port, source):
    """A connection, if it was greeted, or what was said instead."""
    client = Client(port, source)
    code, text = client.reply()
    if code == 220:
        return client, text
    client.close()
    return None, text


def begin_session(port, source="127.0.0.1"):
    """A session as far as EHLO."""
    client = Client(port, source)
    assert client.reply()[0] == 220
    assert client.ask("EHLO client.example.org\r\n")[0] == 250
    return client


def log_in_once(port, source, password, login=ANNA):
    client = begin_session(port, source)
    answer = client.log_in(password, login)
    client.close()
    return answer


def figures(house):
    return house.json("status")["clients"]


def resident(pid, what="VmRSS"):
    return int(re.search(rf"^{what}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1)) * 1024


def test_connections_are_counted_over_all_processes(tmp_path, sink):
    house = strangers(tmp_path, sink, {"processes": 3, "max-connections-per-address": 4, "max-connections-per-network": 6})
    port = house.ports["submission"]
    with house:
        open_ones = [greeted(port, "127.0.7.5")[0] for _ in range(4)]
        assert all(open_ones)
        for _ in range(12):  # whichever process takes it
            client, text = greeted(port, "127.0.7.5")
            assert client is None and text.startswith("421 4.7.0 ") and "from your address; send several messages on one" in text
        open_ones += [greeted(port, "127.0.7.6")[0] for _ in range(2)]
        client, text = greeted(port, "127.0.7.7")
        assert client is None and "from your network; try again" in text
        open_ones.append(greeted(port, "127.0.8.5")[0])
        assert all(open_ones)
        clients = figures(house)
        assert (clients["sessions"], clients["turned_away_address"], clients["turned_away_network"]) == (7, 12, 1)
        assert 1 <= len(house.events("turned-away")) <= 3  # one from each process, not one for each client
        assert "13 TURNED AWAY" not in (words := house.run("status").stdout) and "12 TURNED AWAY: too many from the address" in words
        # Who hangs up makes room; so does a process that dies, with all it had.
        open_ones[0].close()
        wait_for("room", lambda: greeted(port, "127.0.7.5")[0])
        for pid in house.pids("smtpd"):
            os.kill(pid, signal.SIGKILL)
        house.wait_event("child-ready", count=3 + 2 + 3 + len(house.pids("delivery")))
        wait_for("room", lambda: figures(house)["sessions"] == 0)
        again = [greeted(port, "127.0.7.5")[0] for _ in range(4)]
        assert all(again)


def test_who_connects_too_often(tmp_path, sink):
    house = strangers(tmp_path, sink, {"processes": 2, "connection-rate-per-address": "5/1h", "connection-rate-per-network": "8/1h"})
    port = house.ports["submission"]
    with house:
        for source, good in (("127.0.7.5", 5), ("127.0.7.6", 3), ("127.0.8.5", 5)):
            for _ in range(good):
                client, text = greeted(port, source)
                assert client, text
                client.close()
        client, text = greeted(port, "127.0.7.5")
        assert client is None and "Your address connects too often; send several messages on one connection" in text
        client, text = greeted(port, "127.0.7.7")
        assert client is None and "Your network connects too often" in text
        assert figures(house)["turned_away_often"] == 2


def test_a_guesser_waits_and_the_owner_does_not(tmp_path, sink):
    house = strangers(tmp_path, sink)
    port = house.ports["submission"]
    with house:
        for n in range(5):
            assert log_in_once(port, "127.0.7.5", f"guess {n}")[0] == 535
        for n in range(40):
            code, text = log_in_once(port, f"127.0.7.{n + 6}", f"guess {n + 5}")
            assert code == 454 and re.search(r"4\.7\.0 too many wrong passwords came from your network; try again in \d+ ", text)
        code, _ = log_in_once(port, "127.0.7.5", "secret")  # the right one, but he is not to learn that
        assert code == 454
        assert log_in_once(port, "127.0.9.9", "secret")[0] == 235  # the owner
        (began,) = house.wait_event("guessing-began")
        assert (began["network"], began["login"], began["wrong"]) == ("127.0.7.0/24", ANNA, 5)
        assert len(house.events("login-failed", level="warning")) == 5
        clients = figures(house)
        assert (clients["attacks"], clients["logins_failed"], clients["logins_slowed"], clients["logins"]) == (1, 5, 41, 1)
        assert "PASSWORDS ARE BEING GUESSED: 1 attacks" in house.run("status").stdout


def banned(log):
    """Whom the filter for fail2ban finds in it, as fail2ban would read it: without the time, which its datepattern takes away."""
    rules = dict(re.findall(r"^(\w+) = (.*)$", (ROOT / "packaging/fail2ban/goniec.conf").read_text(), re.M))
    if shutil.which("fail2ban-regex"):
        out = subprocess.run(["fail2ban-regex", "-o", "<ip>", log, ROOT / "packaging/fail2ban/goniec.conf"], capture_output=True, text=True, check=True)
        real = [line for line in out.stdout.splitlines() if line]
    date = re.compile(re.sub("%%([YmdHMS])", r"\\d+", rules["datepattern"]).replace("%%z", "Z"))
    rule = re.compile(rules["failregex"].replace("<HOST>", "([0-9a-f.:]+)"))
    found = [match[1] for line in log.read_text().splitlines() if (cut := date.match(line)) and (match := rule.match(line[cut.end():]))]
    if shutil.which("fail2ban-regex"):
        assert real == found
    return found


def test_fail2ban_finds_the_guesser_and_nobody_else(tmp_path, sink):
    house = strangers(tmp_path, sink)
    port = house.ports["submission"]
    with house:
        log_in_once(port, "127.0.7.5", "guess")
        log_in_once(port, "127.0.8.8", "secret")
        log_in_once(port, "127.0.7.6", "guess", '","client":"127.0.8.8","x":"')
        house.wait_event("login-failed", count=2)
        assert banned(house.log_file) == ["127.0.7.5", "127.0.7.6"]


def test_where_the_owner_has_been_he_gets_in(tmp_path, sink):
    house = strangers(tmp_path, sink)
    port = house.ports["submission"]
    with house:
        assert log_in_once(port, "127.0.7.1", "secret")[0] == 235
        for n in range(30):
            log_in_once(port, "127.0.7.5", f"guess {n}")
        assert log_in_once(port, "127.0.7.5", "secret")[0] == 454
        assert log_in_once(port, "127.0.7.1", "secret")[0] == 235
        for _ in range(30):  # a telephone with an old password beside it: one guess
            assert log_in_once(port, "127.0.7.1", "the old one")[0] == 535
        assert log_in_once(port, "127.0.7.1", "secret")[0] == 235


def test_many_logins_from_one_network(tmp_path, sink):
    house = strangers(tmp_path, sink)
    port = house.ports["submission"]
    with house:
        codes = [log_in_once(port, f"127.0.7.{n % 200 + 1}", "x", f"user{n}@example.org")[0] for n in range(100)]
        assert codes[:30] == [535] * 30
        assert codes[30:].count(454) >= 50  # a try every six seconds is looked at
        assert log_in_once(port, "127.0.9.9", "secret")[0] == 235
        (began,) = house.wait_event("guessing-began")
        assert (began["network"], began["login"]) == ("127.0.7.0/24", "many")


def test_guessing_on_ends_the_session(tmp_path, sink):
    house = strangers(tmp_path, sink, {"max-errors": 10})
    with house:
        client = begin_session(house.ports["submission"])
        codes = []
        while (code := client.log_in(f"guess {len(codes)}")[0]) not in (0, 421) and len(codes) < 50:
            codes.append(code)
        assert len(codes) <= 10 and 454 in codes
        client.close()


def test_tls_without_compression(house):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.options &= ~ssl.OP_NO_COMPRESSION
    with socket.create_connection(("127.0.0.1", house.ports["submissions"])) as plain, context.wrap_socket(plain) as secure:
        assert secure.compression() is None
        assert secure.recv(100).startswith(b"220 ")


def test_a_silent_handshake_takes_nobodys_place(tmp_path, sink):
    """All places for handshakes are taken by those who never end theirs; whoever comes is let in all the same."""
    house = strangers(tmp_path, sink, {"processes": 1, "max-handshakes": 3})
    with house:
        silent = [Client(house.ports["submissions"], f"127.0.7.{n}") for n in range(1, 4)]
        wait_for("handshakes", lambda: figures(house)["handshakes"] == 3)

        def get_in():
            try:
                with smtplib.SMTP_SSL("127.0.0.1", house.ports["submissions"], timeout=10,
                                      context=ssl._create_unverified_context()) as client:
                    client.login(ANNA, "secret")
                    return True
            except (OSError, smtplib.SMTPException):
                return False
        wait_for("a place", get_in)
        for client in silent:
            client.close()


def test_giants_are_refused_before_and_behind(tmp_path, sink):
    """2 GiB announced costs a line; much more than allowed, unannounced, costs no memory."""
    house = strangers(tmp_path, sink, {"max-size": "1MiB", "processes": 1})
    with house:
        client = begin_session(house.ports["submission"])
        assert client.log_in("secret")[0] == 235
        code, text = client.ask(f"MAIL FROM:<{ANNA}> SIZE=2147483648\r\n")
        assert code == 552 and "5.3.4" in text
        (pid,) = house.pids("smtpd")
        for chunked in (False, True):
            client.ask(f"MAIL FROM:<{ANNA}>\r\n")
            client.ask("RCPT TO:<y@example.net>\r\n")
            client.socket.sendall(b"BDAT 67108864 LAST\r\n" if chunked else b"DATA\r\n")
            if not chunked:
                assert client.reply()[0] == 354
            before = resident(pid)
            line = b"x" * 998 + b"\r\n"
            for _ in range(64):
                client.socket.sendall((line * 1049)[:1 << 20] if chunked else line * 1048)
            if not chunked:
                client.socket.sendall(b"\r\n.\r\n")
            code, text = client.reply()
            assert code == 552 and "5.3.4" in text
            assert resident(pid, "VmHWM") < before + (24 << 20)
        client.ask(f"MAIL FROM:<{ANNA}>\r\n")
        assert client.ask("RSET\r\n")[0] == 250
        client.close()


def test_endless_lines(tmp_path, sink):
    """A command or a body line without end is cut off, and takes no memory."""
    house = strangers(tmp_path, sink, {"max-line": "64KiB", "processes": 1})
    with house:
        client = Client(house.ports["submission"])
        client.reply()
        try:
            client.socket.sendall(b"EHLO " + b"x" * (8 << 20))
            assert client.reply()[0] in (500, 421)
        except ConnectionError:
            pass  # it did not listen to the end
        client.close()
        with smtplib.SMTP("127.0.0.1", house.ports["submission"]) as client:
            client.login(ANNA, "secret")
            with pytest.raises(smtplib.SMTPResponseException) as refused:
                client.sendmail(ANNA, "y@example.net", MESSAGE + "x" * (1 << 20))
            assert refused.value.smtp_code // 100 == 5
            client.sendmail(ANNA, "y@example.net", MESSAGE)


def test_thousands_of_recipients(tmp_path, sink):
    """Those over the limit are told to come in another message, and the message goes to the others."""
    house = strangers(tmp_path, sink)
    with house:
        client = begin_session(house.ports["submission"])
        client.log_in("secret")
        client.ask(f"MAIL FROM:<{ANNA}>\r\n")
        codes = []
        for group in range(10):
            client.socket.sendall("".join(f"RCPT TO:<user{n}@example.net>\r\n" for n in range(group * 500, group * 500 + 500)).encode())
            codes += [client.reply()[0] for _ in range(500)]
        assert codes == [250] * 1000 + [452] * 4000
        assert client.ask("DATA\r\n")[0] == 354
        assert client.ask(MESSAGE + ".\r\n")[0] == 250
        client.close()
        house.wait_empty()
        assert sum(event["recipients"] for event in house.events("accepted")) == 1000


def test_beside_slow_ones_mail_goes_on(tmp_path, sink):
    """Half a command, half a handshake, half a message, nothing at all: none of it stands in anybody's way."""
    house = strangers(tmp_path, sink)
    with house:
        slow = []
        for n in range(80):
            client = Client(house.ports["submissions" if n % 4 == 1 else "submission"], f"127.0.7.{n + 1}")
            slow.append(client)
            if n % 4 != 1:
                client.reply()
            client.socket.sendall((b"EHL", b"\x16\x03\x01\x02\x00\x01", b"EHLO x\r\nMAIL FR", b"")[n % 4])
        for n in range(20):
            with smtplib.SMTP("127.0.0.1", house.ports["submission"]) as client:
                client.login(ANNA, "secret")
                client.sendmail(ANNA, f"y{n}@example.net", MESSAGE)
        sink.wait_messages(20)
        for client in slow:
            client.close()


def test_a_thousand_mail_servers(tmp_path):
    """A domain with a thousand MX hosts, all dead: a few addresses are tried, then the message waits."""
    hosts = "".join(f"big MX 10 h{n}.domains.test.\nh{n} A 127.1.{n // 250}.{n % 250 + 1}\n" for n in range(1000))
    dns = Nsd(tmp_path, {"domains.test": hosts})
    house = House(tmp_path / "house", {"dns": {"resolvers": [f"127.0.0.1:{dns.port}"]}, "delivery": {"port": 9}}, accounts=())
    with house:
        with smtplib.SMTP("127.0.0.1", house.ports["relay"]) as client:
            client.sendmail("x@example.org", "y@big.domains.test", "Subject: x\r\n\r\nx\r\n")
        house.wait_event("deferred")
        tried = {event["address"] for event in house.events("host-failed")}
        assert 1 <= len(tried) <= 10
    dns.stop()


def test_idle_ones_cost_little(tmp_path, sink):
    """A thousand who only stand there; the whole is held below what a setting allows, and mail goes on."""
    house = strangers(tmp_path, sink, {"processes": 1, "max-memory": "64MiB"})
    with house:
        (pid,) = house.pids("smtpd")
        before = resident(pid)
        idle = []
        for n in range(1000):
            client = Client(house.ports["submission"], f"127.1.{n % 20}.{n // 20 + 1}")
            assert client.reply()[0] == 220
            idle.append(client)
        assert figures(house)["octets"] == 1000 * 4096
        assert resident(pid) - before < 32 << 20  # with the sanitizers' margins
        with smtplib.SMTP("127.0.0.1", house.ports["submission"]) as client:
            client.login(ANNA, "secret")
            client.sendmail(ANNA, "y@example.net", MESSAGE)
        sink.wait_messages(1)
        for client in idle:
            client.close()
        wait_for("nobody", lambda: json.loads(house.run("status", "--json").stdout)["clients"]["octets"] == 0)
