"""The milter machine against milters that others wrote: OpenDKIM, libmilter by pymilter, and rspamd, which has protocol code
of its own."""
import base64
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from house import BUILD

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVE = pathlib.Path(BUILD) / "tests/milter/milter_drive"
DEADLINE = float(os.environ.get("GONIEC_TEST_DEADLINE", 20))
MESSAGE = ("Received: from a by b; Tue, 24 Nov 2026 10:00:00 +0000\r\nReceived: from c by d;\r\n\tTue, 24 Nov 2026 09:00:00 +0000\r\n"
           "From:  Anna  <anna@example.org>\r\nTo: b@example.net\r\nSubject: {subject}\r\n"
           "Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n{body}")


class Peer:
    """A milter as a process of its own, until its socket takes connections."""

    def __init__(self, command, socket):
        self.socket = socket
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        start_new_session=True)

    def __enter__(self):
        until = time.monotonic() + 3 * DEADLINE  # rspamd compiles its patterns first
        while not self.socket.is_socket():
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < until, "the milter does not come up"
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGKILL)  # libmilter takes five seconds to end in good order, and keeps nothing
        self.process.communicate()


def drive(socket, message, *recipients, login="anna"):
    """What the milter said, line by line, and the message as it would have it ("" if it will not)."""
    done = subprocess.run([DRIVE, socket, login, "anna@example.org", *(recipients or ("b@example.net",))], input=message.encode(),
                          capture_output=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    said, _, changed = ("\r\n" + done.stdout.decode()).partition("\r\n\r\n")
    return said.strip("\r\n").splitlines(), changed


@pytest.fixture
def changer(tmp_path):
    pytest.importorskip("Milter")
    socket = tmp_path / "m"
    with Peer([sys.executable, ROOT / "tests/milter/changer.py", socket], socket):
        yield socket


def opendkim(tmp_path, mode):
    if not shutil.which("opendkim", path="/usr/sbin:/usr/bin"):
        pytest.skip("no opendkim")
    key, public, socket = tmp_path / "s.private", tmp_path / "public", tmp_path / mode
    if not key.exists():
        subprocess.run(["opendkim-genkey", "-b", "2048", "-s", "s", "-d", "example.org", "-D", tmp_path], check=True)
        der = subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True, capture_output=True)
        public.write_text(f"s._domainkey.example.org v=DKIM1; k=rsa; p={base64.b64encode(der.stdout).decode()}\n")
    config = tmp_path / f"{mode}.conf"
    config.write_text(f"Socket local:{socket}\nMode {mode}\nDomain example.org\nSelector s\nKeyFile {key}\n"
                      f"TestPublicKeys {public}\nRequireSafeKeys no\nCanonicalization simple/simple\nBackground no\n"
                      f"InternalHosts {tmp_path}/internal\nAuthservID mx.example.org\nAlwaysAddARHeader yes\n")
    (tmp_path / "internal").write_text("192.0.2.1\n" if mode == "s" else "198.51.100.1\n")
    return Peer(["/usr/sbin/opendkim", "-f", "-x", config], socket)


@pytest.mark.parametrize("body", [
    pytest.param("one\r\n\r\ntwo \r\n\r\n\r\n", id="blank lines"), pytest.param("", id="no body"),
    pytest.param("x" * 70 + "\r\n" + ("y" * 76 + "\r\n") * 3000, id="many pieces"),
])
def test_opendkim_signs_and_another_one_finds_the_signature_good(tmp_path, body):
    message = MESSAGE.format(subject="hello", body=body)
    with opendkim(tmp_path, "s") as signer:
        said, signed = drive(signer.socket, message)
    assert "DKIM-Signature:" in signed and signed.endswith(message.split("Subject", 1)[1]), (said, signed[:2000])
    with opendkim(tmp_path, "v") as verifier:
        said, seen = drive(verifier.socket, signed, login="")
        assert "dkim=pass" in seen and "header.d=example.org" in seen, (said, seen[:2000])
        said, seen = drive(verifier.socket, signed.replace("Anna", "Eve"), login="")
        assert "dkim=fail" in seen, (said, seen[:2000])


def test_libmilter_changes_everything(changer):
    said, changed = drive(changer, MESSAGE.format(subject="change", body="y" * 70000 + "\r\n"), "b@example.net",
                          "nobody@example.net")
    assert said == ["rcpt reject 550 5.1.1 100% nobody of that name", "sender bounces@example.org RET=HDRS",
                    "add-recipient copy@example.org ", "delete-recipient b@example.net ", "quarantine looks odd "]
    header, _, body = changed.partition("\r\n\r\n")
    assert body == "new " * 20000 + "\r\n"
    lines = header.split("\r\n")
    assert lines[:2] == ["X-First: a", "\tb"]
    assert "Subject: changed" in lines and header.count("Received:") == 1 and "09:00:00" not in header
    assert lines[-5:] == ["X-Told: client.example 192.0.2.1 4025 mx.example.org",
                          "X-Told: <anna@example.org> BODY=8BITMIME 0AXJ7 anna",
                          "X-Told: <b@example.net> b@example.net", "X-Told: 65535", "X-Told: 4467"]


@pytest.mark.parametrize("subject, want", [
    ("refuse-end", ["end tempfail 451 4.7.1 come back later"]),
    ("discard", ["end discard 0 0.0.0 "]),
])
def test_libmilter_refuses_at_the_end(changer, subject, want):
    assert drive(changer, MESSAGE.format(subject=subject, body="x\r\n")) == (want, "")


def test_libmilter_says_that_it_is_still_at_it(changer):
    message = MESSAGE.format(subject="slow", body="x\r\n")
    assert drive(changer, message) == ([], message)


RSPAMD = """
options {{ pidfile = "{0}/pid"; tempdir = "{0}"; hs_cache_dir = "{0}"; filters = ""; gtube_patterns = "all";
  dns {{ nameserver = ["127.0.0.1"]; timeout = 0.1s; retransmits = 1; }}
  url_tld = "/usr/share/rspamd/effective_tld_names.dat"; }}
logging {{ type = "file"; filename = "{0}/log"; level = "info"; }}
actions {{ reject = 15; add_header = 6; }}
worker "rspamd_proxy" {{ bind_socket = "{0}/m mode=0666"; milter = yes; timeout = 20s; count = 1;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
lua = "/dev/null";
"""


def test_rspamd_takes_a_good_message_and_refuses_the_one_that_all_filters_refuse(tmp_path):
    if not shutil.which("rspamd"):
        pytest.skip("no rspamd")
    tmp_path.chmod(0o777)
    config, socket = tmp_path / "rspamd.conf", tmp_path / "m"
    config.write_text(RSPAMD.format(tmp_path))
    with Peer(["rspamd", "-f", "-i", "-c", config], socket):
        good = MESSAGE.format(subject="hello", body="hello\r\n")
        assert drive(socket, good, login="") == (["end accept 0 0.0.0 "], good)
        bad = good + "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
        assert drive(socket, bad, login="") == (["end reject 554 5.7.1 Gtube pattern"], "")
    seen = (tmp_path / "log").read_text()
    assert "qid: <0AXJ7>, ip: 192.0.2.1, from: <anna@example.org>" in seen
