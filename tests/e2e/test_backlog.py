"""Queue and directory tell each other: mail of suspended senders stays, is not lost, and goes on."""
import os
import signal
import smtplib
import ssl
import subprocess

import pytest

from house import House, binary, free_port, wait_for

ANNA, BOB = "anna@example.org", "bob@example.org"
MESSAGE = "From: {0}\r\nTo: y@example.net\r\nSubject: from {0}\r\n\r\nbody\r\n"


def send(house, sender, count=1):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP_SSL("127.0.0.1", house.ports["submissions"], context=context, timeout=30) as client:
        client.login(sender, "secret")
        for _ in range(count):
            client.sendmail(sender, ["y@example.net"], MESSAGE.format(sender))


def states(house):
    found = {}
    for message in house.json("queue", "list"):
        for recipient in message["recipients"]:
            found.setdefault(message["account"], []).append(recipient["state"])
    return found


def all_stay(house, count):
    return states(house).get(ANNA) == ["suspended"] * count


@pytest.fixture
def house(tmp_path):
    """Whose mail cannot go yet: nobody listens where it goes."""
    house = House(tmp_path / "house", accounts=((ANNA, "secret"), (BOB, "secret")))
    house.route_all_to(free_port())
    house.run("account", "add", "web@shop.example", "--generate")
    with house:
        yield house


def open_the_way(house, sink):
    house.route_all_to(sink.port)
    house.run("reload")


@pytest.mark.parametrize("node", [("account", ANNA), ("domain", "example.org"), ("customer", "default")])
def test_queued_mail_stays_and_goes_on(house, sink, node):
    send(house, ANNA, 3)
    said = house.run(node[0], "suspend", node[1], "--reason", "unpaid bill").stdout
    assert "stays" in said
    wait_for("Anna's mail to stay", lambda: all_stay(house, 3))
    [message, *_] = house.json("queue", "list", "--state", "suspended")
    assert "suspended: unpaid bill" in message["recipients"][0]["why"]
    open_the_way(house, sink)
    house.run("queue", "retry", "--all", check=False)
    assert all_stay(house, 3) and sink.count() == 0
    house.run(node[0], "resume", node[1])
    sink.wait_messages(3)
    house.wait_empty()


def test_others_go_on(house, sink):
    send(house, ANNA, 2)
    house.run("account", "suspend", ANNA)
    wait_for("Anna's mail to stay", lambda: all_stay(house, 2))
    send(house, BOB)
    open_the_way(house, sink)
    [one] = sink.wait_messages(1)
    assert b"Subject: from bob" in one
    assert all_stay(house, 2)
    deleted = [message["id"] for message in house.json("queue", "list", "--state", "suspended")]
    house.run("queue", "delete", deleted[0], "--why", "rubbish")
    assert all_stay(house, 1)
    house.run("account", "resume", ANNA)
    sink.wait_messages(2)
    house.wait_empty()


@pytest.mark.parametrize("role", ["queue", "directory"])
def test_whoever_dies_is_told_again(house, sink, role):
    send(house, ANNA, 2)
    house.run("account", "suspend", ANNA)
    wait_for("Anna's mail to stay", lambda: all_stay(house, 2))
    [pid] = house.pids(role)
    open_the_way(house, sink)
    os.kill(pid, signal.SIGKILL)
    house.wait_event("child-ended", child=role)
    wait_for("another one", lambda: house.pids(role) not in ([], [pid]))
    send(house, BOB)  # as soon as his has gone, hers could have gone
    sink.wait_messages(1)
    wait_for("Anna's mail to stay", lambda: all_stay(house, 2))
    assert sink.count() == 1
    house.run("account", "resume", ANNA)
    sink.wait_messages(3)
    house.wait_empty()


def test_a_restart_in_order(house, sink):
    send(house, ANNA, 2)
    house.run("account", "suspend", ANNA)
    wait_for("Anna's mail to stay", lambda: all_stay(house, 2))
    house.stop()
    house.route_all_to(sink.port)
    house.start()
    wait_for("Anna's mail to stay", lambda: all_stay(house, 2))
    send(house, BOB)
    sink.wait_messages(1)
    assert all_stay(house, 2) and sink.count() == 1
    house.run("account", "resume", ANNA)
    sink.wait_messages(3)
    house.wait_empty()


def test_sender_show(house):
    send(house, ANNA, 2)
    house.run("domain", "suspend", "example.org", "--reason", "unpaid bill")
    house.run("account", "set", ANNA, "limit=queued 5000")
    house.run("customer", "set", "default", "limit=messages 9000/1d")
    house.run("account", "credential", "add", ANNA, "phone", "--expires", "2035-01-31")
    wait_for("Anna's mail to stay", lambda: all_stay(house, 2))
    shown = house.json("sender", "show", ANNA)
    assert [credential["name"] for credential in shown["account"]["credentials"]] == ["password", "phone"]
    assert shown["waiting"]["messages"] == 2 and shown["waiting"]["octets"] > 200
    [where] = shown["suspended"]
    assert (where["kind"], where["name"], where["reason"]) == ("domain", "example.org", "unpaid bill") and where["by"]
    assert [(limit["name"], limit["limit"]) for limit in shown["limits"]] == [(ANNA, "queued 5000"), ("default", "messages 9000/1d")]
    text = house.run("sender", "show", ANNA).stdout
    assert "suspended: domain example.org since" in text and "waiting:  2 messages" in text and "they stay" in text
    assert house.run("sender", "show", "nobody@example.org", check=False).returncode == 1


def test_sender_show_without_a_server(house):
    house.stop()
    shown = house.json("sender", "show", BOB)
    assert shown["waiting"] is None and shown["suspended"] == [] and shown["account"]["login"] == BOB


def test_top(house):
    send(house, ANNA, 2)
    send(house, BOB)
    house.run("account", "suspend", ANNA, "--reason", "why")
    wait_for("Anna's mail to stay", lambda: all_stay(house, 2))
    shown = house.json("top")
    assert shown["queue"]["messages"] == 3 and set(shown["rates"]) == {"accepted", "delivered", "deferred", "failed"}
    assert [(sender["account"], sender["messages"]) for sender in shown["senders"]] == [(ANNA, 2), (BOB, 1)]
    assert "suspended: why" in shown["senders"][0]["why"]
    lines = house.run("top", "--once").stdout.splitlines()
    assert "3 messages, 3 recipients" in lines[0] and "2 suspended" in lines[0]
    assert any(line.startswith(ANNA) and line.endswith("suspended") for line in lines)
    house.stop()
    assert house.run("top", "--once", check=False).returncode == 1


def test_top_goes_on_until_it_is_ended(house):
    program = subprocess.Popen([binary(), "top", "--config", str(house.config)], stdout=subprocess.PIPE, text=True)
    try:
        heads = (line for line in program.stdout if "recipients a second" in line)
        assert next(heads) and next(heads)
    finally:
        program.kill()
        program.communicate()
