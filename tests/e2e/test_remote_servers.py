"""Whatever a remote server answers or does not answer, each recipient ends in the right state."""
import smtplib

import pytest

from house import House, wait_for
from scripted import DROP, GARBAGE, STALL, Remote

MESSAGE = "From: x@example.org\r\nTo: y@example.net\r\nSubject: test\r\n\r\nbody\r\n"

SHORT = {"delivery": {step: "2s" for step in ("connect", "greeting", "ehlo", "mail", "rcpt", "data", "block", "end-of-data",
                                               "rset")}}


@pytest.fixture
def play(tmp_path):
    """Starts a house whose only route is the scripted server; ends both."""
    opened = []

    def start(answers, settings=None, recipients=("y@example.net",), message=MESSAGE, **options):
        remote = Remote(answers)
        house = House(tmp_path / "house", SHORT, accounts=())
        house.change(settings or {})
        house.route_all_to(remote.port)
        opened.append((house.start(), remote))
        with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
            client.sendmail("x@example.org", list(recipients), message, **options)
        return house, remote

    yield start
    for house, remote in opened:
        house.stop()
        remote.check()
        remote.close()


def test_good(play):
    house, remote = play(lambda number: {})
    wait_for("the message", lambda: remote.received)
    house.wait_event("delivered")
    house.wait_empty()


# Whether a step's answer is a failure for good. A bounce goes to x@example.org, by the same route.
FAILED, LATER = "failed", "deferred"
CASES = [
    ("greeting", "554 5.7.1 not you", LATER), ("greeting", "421 4.3.2 busy", LATER), ("greeting", DROP, LATER),
    ("greeting", GARBAGE, LATER), ("greeting", STALL, LATER),
    ("ehlo", "421 4.3.2 busy", LATER), ("ehlo", DROP, LATER), ("ehlo", STALL, LATER), ("ehlo", GARBAGE, LATER),
    ("mail", "550 5.7.1 no", FAILED), ("mail", "451 4.3.0 later", LATER), ("mail", "421 4.3.2 busy", LATER),
    ("mail", DROP, LATER), ("mail", STALL, LATER), ("mail", GARBAGE, LATER),
    ("rcpt", "550 5.1.1 no such user", FAILED), ("rcpt", "450 4.2.1 busy", LATER), ("rcpt", "421 4.3.2 bye", LATER),
    ("rcpt", DROP, LATER), ("rcpt", STALL, LATER), ("rcpt", GARBAGE, LATER), ("rcpt", "252 2.0.0 cannot verify", None),
    ("data", "554 5.6.0 no", FAILED), ("data", "451 4.3.0 later", LATER), ("data", DROP, LATER), ("data", STALL, LATER),
    ("data", "250 ok", LATER),
    ("body", DROP, LATER),
    ("dot", "554 5.7.1 spam", FAILED), ("dot", "451 4.3.0 later", LATER), ("dot", DROP, LATER), ("dot", STALL, LATER),
    ("dot", GARBAGE, LATER),
    ("quit", DROP, None), ("quit", STALL, None), ("quit", "500 what", None),
]


def once(answer):
    """That answer the first time, the usual one afterwards."""
    left = [answer]
    return lambda line: left.pop() if left else None


@pytest.mark.parametrize("step,answer,outcome", CASES, ids=[f"{s}-{a.split()[0].strip('<>')}" for s, a, _ in CASES])
def test_one_bad_step(play, step, answer, outcome):
    """One step goes wrong once: deferred mail arrives exactly once, refused mail comes back."""
    bad = answer if step == "body" else once(answer)
    house, remote = play(lambda number: {step: bad} if step != "body" or number < 1 else {})
    if outcome == FAILED:
        event = house.wait_event("failed")[0]
        assert event["recipient"] == "y@example.net"
        wait_for("the bounce", lambda: remote.received)
        sender, recipients, octets = remote.received[0]
        assert b"<>" in sender and recipients == ["x@example.org"]
        assert answer.split(" ", 2)[2].encode() in octets  # the server's own words
    else:
        wait_for("the message", lambda: remote.received)
        if outcome == LATER:
            assert house.events("deferred")
    house.wait_empty()
    wanted = ["x@example.org"] if outcome == FAILED else ["y@example.net"]
    assert [recipients for _, recipients, _ in remote.received] == [wanted]


def test_recipients_fare_differently(play):
    def rcpt(line):
        if b"bad" in line:
            return "550 5.1.1 no such user"
        return "450 4.2.2 full" if b"slow" in line and not seen.setdefault(line, False) else "250 ok"

    seen = {}

    def rcpt_once(line):
        answer = rcpt(line)
        seen[line] = True
        return answer

    house, remote = play(lambda number: {"rcpt": rcpt_once},
                         recipients=["good1@example.net", "bad@example.net", "slow@example.net", "good2@example.net"])
    house.wait_empty()
    to = sorted(recipient for _, recipients, _ in remote.received for recipient in recipients)
    assert to == ["good1@example.net", "good2@example.net", "slow@example.net", "x@example.org"]


def test_endless_reply_ends(play):
    house, remote = play(lambda number: {"ehlo": "\r\n".join(["250-x" + "y" * 500] * 3000)} if number < 1 else {})
    wait_for("the message", lambda: remote.received)
    assert house.events("deferred")


def test_without_pipelining_and_enhanced_codes(play):
    house, remote = play(lambda number: {"ehlo": "250 remote", "rcpt": "250 ok", "dot": "250 thanks"})
    wait_for("the message", lambda: remote.received)
    house.wait_empty()


def test_helo_only(play):
    house, remote = play(lambda number: {"ehlo": "502 what"})
    wait_for("the message", lambda: remote.received)
    house.wait_empty()


def test_too_large_is_bounced_before_sending(play):
    message = MESSAGE + "x" * 70 * 1000 + "\r\n"
    house, remote = play(lambda number: {"ehlo": "250-remote\r\n250 SIZE 20000"}, settings={"dsn": {"return-size": "1KiB"}},
                         message=message)
    wait_for("the bounce", lambda: remote.received)
    house.wait_empty()
    assert [recipients for _, recipients, _ in remote.received] == [["x@example.org"]]
    assert b"5.3.4" in remote.received[0][2]


def test_connection_is_reused(play):
    house, remote = play(lambda number: {})
    wait_for("the first", lambda: remote.received)
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        for _ in range(20):
            client.sendmail("x@example.org", ["y@example.net"], MESSAGE)
    wait_for("all", lambda: len(remote.received) == 21)
    house.wait_empty()
    assert remote.connections < 21


def test_dots_survive(play):
    body = "".join(f"{'.' * n}line {n}\r\n" for n in range(5)) + ".\r\n..\r\nend\r\n"
    house, remote = play(lambda number: {}, message=MESSAGE + body)
    wait_for("the message", lambda: remote.received)
    wire = remote.received[0][2]
    unstuffed = b"".join(line[1:] if line.startswith(b".") else line for line in wire.splitlines(keepends=True))
    assert unstuffed.endswith(body.encode())
