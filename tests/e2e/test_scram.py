"""Logins by SCRAM with real clients, and with one that does not play by the rules."""
import base64
import hashlib
import hmac
import os
import shutil
import smtplib
import ssl
import subprocess

import pytest

from house import House, wait_for

ANNA = "anna@example.org"
SCRAM = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
TLS12 = "--priority=NORMAL:-VERS-TLS1.3"
needs_gsasl = pytest.mark.skipif(not shutil.which("gsasl"), reason="gsasl is not installed")


# -- GNU SASL's own client --

def gsasl(house, mechanism, *more, password="secret", login=ANNA):
    """Its whole login over STARTTLS; what it printed, and whether it is content."""
    done = subprocess.run(["gsasl", "--smtp", "--verbose", f"--mechanism={mechanism}", f"--authentication-id={login}",
                           "--authorization-id=", f"--password={password}", "--x509-ca-file=", *more,
                           f"--connect=127.0.0.1:{house.ports['submission']}"],
                          input="QUIT\n", capture_output=True, text=True, timeout=60)
    return "\n235 " in done.stdout and "authentication finished (server trusted)" in done.stderr, done.stdout + done.stderr


@needs_gsasl
@pytest.mark.parametrize("tls", [[], [TLS12]], ids=["tls-exporter", "tls-unique"])
def test_gsasl_bound_to_its_connection(house, tls):
    good, text = gsasl(house, "SCRAM-SHA-256-PLUS", *tls)
    assert good, text
    house.wait_event("login", account=ANNA, mechanism="SCRAM-SHA-256-PLUS", role="directory")
    good, text = gsasl(house, "SCRAM-SHA-256-PLUS", *tls, password="wrong")
    assert not good and "535 5.7.8" in text
    house.wait_event("login-failed", login=ANNA, mechanism="SCRAM-SHA-256-PLUS", why="wrong password")


@needs_gsasl
def test_gsasl_without_binding(house):
    good, text = gsasl(house, "SCRAM-SHA-256", "--no-cb")
    assert good, text
    good, text = gsasl(house, "SCRAM-SHA-256", "--no-cb", login="nobody@example.org")
    assert not good and "535 5.7.8 login or password is wrong" in text


@needs_gsasl
@pytest.mark.parametrize("password", ["zażółć gęślą", "²ﬁ", "a,b=c", "x" * 500],
                         ids=["polish", "folded", "marks", "long"])
def test_gsasl_odd_passwords(tmp_path, sink, password):
    """Prepared alike by both (SASLprep), and PLAIN has it as ever."""
    with House(tmp_path / "house", accounts=((ANNA, password),)) as house:
        good, text = gsasl(house, "SCRAM-SHA-256-PLUS", password=password)
        assert good, text
        good, text = gsasl(house, "PLAIN", password=password)
        assert good, text


# -- other programs: none is worse off because SCRAM is there --

LETTER = b"From: anna@example.org\r\nTo: bob@example.net\r\nSubject: by SCRAM\r\n\r\nHello\r\n"


def test_curl(house, sink, tmp_path):
    letter = tmp_path / "letter"
    letter.write_bytes(LETTER)
    subprocess.run(["curl", "-sS", "--ssl-reqd", "-k", f"smtp://127.0.0.1:{house.ports['submission']}", "--mail-from", ANNA,
                    "--mail-rcpt", "bob@example.net", "-u", f"{ANNA}:secret", "-T", str(letter)], check=True, timeout=60)
    sink.wait_messages(1)


@pytest.mark.parametrize("way", ["on", "scram-sha-256"])
def test_msmtp(house, sink, tmp_path, way):
    known = subprocess.run(["msmtp", "--version"], capture_output=True, text=True, check=True).stdout.lower()
    if way != "on" and way not in known:
        pytest.skip("this msmtp has no SCRAM")
    config = tmp_path / "msmtprc"
    config.write_text(f"defaults\nauth {way}\ntls on\ntls_certcheck off\naccount default\nhost 127.0.0.1\n"
                      f"port {house.ports['submission']}\nuser {ANNA}\npassword secret\nfrom {ANNA}\n")
    config.chmod(0o600)
    subprocess.run(["msmtp", "-C", str(config), "bob@example.net"], input=LETTER, check=True, timeout=60)
    sink.wait_messages(1)


