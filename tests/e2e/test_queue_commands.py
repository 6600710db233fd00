"""What an operator does with the queue, and what he sees."""
import smtplib

import pytest

from house import House, free_port, wait_for
from scripted import Remote

MESSAGE = "From: {0}\r\nTo: y@example.net\r\nSubject: test\r\n\r\nbody\r\n"


@pytest.fixture
def stuck(tmp_path):
    """A house whose only route leads to a port where nobody listens yet."""
    port = free_port()
    house = House(tmp_path / "house", {"queue": {"first-retry": "5min", "longest-retry": "1h"}})
    house.route_all_to(port)
    house.nobody = port
    with house:
        yield house


def send(house, sender, *recipients):
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.sendmail(sender, list(recipients), MESSAGE.format(sender))


def test_list_filters_and_states(stuck):
    send(stuck, "a@one.example", "x@example.net", "y@example.com")
    send(stuck, "b@two.example", "z@example.net")
    stuck.wait_event("deferred")
    wait_for("three recipients", lambda: sum(len(m["recipients"]) for m in stuck.json("queue", "list")) == 3)
    assert len(stuck.json("queue", "list")) == 2
    assert [m["sender"] for m in stuck.json("queue", "list", "--sender", "b@two.example")] == ["b@two.example"]
    assert len(stuck.json("queue", "list", "--recipient", "y@example.com")) == 1
    assert len(stuck.json("queue", "list", "--domain", "example.net")) == 2
    text = stuck.run("queue", "list").stdout
    assert "a@one.example" in text and "b@two.example" in text
    (message,) = stuck.json("queue", "list", "--sender", "a@one.example")
    shown = stuck.run("queue", "show", message["id"]).stdout
    assert "x@example.net" in shown and "refused" in shown.lower()
    status = stuck.json("status")
    assert status["queue"]["recipients"] == 3


def test_hold_release_retry_delete(stuck):
    send(stuck, "a@one.example", "x@example.net")
    send(stuck, "b@two.example", "z@example.com")
    stuck.wait_event("deferred")
    stuck.run("queue", "hold", "--sender", "b@two.example", "--why", "looks like spam")
    held = wait_for("a held one", lambda: stuck.json("queue", "list", "--state", "held"))
    assert len(held) == 1 and "looks like spam" in stuck.run("queue", "show", held[0]["id"]).stdout
    remote = Remote()
    stuck.run("queue", "reroute", "--sender", "a@one.example", "--via", f"smtp://127.0.0.1:{remote.port}")
    stuck.run("queue", "retry", "--sender", "a@one.example")
    wait_for("the rerouted one", lambda: remote.received)
    stuck.run("queue", "delete", held[0]["id"], "--why", "spam")
    stuck.wait_empty()
    (deleted,) = stuck.wait_event("deleted")
    assert deleted["why"] == "spam"
    assert len(remote.received) == 1
    assert "spam" in stuck.run("trace", held[0]["id"]).stdout
    remote.close()


def test_states_survive_a_restart(stuck):
    send(stuck, "a@one.example", "x@example.net")
    send(stuck, "b@two.example", "z@example.com")
    stuck.wait_event("deferred")
    stuck.run("queue", "hold", "--sender", "b@two.example", "--why", "waiting for the boss")
    stuck.stop()
    stuck.start()
    messages = wait_for("both", lambda: (m := stuck.json("queue", "list")) and len(m) == 2 and m)
    assert sorted(r["state"] for m in messages for r in m["recipients"]) == ["held", "waiting"]
    stuck.run("queue", "release", "--all")
    assert not stuck.json("queue", "list", "--state", "held")


def test_expiry_bounces(tmp_path):
    remote = Remote(lambda number: {"rcpt": lambda line: "450 4.2.1 not now" if b"y@" in line else "250 ok"})
    house = House(tmp_path / "house", {"queue": {"expire": "3s", "delay-notice": "1s"}}, accounts=())
    house.route_all_to(remote.port)
    with house:
        send(house, "x@example.org", "y@example.net")
        wait_for("a delay notice and a bounce", lambda: len(remote.received) >= 2)
        house.wait_empty()
        first, second = (octets for _, recipients, octets in remote.received if recipients)
        assert b"Action: delayed" in first and b"Action: failed" in second
        assert b"not now" in second
    remote.close()


def test_commands_without_a_server_say_so(tmp_path):
    house = House(tmp_path / "house", accounts=())
    done = house.run("queue", "list", check=False)
    assert done.returncode != 0 and "running" in done.stderr
