"""Two servers that count their limits together, through a real Redis: what holds for both, and what happens when one part is away."""
import os
import shutil
import signal
import smtplib
import ssl
import subprocess

import pytest

from house import House, Process, can_connect, free_port, wait_for

ANNA, BOB = "anna@example.org", "bob@example.org"
pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server")


class Redis:
    """A Redis of the test's own, that keeps nothing on disk."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None
        self.socket = folder / "redis.sock"
        self.url = f"redis://:s%65cret@127.0.0.1:{self.port}/3"

    def start(self):
        self.process = Process("redis", ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "secret",
                                         "--unixsocket", str(self.socket), "--dir", str(self.folder)], self.folder)
        wait_for("redis' port", lambda: can_connect(self.port) or not self.process.alive())
        assert self.process.alive(), self.process.text()
        return self

    def say(self, *words):
        return subprocess.run(["redis-cli", "--no-auth-warning", "-a", "secret", "-n", "3", "-p", str(self.port), *words], capture_output=True, text=True,
                              check=True).stdout.strip()

    def exchanges(self):
        """How often somebody asked for news."""
        for line in self.say("INFO", "commandstats").splitlines():
            if line.startswith("cmdstat_xread:calls="):
                return int(line.split("=")[1].split(",")[0])
        return 0

    def wait_exchanges(self, machines=2):
        """Until everything that is counted now is known to all: each told, and then each asked."""
        seen = self.exchanges() + 4 * machines
        wait_for("the machines' exchanges", lambda: self.exchanges() >= seen)


@pytest.fixture
def redis(tmp_path):
    redis = Redis(tmp_path).start()
    yield redis
    redis.process.kill()


@pytest.fixture
def make(tmp_path, redis, sink):
    """A machine with these limits."""
    houses = []

    def build(*limits, url=None, machine=None, **changes):
        machine = machine or "ab"[len(houses)]
        settings = {"accounts": {"limits": list(limits), "limit-notices": "none"},
                    "share": {"redis": url or redis.url, "machine": machine, "every": "100ms"}, **changes}
        house = House(tmp_path / f"house{len(houses)}", settings, accounts=((ANNA, "secret"), (BOB, "secret")))
        house.route_all_to(sink.port)
        houses.append(house)
        return house.start()
    yield build
    for house in houses:
        house.stop()


def login(house, who=ANNA):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = smtplib.SMTP_SSL("127.0.0.1", house.ports["submissions"], context=context, timeout=30)
    client.login(who, "secret")
    return client


def send(house, n, who=ANNA):
    """Tries to send a message to `n` recipients; how many were accepted, and the last answer."""
    with login(house, who) as client:
        assert client.mail(who)[0] == 250
        answers = [client.rcpt(f"r{i}@example.net") for i in range(n)]
        accepted = sum(code == 250 for code, _ in answers)
        assert {code for code, _ in answers} <= {250, 450}, answers
        if accepted:
            assert client.data(f"From: {who}\r\nSubject: x\r\n\r\nx\r\n")[0] == 250
        return accepted, answers[-1][1].decode()


def test_a_limit_holds_for_all_machines_together(make, redis):
    a, b = make("recipients 40/1h each sender"), make("recipients 40/1h each sender")
    for house in (a, b):
        house.wait_event("share-joined")
    passed = 0
    for _ in range(20):
        now = send(a, 4)[0] + send(b, 4)[0] # what passes between two exchanges
        passed += now
        redis.wait_exchanges()
        if now == 0:
            break
    # Over-shoot: what the other machine let pass before it knew.
    assert 40 <= passed <= 40 + 4
    accepted, text = send(b, 1)
    assert accepted == 0 and "limit of 40 recipients per hour for anna@example.org reached" in text, text
    assert send(b, 3, BOB)[0] == 3 # his own


def test_one_machine_knows_of_what_another_has_used_up(make, redis):
    a = make("recipients 5/1h each sender", "recipients 7/1d each domain")
    assert send(a, 9)[0] == 5
    redis.wait_exchanges(machines=1)
    b = make("recipients 5/1h each sender", "recipients 7/1d each domain") # begins later: reads what was told before
    b.wait_event("share-joined")
    redis.wait_exchanges()
    accepted, text = send(b, 1)
    assert accepted == 0 and "(5 in the last 60 min)" in text, text


def test_redis_is_killed_and_comes_back(make, redis):
    a, b = make("recipients 10/1h each sender"), make("recipients 10/1h each sender")
    assert send(a, 4)[0] == 4
    redis.wait_exchanges()
    redis.process.kill()
    for house in (a, b):
        house.wait_event("share-away")
    assert send(a, 3)[0] == 3 # counted here alone
    assert send(b, 1)[0] == 1 # it still knows of the first four
    redis.start() # and knows nothing any more
    for house in (a, b):
        house.wait_event("share-back")
    redis.wait_exchanges()
    assert send(b, 9)[0] == 2 # 4 + 3 + 1, none twice
    redis.wait_exchanges()
    assert send(a, 1)[0] == 0
    assert len(a.events("share-away")) == 1 and len(b.events("share-away")) == 1


@pytest.mark.parametrize("role", ["directory", "share"])
def test_a_killed_process_counts_nothing_twice(make, redis, role):
    a, b = make("recipients 10/1h each sender"), make("recipients 10/1h each sender")
    assert send(a, 4)[0] == 4
    redis.wait_exchanges()
    wait_for("the counters on disk", lambda: any(place.stat().st_size for place in (a.folder / "state/accounts").glob("*-counts-*")))
    joined = len(a.events("share-joined"))
    [old] = a.pids(role)
    os.kill(old, signal.SIGKILL)
    wait_for("another process", lambda: a.pids(role) not in ([], [old]))
    a.wait_event("share-joined", joined + 1)
    redis.wait_exchanges()
    assert send(b, 9)[0] == 6
    redis.wait_exchanges()
    assert send(a, 1)[0] == 0


def test_a_stopped_redis_delays_nobody(make, redis):
    a = make("recipients 10/1h each sender")
    a.wait_event("share-joined")
    redis.process.process.send_signal(signal.SIGSTOP)
    try:
        a.wait_event("share-away")
        assert send(a, 2)[0] == 2
    finally:
        redis.process.process.send_signal(signal.SIGCONT)
    a.wait_event("share-back")


def test_two_machines_of_one_name_are_told_of(make):
    a, b = make("recipients 10/1h each sender", machine="mx"), make("recipients 10/1h each sender", machine="mx")
    b.wait_event("share-joined")
    send(a, 1)
    b.wait_event("share-name-taken")


def test_a_wrong_password_is_told_and_mail_goes_on(make, redis):
    a = make("recipients 10/1h each sender", url=redis.url.replace("s%65cret", "other"))
    [event] = a.wait_event("share-away")
    assert "WRONGPASS" in event["why"], event
    assert send(a, 1)[0] == 1
    assert ":other@" not in a.run("settings").stdout


def test_the_password_may_be_left_out_behind_a_socket(make, tmp_path, redis):
    redis.say("CONFIG", "SET", "requirepass", "")
    a = make("recipients 10/1h each sender", url=f"unix:{redis.socket}")
    a.wait_event("share-joined")
    assert send(a, 1)[0] == 1
    wait_for("what it told", lambda: "goniec:limits:a" in subprocess.run(["redis-cli", "-p", str(redis.port), "KEYS", "*"], capture_output=True,
                                                                      text=True).stdout)


@pytest.mark.parametrize("url", ["redis://", "redis://host:0", "http://host", "unix:redis.sock", "redis://secret@host", "redis://host/x"])
def test_what_is_no_place_is_refused_with_the_settings(tmp_path, url):
    house = House(tmp_path / "house", {"share": {"redis": url}}, accounts=())
    done = house.run("check", check=False)
    assert done.returncode != 0 and "redis" in done.stdout + done.stderr
