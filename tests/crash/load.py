"""Sends numbered messages as fast as it may and remembers what was promised for each.

A message whose end of data was answered with 250 must arrive; one that was refused, or whose answer never came, may
arrive or not.
"""
import collections
import smtplib
import threading
import time


class Load:
    """`threads` connections that send until stop(); connections that break are opened anew."""

    def __init__(self, port, threads=6, sizes=(200, 4000, 30000), stuck_every=0, pause_s=0):
        self.port, self.sizes, self.stuck_every, self.pause_s = port, sizes, stuck_every, pause_s
        self.lock = threading.Lock()
        self.next = 0
        self.accepted, self.unknown, self.refused = set(), set(), set()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def number(self):
        with self.lock:
            self.next += 1
            return self.next

    def work(self):
        client = None
        while not self.ending.is_set():
            try:
                if client is None:
                    client = smtplib.SMTP("127.0.0.1", self.port, timeout=20)
                self.send(client, self.number())
                if self.pause_s:
                    self.ending.wait(self.pause_s)
            except (OSError, smtplib.SMTPException):
                if client is not None:
                    client.close()
                client = None
                self.ending.wait(0.05) # nobody listens just now
        if client is not None:
            client.close()

    def send(self, client, number):
        size = self.sizes[number % len(self.sizes)]
        text = f"From: a@example.org\r\nTo: b@example.net\r\nSubject: {number}\r\nX-Number: {number}\r\n\r\n"
        text += ("x" * 70 + "\r\n") * (size // 72)
        answered = False
        try:
            stuck = self.stuck_every and number % self.stuck_every == 0
            domain = "stuck.example" if stuck else "example.net"
            client.sendmail("a@example.org", [f"b{number % 50}@{domain}"], text)
            answered = True
            self.accepted.add(number)
        except smtplib.SMTPResponseException:
            answered = True
            self.refused.add(number)
            raise
        finally:
            if not answered:
                self.unknown.add(number)

    def wait_accepted(self, count, deadline_s=60):
        """Until so many more were accepted."""
        goal, end = len(self.accepted) + count, time.monotonic() + deadline_s
        while len(self.accepted) < goal:
            assert time.monotonic() < end, f"only {len(self.accepted)} of {goal} messages were accepted"
            time.sleep(0.01)

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()


def numbers(messages):
    """How often each numbered message arrived."""
    found = collections.Counter()
    for raw in messages:
        head = raw.split(b"\r\n\r\n", 1)[0].split(b"\n\n", 1)[0]
        for line in head.splitlines():
            if line.lower().startswith(b"x-number:"):
                found[int(line.split(b":")[1])] += 1
    return found


def start(house):
    """Starts the server and waits until all of its processes are there."""
    before = len(house.events("ready", role="supervisor"))
    house.start()
    house.wait_event("ready", before + 1, role="supervisor")


def wait_empty(house, deadline_s=90):
    """Until nothing is queued; a queue that is just being started anew is asked again."""
    from house import wait_for
    wait_for("an empty queue", lambda: house.run("queue", "list", "--json", check=False).stdout.strip() == "[]", deadline_s)


def check_arrived(load, sink, house, deadline_s=90):
    """Everything that was promised arrives, and nothing that was refused; duplicates are few."""
    from house import wait_for

    def missing():
        return load.accepted - set(numbers(sink.messages()))
    try:
        wait_for("every accepted message", lambda: not missing(), deadline_s)
    except TimeoutError:
        lost = sorted(missing())
        raise AssertionError(f"{len(lost)} of {len(load.accepted)} accepted messages did not arrive: {lost[:20]}") from None
    wait_empty(house, deadline_s)
    counts = numbers(sink.messages())
    return sum(count - 1 for count in counts.values())
