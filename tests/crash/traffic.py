"""Mixed mail, as a host sends it: through the relay and with login over TLS, small and large, to one and to several, to
servers that take it, put it off, refuse it, are slow or hang up in the middle."""
import contextlib
import hashlib
import random
import smtplib
import ssl
import threading
import time

from house import Sink
from ledger import SENDERS, sender_of

LOGIN, PASSWORD = f"site@{SENDERS}", "by-night-and-by-day"

# Recipients' names and domains, how often they are drawn, and what their server does.
PLACES = (("ok", "take.example", 50), ("later", "take.example", 12), ("gone", "take.example", 8),
          ("slow", "slow.example", 10), ("ok", "flaky.example", 14), ("stop", "stop.example", 6))

SIZES = ((300, 50), (4000, 30), (60000, 14), (300000, 5), (1500000, 1))


def start_sinks(folder):
    """A sink for each kind of domain; domain -> sink."""
    return {
        "take.example": Sink(folder, "--refuse", "rcpt=550:gone.*", "--defer", "rcpt:40%:later.*", name="take"),
        "slow.example": Sink(folder, "--delay", "end=250", name="slow"),
        "flaky.example": Sink(folder, "--defer", "end:15%", "--drop", "data:5%", "--drop", "body:1%", "--drop", "connect:3%",
                              name="flaky"),
        "stop.example": Sink(folder, "--refuse", "end=554", name="stop"),
        SENDERS: Sink(folder, name="back"),
    }


def settings(sinks):
    """What a house needs besides its own, so that everything goes to the sinks and large messages are common."""
    return {"routes": [{"domain": domain, "via": f"smtp://127.0.0.1:{sink.port}"} for domain, sink in sinks.items()],
            "spool": {"big-body": "128KiB"}, "log": {"level": "info"}, "drain": "5s",
            "smtpd": {"max-connections-per-address": 1000}}


def draw(chance, table):
    return chance.choices(table, [row[-1] for row in table])[0]


class Client(threading.Thread):
    """Sends one message after the other until it is told to stop; connections that break are opened anew."""

    def __init__(self, traffic, index, seed):
        super().__init__(daemon=True)
        self.traffic, self.chance = traffic, random.Random(seed)
        self.way = ("relay", "submission", "relay", "submissions")[index % 4]
        self.connection = None

    def run(self):
        while not self.traffic.ending.is_set():
            try:
                if self.connection is None:
                    self.connection = self.connect()
                self.send()
                if self.traffic.pause_s:
                    self.traffic.ending.wait(self.traffic.pause_s)
                if self.chance.random() < 0.1:
                    self.hang_up()
            except (OSError, smtplib.SMTPException, ValueError):
                self.hang_up(rudely=True)
                self.traffic.ending.wait(0.03) # nobody listens just now
        self.hang_up(rudely=True)

    def connect(self):
        port = self.traffic.ports[self.way]
        context = ssl._create_unverified_context()  # noqa: S323 - its own certificate, made at its start
        if self.way == "submissions":
            client = smtplib.SMTP_SSL("127.0.0.1", port, timeout=30, context=context)
        else:
            client = smtplib.SMTP("127.0.0.1", port, timeout=30)
        self.connection = client # so that it is closed whatever happens
        if self.way == "submission":
            client.starttls(context=context)
        if self.way != "relay":
            client.login(LOGIN, PASSWORD)
        client.ehlo_or_helo_if_needed()
        return client

    def hang_up(self, rudely=False):
        client, self.connection = self.connection, None
        if client is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                client.close() if rudely else client.quit()

    def compose(self, number):
        recipients = []
        for i in range(self.chance.choice((1, 1, 1, 2, 3, 6))):
            name, domain, _ = draw(self.chance, PLACES)
            recipients.append(f"{name}.{number}.{i}@{domain}")
        size = draw(self.chance, SIZES)[0]
        line = f"{number} " + "".join(self.chance.choices("abcdefghij klmnop", k=60)) + "\r\n"
        body = (line * (size // len(line) + 1)).encode()
        head = (f"From: {sender_of(number)}\r\nTo: undisclosed-recipients:;\r\nSubject: {number}\r\n"
                f"X-Number: {number}\r\nX-Sum: {hashlib.md5(body).hexdigest()}\r\n\r\n")
        return recipients, head.encode() + body

    def send(self):
        number, ledger, client = self.traffic.number(), self.traffic.ledger, self.connection
        recipients, message = self.compose(number)
        ledger.open(number, recipients)
        code, reply = client.mail(sender_of(number))
        taken = []
        for recipient in recipients if code == 250 else ():
            code, reply = client.rcpt(recipient)
            if code == 250:
                taken.append(recipient)
        if taken:
            try:
                began = time.monotonic()
                code, reply = client.data(message)
                ledger.took.append(time.monotonic() - began)
            except smtplib.SMTPDataError as answer:
                code, reply = answer.smtp_code, answer.smtp_error
        if taken and code == 250:
            ledger.accept(number, taken, reply.decode())
        else:
            ledger.refuse(number, code, reply)
            client.rset()
            self.traffic.ending.wait(0.02)


class Traffic:
    """`clients` connections at once; numbers go on from one Traffic to the next."""

    count = 0

    def __init__(self, ports, ledger, seed, clients=8, pause_s=0):
        self.pause_s = pause_s # between messages of a client
        self.ports, self.ledger, self.ending, self.lock = ports, ledger, threading.Event(), threading.Lock()
        self.clients = [Client(self, index, f"{seed}/{index}") for index in range(clients)]
        for client in self.clients:
            client.start()

    def number(self):
        with self.lock:
            Traffic.count += 1
            return Traffic.count

    def stop(self):
        self.ending.set()
        for client in self.clients:
            client.join(60)
            assert not client.is_alive(), "a client was never answered"
