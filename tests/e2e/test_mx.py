"""Every shape of MX records, asked of a real authoritative server."""
import smtplib

import pytest

from dns import Nsd
from house import House, wait_for
from scripted import Remote

MESSAGE = "From: x@example.org\r\nSubject: test\r\n\r\nbody\r\n"

ZONES = {"domains.test": """
one     MX 10 mx1.domains.test.
two     MX 10 dead.domains.test.
two     MX 20 mx1.domains.test.
noa     MX 10 nohost.domains.test.
plain   A 127.0.0.1
null    MX 0 .
loop    MX 10 mail.example.test.
loop2   MX 10 dead.domains.test.
loop2   MX 20 mail.example.test.
loop2   MX 30 mx1.domains.test.
many    MX 10 multi.domains.test.
alias   CNAME one.domains.test.
empty   TXT "no address and no MX"
mx1     A 127.0.0.1
dead    A 127.0.0.66
multi   A 127.0.0.66
multi   A 127.0.0.67
multi   A 127.0.0.1
""", "example.test": "mail A 127.0.0.1\nns A 127.0.0.1\n"}


@pytest.fixture
def world(tmp_path):
    remote, dns = Remote(), Nsd(tmp_path, ZONES)
    house = House(tmp_path / "house", {
        "hostname": "mail.example.test",
        "dns": {"resolvers": [f"127.0.0.1:{dns.port}"]},
        "delivery": {"port": remote.port, "connect": "2s"},
        "routes": [{"domain": "example.org", "via": f"smtp://127.0.0.1:{remote.port}"}],
    }, accounts=())
    with house:
        yield house, remote
    remote.check()
    dns.stop()


def send(house, *recipients):
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.sendmail("x@example.org", list(recipients), MESSAGE)


@pytest.mark.parametrize("domain", ["one", "two", "plain", "many", "alias"])
def test_arrives(world, domain):
    house, remote = world
    send(house, f"y@{domain}.domains.test")
    wait_for("the message", lambda: remote.received)
    assert remote.received[0][1] == [f"y@{domain}.domains.test"]
    house.wait_empty()


@pytest.mark.parametrize("domain,code", [("null", "5.1.10"), ("missing", "5.1.2"), ("loop", "5.4.6"), ("empty", "5.1.2"),
                                         ("loop2", None)])
def test_bounces_at_once(world, domain, code):
    house, remote = world
    send(house, f"y@{domain}.domains.test")
    if domain == "loop2":  # hosts from ourselves on are never tried; the one before is dead: wait
        house.wait_event("deferred")
        return
    wait_for("the bounce", lambda: remote.received)
    assert remote.received[0][1] == ["x@example.org"]
    assert code.encode() in remote.received[0][2]
    house.wait_empty()


def test_dns_cannot_send_us_to_ourselves(world):
    """With the default setting no MX record leads to the loopback."""
    house, remote = world
    del house.settings["delivery"]["refuse-networks"]
    house.write_settings()
    house.run("reload")
    send(house, "y@one.domains.test", "z@[127.0.0.1]")
    house.wait_event("failed", count=2)
    wait_for("the bounce", lambda: remote.received)
    assert b"no mail is sent" in remote.received[0][2] and remote.received[0][1] == ["x@example.org"]
    house.wait_empty()


def test_domains_of_one_site_share_a_transaction(world):
    house, remote = world
    send(house, "a@one.domains.test", "b@alias.domains.test", "c@one.domains.test")
    wait_for("all", lambda: sum(len(r) for _, r, _ in remote.received) == 3)
    house.wait_empty()


def test_resolver_away_waits(tmp_path):
    house = House(tmp_path / "house", {"dns": {"resolvers": ["127.0.0.1:9"]}}, accounts=())
    with house:
        send(house, "y@one.domains.test")
        house.wait_event("deferred", deadline_s=60)
