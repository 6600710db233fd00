"""Two servers whose accounts are those of one real PostgreSQL: a change on one holds on the other, and mail goes on without it."""
import glob
import os
import pathlib
import pwd
import shutil
import signal
import smtplib
import subprocess

import pytest

from house import House, Process, binary, free_port, wait_for
from test_several_machines import login, send

BIN = pathlib.Path((sorted(glob.glob("/usr/lib/postgresql/*/bin")) or ["/nowhere"])[-1])
ANNA, BOB, CEZ = "anna@example.org", "bob@example.org", "cez@example.org"
pytestmark = pytest.mark.skipif(not (BIN / "initdb").exists(), reason="no PostgreSQL")


def as_nobody():
    """PostgreSQL refuses to run as root."""
    return {"user": "nobody"} if os.geteuid() == 0 else {}


class Postgres:
    """A cluster of the test's own, on a port of the loopback."""

    def __init__(self, folder):
        self.folder, self.port, self.process = pathlib.Path(folder), free_port(), None
        self.folder.mkdir()
        if os.geteuid() == 0:
            os.chown(self.folder, pwd.getpwnam("nobody").pw_uid, -1)
            for above in self.folder.parents: # pytest's folders are its user's alone
                if str(above).startswith("/tmp/"):
                    above.chmod(above.stat().st_mode | 0o011)
        subprocess.run([BIN / "initdb", "-D", self.folder / "data", "-U", "goniec", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"], check=True,
                       capture_output=True, cwd=self.folder, **as_nobody())
        self.place = f"host=127.0.0.1 port={self.port} dbname=postgres user=goniec sslmode=disable"

    def start(self, *options):
        with open(self.folder.parent / "postgres.out", "ab") as out:
            self.process = subprocess.Popen([BIN / "postgres", "-D", self.folder / "data", "-p", str(self.port), "-k", self.folder, "-c", "fsync=off",
                                             "-c", "listen_addresses=127.0.0.1", *options], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self.folder,
                                            start_new_session=True, **as_nobody())
        wait_for("PostgreSQL", lambda: subprocess.run([BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0)
        return self

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)
        self.process = None

    def say(self, sql):
        return subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "goniec", "-d", "postgres", "-Atc", sql], capture_output=True, text=True,
                              check=True).stdout.strip()


@pytest.fixture
def postgres(tmp_path):
    postgres = Postgres(tmp_path / "postgres").start()
    yield postgres
    postgres.stop()


@pytest.fixture
def make(tmp_path, postgres, sink):
    houses = []

    def build(accounts=(), place=None):
        house = House(tmp_path / f"house{len(houses)}", {"accounts": {"postgresql": place or postgres.place}}, accounts=accounts)
        house.route_all_to(sink.port)
        houses.append(house)
        return house.start()
    yield build
    for house in houses:
        house.stop()


def may_log_in(house, who, password="secret"):
    try:
        with login(house, who) if password == "secret" else None:
            return True
    except smtplib.SMTPAuthenticationError:
        return False


def logins(house):
    return sorted(row["login"] for row in house.json("account", "list"))


def test_a_change_on_one_machine_holds_on_the_other(make, postgres):
    a, b = make([(ANNA, "secret")]), make()
    wait_for("the first account on the other machine", lambda: may_log_in(b, ANNA))
    b.run("account", "add", BOB, "--password-stdin", stdin="secret\n")
    assert may_log_in(b, BOB)
    wait_for("an account that was made there", lambda: may_log_in(a, BOB))
    a.run("account", "suspend", BOB, "--reason", "unpaid")
    wait_for("the suspension", lambda: not may_log_in(b, BOB))
    b.run("account", "resume", BOB)
    wait_for("its end", lambda: may_log_in(a, BOB))
    a.run("account", "alias", "add", BOB, "sales@example.org", check=False)
    a.run("account", "set", BOB, "limit=recipients 1/1h")
    wait_for("the limit", lambda: "recipients 1/1h" in b.run("account", "show", BOB).stdout)
    b.run("account", "remove", BOB)
    wait_for("its end", lambda: logins(a) == [ANNA])
    assert not may_log_in(a, BOB)


def test_what_was_removed_and_made_again_is_somebody_else(make):
    a, b = make([(ANNA, "secret"), (BOB, "secret")]), make()
    wait_for("the accounts", lambda: logins(b) == [ANNA, BOB])
    number = lambda house: {row["login"]: row.get("id") for row in house.json("account", "list")}
    a.run("account", "remove", BOB)
    b.run("account", "add", CEZ, "--password-stdin", stdin="secret\n")
    wait_for("the accounts", lambda: logins(a) == [ANNA, CEZ] == logins(b))
    assert number(a) == number(b)
    a.run("account", "remove", CEZ)
    a.run("account", "add", CEZ, "--password-stdin", stdin="secret\n")
    wait_for("the accounts", lambda: logins(b) == [ANNA, CEZ] and may_log_in(b, CEZ))
    assert a.run("directory", "dump", "--hashes").stdout == b.run("directory", "dump", "--hashes").stdout


