"""TLS whose private keys are in another process than SMTP: real clients, every kind of key, processes that die, keys that change."""
import contextlib
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import threading

import pytest

from house import wait_for

KINDS = {
    "rsa": ["-newkey", "rsa:2048"],
    "rsa-3072": ["-newkey", "rsa:3072"],
    "p256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ed25519": ["-newkey", "ed25519"],
}
NAME = "mail.example.org"


def make_pair(folder, kind, name=NAME):
    """A certificate that signs itself, as a row of tls.certificates."""
    certificate, key = folder / f"{kind}.crt", folder / f"{kind}.key"
    subprocess.run(["openssl", "req", "-x509", *KINDS.get(kind, ["-newkey", kind]), "-nodes", "-days", "30", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return {"certificate": str(certificate), "key": str(key)}


def trusting(pair):
    """A client that accepts nobody but this certificate: a handshake that it likes was signed with the right key."""
    return ssl.create_default_context(cafile=pair["certificate"])


def use(house, *pairs):
    house.change({"tls": {"certificates": list(pairs)}})
    house.run("reload")


def begin(house):
    return socket.create_connection(("127.0.0.1", house.ports["submissions"]), timeout=30)


def secure(peer, pair):
    """Does the handshake and reads the greeting."""
    with trusting(pair).wrap_socket(peer, server_hostname=NAME) as talk:
        assert talk.recv(1000).startswith(b"220 ")
        return talk.version()


@pytest.mark.parametrize("kind", KINDS)
def test_clients_of_both_versions(house, sink, tmp_path, kind):
    pair = make_pair(tmp_path, kind)
    use(house, pair)
    for version in ("-tls1_2", "-tls1_3"):
        for door, options in (("submission", ["-starttls", "smtp"]), ("submissions", [])):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{house.ports[door]}", version, *options, "-CAfile",
                                   pair["certificate"], "-verify_return_error", "-verify_hostname", NAME, "-servername", NAME, "-crlf"],
                                  input="QUIT\n", capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 0 and "Verification: OK" in done.stdout, done.stdout + done.stderr
    with smtplib.SMTP("127.0.0.1", house.ports["submission"], timeout=30) as client:
        client._host = NAME  # what the certificate is compared with
        client.starttls(context=trusting(pair))
        client.login("anna@example.org", "secret")
        client.sendmail("anna@example.org", ["bob@there.example"], f"From: anna@example.org\r\nSubject: {kind}\r\n\r\nx\r\n")
    sink.wait_messages(1)


def test_two_kinds_for_one_name(house, tmp_path):
    """Who cannot verify the one gets the other."""
    pairs = [make_pair(tmp_path, kind) for kind in ("p256", "rsa")]
    use(house, *pairs)
    for pair, algorithms in zip(pairs, ("ECDSA+SHA256", "RSA-PSS+SHA256")):
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{house.ports['submissions']}", "-sigalgs", algorithms,
                               "-CAfile", pair["certificate"], "-verify_return_error", "-verify_hostname", NAME, "-servername", NAME],
                              input="QUIT\n", capture_output=True, text=True, timeout=30, check=False)
        assert "Verification: OK" in done.stdout, done.stdout + done.stderr


def test_key_and_certificate_in_one_file(house, tmp_path):
    pair = make_pair(tmp_path, "p256")
    both = tmp_path / "both.pem"
    both.write_text(open(pair["key"]).read() + open(pair["certificate"]).read())
    use(house, {"certificate": str(both)})
    secure(begin(house), pair)


def test_unknown_kinds_of_keys_are_refused(house, tmp_path):
    house.change({"tls": {"certificates": [make_pair(tmp_path, "ed448")]}})
    done = house.run("reload", check=False)
    assert done.returncode != 0 and "a key of this kind is not supported" in done.stdout + done.stderr


# -- where the key is --

