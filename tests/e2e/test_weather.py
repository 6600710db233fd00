"""Many servers that accept connections and say nothing hold up nobody else's mail."""
import contextlib
import smtplib
import socket

import pytest

from dns import Nsd
from house import House, Sink

SILENT = 300
RECORDS = "mx A 127.0.0.1\nmute A 127.0.0.2\ngood MX 10 mx\nfresh MX 10 mx.fresh\nmx.fresh A 127.0.0.1\n" + "".join(
    f"s{n} MX 10 mx.s{n}\nmx.s{n} A 127.0.0.2\n" for n in range(SILENT))


@pytest.fixture
def world(tmp_path):
    sink = Sink(tmp_path)
    dns = Nsd(tmp_path, {"weather.test": RECORDS})
    house = House(tmp_path / "house", {
        "dns": {"resolvers": [f"127.0.0.1:{dns.port}"]},
        "delivery": {"port": sink.port, "leases": 200, "processes": 1},
    }, accounts=())
    with contextlib.closing(socket.create_server(("127.0.0.2", sink.port), backlog=4096)), house:
        yield house, sink
    for process in (sink, dns):
        process.stop()


def send(house, *recipients):
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.sendmail("x@example.org", list(recipients), "From: x@example.org\r\nSubject: test\r\n\r\nbody\r\n")


def test_silent_servers_hold_up_nobody_else(world):
    house, sink = world
    send(house, "a@good.weather.test")
    sink.wait_messages(1)
    for n in range(SILENT):
        send(house, f"a@s{n}.weather.test")
    for _ in range(20):
        send(house, "a@good.weather.test")
    sink.wait_messages(21)
    send(house, "a@fresh.weather.test")  # nothing is known of it, and silent servers have all leases that it may have
    house.wait_event("deferred", deadline_s=60)  # until one of them is put off
    sink.wait_messages(22, deadline_s=60)