# -- by hand --

def b64(octets):
    return base64.b64encode(octets).decode()


class Client(smtplib.SMTP):
    """Speaks SCRAM as it is told to."""

    def __init__(self, house, tls=True, tls12=False):
        super().__init__("127.0.0.1", house.ports["submission"], timeout=30)
        self.ehlo()
        if tls:
            context = ssl._create_unverified_context()
            if tls12:
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            self.starttls(context=context)
            self.ehlo()

    def mechanisms(self):
        return self.esmtp_features.get("auth", "").split()

    def end_point(self):
        return hashlib.sha256(self.sock.getpeercert(binary_form=True)).digest()

    def begin(self, mechanism="SCRAM-SHA-256", flag="n", login=ANNA):
        """The first half: (code, the server's first message)."""
        self.header, self.bare = f"{flag},,", f"n={login},r={b64(os.urandom(18))}"
        code, text = self.docmd("AUTH", f"{mechanism} {b64((self.header + self.bare).encode())}")
        return code, base64.b64decode(text).decode() if code == 334 else text.decode()

    def proof(self, first, password="secret", data=b""):
        said = dict(part.split("=", 1) for part in first.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(said["s"]), int(said["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = f"c={b64(self.header.encode() + data)},r={said['r']}"
        auth = ",".join((self.bare, first, final)).encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), auth, "sha256")
        self.expected = b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth, "sha256"))
        return f"{final},p={b64(bytes(a ^ b for a, b in zip(key, signature)))}"

    def end(self, final):
        """The second half: the last reply's code and text."""
        code, text = self.docmd(b64(final.encode()))
        if code != 334:
            return code, text.decode()
        assert base64.b64decode(text) == self.expected
        code, text = self.docmd("")
        return code, text.decode()

    def log_in(self, password="secret", data=b"", **how):
        code, first = self.begin(**how)
        return self.end(self.proof(first, password, data)) if code == 334 else (code, first)


def test_what_is_offered(house):
    with Client(house, tls=False) as client:
        assert client.mechanisms() == []
        assert client.docmd("AUTH", "SCRAM-SHA-256")[0] == 538
    for tls12 in (False, True):
        with Client(house, tls12=tls12) as client:
            assert client.mechanisms() == SCRAM


def test_clear_text_has_nothing_to_bind_to(tmp_path):
    with House(tmp_path / "house", {"smtpd": {"login-without-tls": True}}) as house:
        with Client(house, tls=False) as client:
            assert client.mechanisms() == SCRAM[1:]
            assert client.log_in(flag="y")[0] == 235  # honest: there is none
        with Client(house, tls=False) as client:
            assert client.begin("SCRAM-SHA-256-PLUS", "p=tls-exporter")[0] == 504


@pytest.mark.parametrize("tls12", [False, True])
def test_end_point(house, tls12):
    how = {"mechanism": "SCRAM-SHA-256-PLUS", "flag": "p=tls-server-end-point"}
    with Client(house, tls12=tls12) as client:
        assert client.log_in(data=client.end_point(), **how)[0] == 235
        assert client.docmd("MAIL", f"FROM:<{ANNA}>")[0] == 250
    with Client(house, tls12=tls12) as client:  # somebody between has another certificate
        code, text = client.log_in(data=hashlib.sha256(b"his").digest(), **how)
        assert code == 535 and "does not belong to this connection" in text
        house.wait_event("login-unbound", login=ANNA)


def test_unique(house):
    how = {"mechanism": "SCRAM-SHA-256-PLUS", "flag": "p=tls-unique"}
    with Client(house, tls12=True) as client:
        assert client.log_in(data=client.sock.get_channel_binding("tls-unique"), **how)[0] == 235
    with Client(house) as client:
        assert client.log_in(data=client.sock.get_channel_binding("tls-unique"), **how)[0] == 535  # TLS 1.3 has none