def test_without_postgresql_mail_goes_on_and_changes_are_refused(make, postgres, sink):
    a, b = make([(ANNA, "secret")]), make()
    wait_for("the account", lambda: may_log_in(b, ANNA))
    postgres.stop()
    b.wait_event("accounts-alone")
    assert send(b, 1, ANNA)[0] == 1
    sink.wait_messages(1)
    refused = b.run("account", "add", BOB, "--password-stdin", stdin="secret\n", check=False)
    assert refused.returncode == 1 and "PostgreSQL" in refused.stderr and "nothing was changed" in refused.stderr, refused.stderr
    assert logins(b) == [ANNA]
    postgres.start()
    b.wait_event("accounts-together")
    b.run("account", "add", BOB, "--password-stdin", stdin="secret\n")
    wait_for("the account", lambda: may_log_in(a, BOB))


def test_apply_is_all_or_nothing_there_too(make, postgres):
    a, b = make([(ANNA, "secret")]), make()
    wait_for("the account", lambda: logins(b) == [ANNA])
    revision = postgres.say("SELECT revision FROM goniec_state")
    refused = a.run("directory", "apply", "-", stdin='{"domains": [{"name": "shop.example"}], "accounts": [{"login": "x@shop.example"}]}', check=False)
    assert refused.returncode == 1
    a.run("directory", "apply", "-", "--dry-run", stdin='{"domains": [{"name": "shop.example"}]}')
    assert postgres.say("SELECT revision FROM goniec_state") == revision
    assert "shop.example" not in a.run("domain", "list").stdout
    a.run("directory", "apply", "-", stdin='{"domains": [{"name": "shop.example"}, {"name": "two.example"}]}')
    wait_for("both domains", lambda: "shop.example" in (text := b.run("domain", "list").stdout) and "two.example" in text)


def test_two_who_change_at_once_lose_nothing(make, tmp_path):
    a, b = make([(ANNA, "secret")]), make()
    wait_for("the account", lambda: logins(b) == [ANNA])
    running = [subprocess.Popen([binary(), "domain", "add", f"{name}{i}.example"], env=house.env(), stdout=subprocess.DEVNULL)
               for i in range(6) for name, house in (("a", a), ("b", b))]
    assert [each.wait(60) for each in running] == [0] * 12
    wait_for("the same on both", lambda: a.run("directory", "dump").stdout == b.run("directory", "dump").stdout)
    assert sum(f"{name}{i}.example" in a.run("domain", "list").stdout for i in range(6) for name in "ab") == 12


def test_a_killed_process_catches_up(make, tmp_path, postgres):
    place = tmp_path / "connection"
    place.write_text(postgres.place + "\n")
    place.chmod(0o600)
    a, b = make([(ANNA, "secret")], str(place)), make(place=str(place))
    wait_for("the account", lambda: logins(b) == [ANNA])
    [old] = b.pids("mirror")
    os.kill(old, signal.SIGKILL)
    a.run("account", "add", BOB, "--password-stdin", stdin="secret\n")
    wait_for("the account", lambda: may_log_in(b, BOB))


def test_what_somebody_wrote_there_that_is_no_row_is_told(make, postgres):
    a = make([(ANNA, "secret")])
    a.wait_event("child-ready", child="mirror")
    postgres.say("UPDATE goniec_state SET revision = revision + 1; INSERT INTO goniec_rows SELECT 'nodes', '[7]', 'no json', revision FROM goniec_state")
    a.wait_event("accounts-alone")
    assert may_log_in(a, ANNA)
    postgres.say("DELETE FROM goniec_rows WHERE row = 'no json'")
    a.wait_event("accounts-together")


def certify(folder):
    """A certificate for localhost, and who vouches for it: their paths."""
    def openssl(*words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=ours", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (folder / "san").write_text("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san", "-out", "server.crt")
    for name in ("server.key", "server.crt"):
        (folder / name).chmod(0o600)
        if os.geteuid() == 0:
            os.chown(folder / name, pwd.getpwnam("nobody").pw_uid, -1)
    return folder / "ca.crt"


def test_postgresql_is_who_it_should_be(tmp_path, postgres, make):
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    ca = certify(folder)
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    postgres.stop()
    postgres.start("-c", "ssl=on", "-c", f"ssl_cert_file={folder / 'server.crt'}", "-c", f"ssl_key_file={folder / 'server.key'}")
    place = f"host=localhost port={postgres.port} dbname=postgres user=goniec sslmode=verify-full sslrootcert="
    a, b = make([(ANNA, "secret")], place + str(ca)), make(place=place + str(ca))
    wait_for("Anna on the other machine", lambda: may_log_in(b, ANNA))
    a.run("account", "add", BOB, "--password-stdin", stdin="secret\n")
    wait_for("Bob on the other machine", lambda: may_log_in(b, BOB))
    stranger = make(place=place + str(certify(other)))
    assert "certificate verify failed" in stranger.wait_event("accounts-alone")[0]["why"]
    alone = make(place=place + "/nowhere/ca.crt")
    assert "/nowhere/ca.crt cannot be read" in alone.wait_event("accounts-alone")[0]["why"]
