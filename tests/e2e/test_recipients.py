"""One message to many recipients in many domains: each of them ends once, whatever the others do."""
import collections
import email
import re
import smtplib

import pytest

from dns import Nsd
from house import House, Sink, wait_for

DOMAINS, EACH = 50, 10
# Every third domain has its mail at one of five hosters, the others have servers of their own: all at one address.
RECORDS = "mx A 127.0.0.1\n" + "".join(f"shared{h} A 127.0.0.1\n" for h in range(5)) + "".join(
    f"d{d} MX 10 {f'shared{d % 5}' if d % 3 == 0 else f'own.d{d}'}\n" + ("" if d % 3 == 0 else f"own.d{d} A 127.0.0.1\n")
    for d in range(DOMAINS))


def address(d, r):
    kind = "refused" if (3 * d + r) % 25 == 0 else "late" if (3 * d + r) % 25 == 1 else "user"
    return f"{kind}{r}@d{d}.many.test"


EVERYBODY = [address(d, r) for r in range(EACH) for d in range(DOMAINS)]


def failed(report):
    """Recipients that a delivery report calls failed."""
    parts = [part for part in email.message_from_bytes(report).walk() if part.get_content_type() == "message/delivery-status"]
    assert len(parts) == 1
    return [re.sub(r"^rfc822; ?", "", group["Final-Recipient"]) for group in parts[0].get_payload() if group["Action"] == "failed"]


@pytest.fixture
def world(tmp_path):
    there = Sink(tmp_path, "--refuse", "rcpt=550:refused*@*", "--defer", "rcpt:50%:late*@*", name="there")
    home = Sink(tmp_path, name="home")
    dns = Nsd(tmp_path, {"many.test": RECORDS})
    house = House(tmp_path / "house", {
        "dns": {"resolvers": [f"127.0.0.1:{dns.port}"]},
        "delivery": {"port": there.port},
        "routes": [{"domain": "example.org", "via": f"smtp://127.0.0.1:{home.port}"}],
    }, accounts=())
    with house:
        yield house, there, home
    for process in (there, home, dns):
        process.stop()


def test_every_recipient_has_one_end(world):
    house, there, home = world
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.sendmail("x@example.org", EVERYBODY, "From: x@example.org\r\nSubject: many\r\n\r\nbody\r\n")
    house.wait_empty()

    got = collections.Counter(re.findall(rb"^X-Sink-To: <([^>]*)>", b"\n".join(there.messages()), re.M))
    assert got == collections.Counter(to.encode() for to in EVERYBODY if not to.startswith("refused"))
    assert len(house.events("accepted", recipients=len(EVERYBODY))) == 1  # stored once
    reports = wait_for("the report", home.messages)
    assert len(reports) == 1
    assert sorted(failed(reports[0])) == sorted(to for to in EVERYBODY if to.startswith("refused"))

    # In one transaction as many as may go: at first each domain's, which come one by one; those put off, again.
    assert len(there.messages()) <= DOMAINS + 5 * len([to for to in EVERYBODY if to.startswith("late")])
    tried = collections.Counter(event["recipient"] for name in ("delivered", "deferred", "failed") for event in house.events(name)
                                if "recipient" in event)
    assert all(tried[to] == 1 for to in EVERYBODY if not to.startswith("late"))  # only those put off were tried again
