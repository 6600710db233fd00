"""The account of tests/crash/rounds.py over a few rounds; and that it would see what it looks for."""
import hashlib

import pytest

from ledger import SENDERS, Ledger
from rounds import play

LOG_TIME = "2026-11-23T12:00:01.000Z"
AT = 1795435200.0  # a second before


def test_nothing_is_lost_in_some_rounds(tmp_path):
    counts = play(8, 1, tmp_path)
    assert counts["rounds"] == 8 and counts["lost"] == 0 and counts["accepted"] > 50


def message(number, recipients, body=b"text\r\n", told=b"text\r\n"):
    to = "".join(f"X-Sink-To: <{recipient}>\r\n" for recipient in recipients)
    return (f"X-Sink-From: <s{number}@{SENDERS}>\r\n{to}Received: from x\r\n\tby y with ESMTP id 0N8YM68MG2000\r\n\tfor z;\r\n"
            f"X-Number: {number}\r\nX-Sum: {hashlib.md5(told).hexdigest()}\r\n\r\n").encode() + body


def report(number, recipient, name="<1@y>"):
    return (f"X-Sink-From: <>\r\nX-Sink-To: <s{number}@{SENDERS}>\r\nMessage-ID: {name}\r\n\r\n"
            f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\n").encode()


OK, GONE = "ok.1.0@take.example", "gone.1.1@take.example"
LOST_LEASE = {"event": "lease-lost", "id": "0N8YM68MG2000", "time": LOG_TIME}


@pytest.mark.parametrize("arrivals,events,fault", [
    ([message(1, [OK]), report(1, GONE)], [], None),
    ([message(1, [OK])], [], "is lost"),
    ([report(1, GONE)], [], "is lost"),
    ([message(1, [OK]), message(1, [OK]), report(1, GONE)], [], "came twice"),
    ([message(1, [OK]), message(1, [OK]), report(1, GONE)], [LOST_LEASE], None),
    ([message(1, [OK]), message(1, [OK]), report(1, GONE)], [{**LOST_LEASE, "id": "0N8YM68MG2001"}], "came twice"),
    ([message(1, [OK]), message(1, [OK]), report(1, GONE)], [{"event": "leases-forgotten", "time": LOG_TIME}], None),
    ([message(1, [OK]), report(1, GONE), report(1, GONE, "<2@y>")], [], "a second report"),
    ([message(1, [OK]), report(1, GONE), report(1, GONE, "<2@y.goniec@z>")], [{**LOST_LEASE, "event": "report-found", "id": "2@y"}], None),
    ([message(1, [OK]), report(1, OK), report(1, GONE)], [], "delivered and bounced"),
    ([message(1, [OK, GONE]), report(1, GONE)], [], "its server refuses it"),
    ([message(1, [OK], body=b"other\r\n"), report(1, GONE)], [], "another body"),
    ([message(1, [OK, "ok.2.0@take.example"]), report(1, GONE)], [], "not sent"),
    ([message(2, [OK]), message(1, [OK]), report(1, GONE)], [], "nobody has sent it"),
])
def test_the_account_sees(arrivals, events, fault):
    ledger = Ledger()
    ledger.open(1, [OK, GONE])
    ledger.accept(1, [OK, GONE], "Ok: queued as 0N8YM68MG2000")
    for i, raw in enumerate(arrivals):
        ledger.take(raw, AT + 2 * i)
    ledger.settle(events)
    assert any(fault in found for found in ledger.faults) if fault else not ledger.faults, ledger.faults


@pytest.mark.parametrize("began,faults", [(AT, 0), (AT + 2.5, 1)])
def test_what_was_lost_while_a_slow_server_took_it_explains_it(began, faults):
    ledger = Ledger()
    ledger.open(1, [OK])
    ledger.accept(1, [OK], "Ok: queued as 0N8YM68MG2000")
    ledger.take(b"X-Sink-Began: %d\r\n" % (began * 1000) + message(1, [OK]), AT + 3)
    ledger.take(message(1, [OK]), AT + 9)
    ledger.settle([LOST_LEASE])
    assert len(ledger.faults) == faults


def test_refused_and_arrived_wants_a_reason():
    for events, faults in (([], 1), ([{**LOST_LEASE, "event": "stored-without-queue"}], 0)):
        ledger = Ledger()
        ledger.open(1, [OK])
        ledger.refuse(1)
        ledger.take(message(1, [OK]), AT)
        ledger.settle(events)
        assert len(ledger.faults) == faults