def test_downgrade(house):
    """"y": the client can bind, and did not see our offer."""
    with Client(house) as client:
        code, text = client.log_in(flag="y")
        assert code == 535 and "somebody may be reading along" in text
        assert client.log_in()[0] == 235


def test_cancel_order_size_replay(house):
    with Client(house) as client:
        assert client.begin()[0] == 334
        assert client.docmd("*")[0] == 501
        code, first = client.begin()
        good = client.proof(first)
        assert client.docmd(b64(good.encode()))[0] == 334
        assert client.docmd("*")[0] == 501  # our signature did not please it
        assert client.docmd("MAIL", f"FROM:<{ANNA}>")[0] == 530
    with Client(house) as client:
        assert client.begin()[0] == 334
        assert client.end(good)[0] == 535  # the same once more
        assert client.begin()[0] == 334
        assert client.docmd("MAIL", f"FROM:<{ANNA}>")[0] == 501  # no command within a login
        assert client.end(good)[0] == 500  # and it is over
    with Client(house) as client:
        assert client.docmd("AUTH", "SCRAM-SHA-256 =")[0] == 501
        assert client.docmd("AUTH", f"SCRAM-SHA-256 {b64(b'n,,n=' + b'x' * 6000 + b',r=abc')}")[0] in (500, 501)
    with Client(house) as client:
        assert client.begin()[0] == 334
        assert client.docmd(b64(b"c=biws,r=" + b"x" * 8000))[0] == 501
        assert client.log_in()[0] == 235
        assert client.docmd("AUTH", "SCRAM-SHA-256")[0] == 503


def test_guessers_wait(house):
    with Client(house) as client:
        client_codes = [client.log_in(f"guess {i}")[0] for i in range(4)]
    with Client(house) as client:
        client_codes += [client.log_in("guess 4")[0]]
        code, text = client.log_in("secret")
    assert client_codes == [535] * 5
    assert code == 454 and "too many wrong passwords came from your network" in text


def test_a_mixed_house(house):
    """An account that a panel made has only a hash: SCRAM is no longer offered, and comes back once it has more."""
    stored = house.run("account", "add", "old@example.org", "--hash", "$2b$04$0S7aSvRN0bcbuDYBq4hXVujYLSjeY3oheoJ9wRynxe6ji2n2LDajm")
    assert stored.returncode == 0

    def offered():
        with Client(house) as client:
            return client.mechanisms()
    wait_for("SCRAM to go", lambda: offered() == SCRAM[2:])
    with Client(house) as client:
        client.login("old@example.org", "correct horse")
    assert "scram-sha-256" not in house.run("account", "show", "old@example.org").stdout
    house.run("account", "passwd", "old@example.org", "--password-stdin", stdin="correct horse\n")
    assert "yescrypt, scram-sha-256" in house.run("account", "show", "old@example.org").stdout
    wait_for("SCRAM to come back", lambda: offered() == SCRAM)
    with Client(house) as client:
        assert client.log_in("correct horse", login="old@example.org")[0] == 235


@pytest.mark.parametrize("store, forms", [("hash", "yescrypt"), ("scram", "scram-sha-256")])
def test_what_is_stored(tmp_path, store, forms):
    with House(tmp_path / "house", {"accounts": {"store": store, "scram": "yes", "scram-iterations": 5000}}) as house:
        assert f"password: {forms}\n" in house.run("account", "show", ANNA).stdout
        with Client(house) as client:
            assert client.mechanisms() == SCRAM
            code, first = client.begin()
            assert code == 334 and first.endswith(",i=5000")
            assert client.end(client.proof(first))[0] == (235 if store == "scram" else 535)
        if store == "hash":
            (event,) = house.wait_event("login-failed", login=ANNA)
            assert "goniec account passwd" in event["why"]
        with Client(house) as client:
            client.login(ANNA, "secret")
