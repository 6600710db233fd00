"""What the sender is told, read by a parser that we did not write (RFC 3461, 3464, 6522)."""
import email
import email.policy
import smtplib

import pytest

from house import House, wait_for
from scripted import Remote

MESSAGE = "From: x@example.org\r\nTo: y@example.net\r\nSubject: the original\r\nMessage-ID: <m1@example.org>\r\n\r\nits body\r\n"


@pytest.fixture
def world(tmp_path):
    def rcpt(line):
        return "550 5.1.1 <y@example.net>: no such user here" if b"bad" in line else "250 ok"

    remote = Remote(lambda number: {"rcpt": rcpt})
    house = House(tmp_path / "house", {"dsn": {"return-size": "20KiB"}}, accounts=())
    house.route_all_to(remote.port)
    with house:
        yield house, remote
    remote.check()
    remote.close()


def send(house, recipients, message=MESSAGE, mail_options=(), sender="x@example.org"):
    """`recipients`: (address, [options])."""
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.ehlo()
        assert client.mail(sender, list(mail_options))[0] == 250
        for address, options in recipients:
            assert client.rcpt(address, list(options))[0] == 250
        assert client.data(message)[0] == 250


def reports(remote, count=1):
    wait_for(f"{count} reports", lambda: sum(b"<>" in s for s, _, _ in remote.received) >= count)
    return [(to, email.message_from_bytes(octets, policy=email.policy.default))
            for sender, to, octets in remote.received if b"<>" in sender]


def fields(report):
    """The per-message and per-recipient blocks of a report."""
    (status,) = [part for part in report.iter_parts() if part.get_content_type() == "message/delivery-status"]
    return status.get_payload()


def test_failure(world):
    house, remote = world
    send(house, [("bad@example.net", ["ORCPT=rfc822;bad+2Bold@example.net"])], mail_options=["ENVID=QQ314159"])
    ((to, report),) = reports(remote)
    assert to == ["x@example.org"]
    assert report.get_content_type() == "multipart/report" and report.get_param("report-type") == "delivery-status"
    assert report["Auto-Submitted"].startswith("auto-") and report["From"] and report["Date"] and report["Message-ID"]
    assert report["To"].addresses[0].addr_spec == "x@example.org"
    text, _, original = list(report.iter_parts())
    words = text.get_content()
    assert "bad@example.net" in words and "no such user here" in words
    message, recipient = fields(report)
    assert message["Reporting-MTA"] == "dns; mail.example.org" and message["Original-Envelope-Id"] == "QQ314159"
    assert recipient["Final-Recipient"].replace(" ", "") == "rfc822;bad@example.net"
    assert recipient["Original-Recipient"].replace(" ", "") == "rfc822;bad+old@example.net"
    assert recipient["Action"] == "failed" and recipient["Status"] == "5.1.1"
    assert "550 5.1.1" in recipient["Diagnostic-Code"] and recipient["Remote-MTA"].startswith("dns;")
    assert "the original" in original.as_string() and "its body" in original.as_string()


@pytest.mark.parametrize("options,ret,whole", [(["RET=HDRS"], "", False), (["RET=FULL"], "", True), ([], "x" * 30000, False)],
                         ids=["headers", "full", "too-large"])
def test_how_much_comes_back(world, options, ret, whole):
    house, remote = world
    send(house, [("bad@example.net", [])], MESSAGE + "".join(f"{ret[i:i + 70]}\r\n" for i in range(0, len(ret), 70)), options)
    ((_, report),) = reports(remote)
    original = list(report.iter_parts())[2]
    assert original.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert ("its body" in original.as_string()) == whole


def test_notify_never_is_silent(world):
    house, remote = world
    send(house, [("bad@example.net", ["NOTIFY=NEVER"])])
    house.wait_event("failed")
    house.wait_empty()
    assert not remote.received


def test_success_on_request(world):
    house, remote = world
    send(house, [("good@example.net", ["NOTIFY=SUCCESS,FAILURE"]), ("quiet@example.net", [])])
    ((_, report),) = reports(remote)
    recipients = fields(report)[1:]
    assert len(recipients) == 1 and "good@example.net" in recipients[0]["Final-Recipient"]
    assert recipients[0]["Action"] == "relayed" and recipients[0]["Status"].startswith("2.")


def test_one_report_for_two_failures(world):
    house, remote = world
    send(house, [("bad1@example.net", []), ("bad2@example.net", []), ("good@example.net", [])])
    ((_, report),) = reports(remote)
    assert len(fields(report)) == 3
    house.wait_empty()


def test_no_bounce_of_a_bounce(world):
    house, remote = world
    send(house, [("bad@example.net", [])], sender="")
    house.wait_event("failed")
    house.wait_empty()
    assert not remote.received


def test_sender_that_cannot_be_reached(world):
    """The bounce bounces: it ends there."""
    house, remote = world
    send(house, [("bad@example.net", [])], sender="bad-too@example.org")
    house.wait_event("failed", count=2)
    house.wait_empty()
    assert not remote.received


def test_hostile_words_cannot_forge_a_report(tmp_path):
    evil = "550-5.1.1 one\r\n550-Content-Type: text/html\r\n550-\x1b[31m\x07--boundary\r\n550 5.1.1 \xff\xfe end"
    remote = Remote(lambda number: {"rcpt": lambda line: evil if b"bad" in line else "250 ok"})
    house = House(tmp_path / "house", accounts=())
    house.route_all_to(remote.port)
    with house:
        send(house, [("bad@example.net", [])])
        ((_, report),) = reports(remote)
        assert [part.get_content_type() for part in report.iter_parts()][:2] == ["text/plain", "message/delivery-status"]
        assert b"\x1b" not in remote.received[0][2] and b"\x07" not in remote.received[0][2]
        assert len(fields(report)) == 2
    remote.close()