def secrets_of(key):
    """The secret numbers of a key as they may lie in a memory: as octets in either order, and the lines of its file."""
    text = subprocess.run(["openssl", "pkey", "-in", key, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
    numbers = re.findall(r"^(?:priv|prime1|prime2|privateExponent|exponent1):\n((?:\s+[0-9a-f:]+\n)+)", text, re.M)
    octets = [bytes.fromhex(re.sub(r"[\s:]", "", number)).lstrip(b"\0")[:32] for number in numbers]
    whole = [bytes.fromhex(re.sub(r"[\s:]", "", number)).lstrip(b"\0") for number in numbers]
    lines = [line.encode() for line in open(key).read().splitlines() if not line.startswith("-")]
    assert octets and lines
    return octets + [number[::-1][:32] for number in whole] + [max(lines[1:] or lines, key=len)]


def find_in_memory(pid, words):
    """Those of `words` that are somewhere in what a process may write to."""
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            begin_at, end = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" not in line.split()[1] or end - begin_at > 1 << 28:  # larger ones are a sanitizer's own
                continue
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(begin_at)
                octets = memory.read(end - begin_at)
                found.update(word for word in words if word in octets)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read another process's memory")
@pytest.mark.parametrize("kinds", [("p256", "rsa"), ()], ids=["configured", "self-signed"])
def test_no_key_where_smtp_is_parsed(house, tmp_path, kinds):
    house.change({"smtpd": {"processes": 1}})
    house.stop()
    house.start()
    own = house.folder / "state/tls"
    pairs = [make_pair(tmp_path, kind) for kind in kinds] or [{"certificate": str(own / "self-signed.crt"), "key": str(own / "self-signed.key")}]
    if kinds:
        use(house, *pairs)
    for _ in range(3):
        secure(begin(house), pairs[0])
    words = [word for pair in pairs for word in secrets_of(pair["key"])]
    assert not find_in_memory(house.pids("smtpd")[0], words), "a private key in smtpd"
    assert find_in_memory(house.pids("directory")[0], words), "not even where it is: the search is blind"


# -- processes that die, keys that change --

@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class Guest(threading.Thread):
    """A client in the middle of its handshake."""

    def __init__(self, house, pair):
        super().__init__(daemon=True)
        self.peer, self.pair, self.version, self.fault = begin(house), pair, None, None
        self.start()

    def run(self):
        try:
            self.version = secure(self.peer, self.pair)
        except OSError as fault:
            self.fault = fault


def test_signer_killed_in_the_middle(house, tmp_path):
    """Handshakes wait for the next one; SMTP in clear does not wait at all."""
    pair = make_pair(tmp_path, "p256")
    use(house, pair)
    for turn in range(3):
        before = len(house.wait_event("tls", 5 * turn, version="TLSv1.3")) if turn else 0
        directory = house.pids("directory")[0]
        with stopped(directory):
            guests = [Guest(house, pair) for _ in range(5)]
            with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
                assert client.noop()[0] == 250
            assert all(guest.is_alive() for guest in guests)
            assert len(house.events("tls", version="TLSv1.3")) == before
            os.kill(directory, signal.SIGKILL)
        for guest in guests:
            guest.join(30)
            assert guest.version == "TLSv1.3", guest.fault
        wait_for("another directory", lambda: house.pids("directory") not in ([], [directory]))


def test_smtpd_killed_in_the_middle(house, tmp_path):
    """Its own handshakes end; the next one's are signed."""
    pair = make_pair(tmp_path, "rsa")
    use(house, pair)
    smtpds = house.pids("smtpd")
    with stopped(house.pids("directory")[0]):
        guests = [Guest(house, pair) for _ in range(4)]
        wait_for("connections", lambda: len(house.events("connected")) >= 4)
        for pid in smtpds:
            os.kill(pid, signal.SIGKILL)
        for guest in guests:
            guest.join(30)
            assert guest.fault
    wait_for("new ones", lambda: len(set(house.pids("smtpd")) - set(smtpds)) == len(smtpds))
    wait_for("a handshake", lambda: secure(begin(house), pair))


def test_keys_change_under_way(house, tmp_path):
    """Reload after reload while clients come: each gets one of the certificates, none an error."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    pairs = [make_pair(folders[0], "p256"), make_pair(folders[1], "rsa")]
    use(house, pairs[0])
    either = ssl.create_default_context(cafile=pairs[0]["certificate"])
    either.load_verify_locations(pairs[1]["certificate"])
    faults, done, seen = [], threading.Event(), set()

    def clients():
        while not done.is_set():
            try:
                with begin(house) as peer, either.wrap_socket(peer, server_hostname=NAME) as talk:
                    seen.add(talk.getpeercert()["serialNumber"])
                    assert talk.recv(1000).startswith(b"220 ")
            except (OSError, AssertionError) as fault:
                faults.append(fault)

    threads = [threading.Thread(target=clients, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(10):
        use(house, pairs[turn % 2])
    done.set()
    for thread in threads:
        thread.join(30)
    assert not faults and len(seen) == 2, (faults, seen)
