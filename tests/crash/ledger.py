"""The account: what was promised for each message and recipient, and what became of it.

Everything is judged from outside: a promise is a client that saw 250, a delivery is a message in a sink, a bounce is a
report in the sender's sink. Only for what came twice the event log is asked, which must say why that may have been.
"""
import collections
import contextlib
import hashlib
import json
import re
import threading
import time

SENDERS = "back.example" # where reports go; the number of the message is in the sender's name

# Events that name the window in which a message may arrive twice. The first stands in the message's own story.
WINDOW_OF_MESSAGE = {"lease-lost", "stored-without-queue"}
WINDOW_OF_ALL = {"leases-untold", "leases-forgotten"}
REPORT_FOUND = "report-found" # this report was stored just before the queue died; there may be a second one


def sender_of(number):
    return f"s{number}@{SENDERS}"


def number_of(address):
    return int(re.search(r"^[a-z]+\.?(\d+)", address).group(1))


class Account:
    """What is known of one message."""

    def __init__(self, number, recipients):
        self.number, self.recipients = number, recipients
        self.state = "sent"        # accepted, refused; or nobody was told
        self.taken = []            # recipients that were answered with 250, once the whole was
        self.ids = set()           # as the reply and the Received field say
        self.arrived = collections.defaultdict(list)   # recipient -> [(time, id, when its sender began)]
        self.bounced = collections.defaultdict(list)   # recipient -> [(time, report, when its sender began)]


class Ledger:
    """Filled by the clients' threads and by look(), which reads what is new in the sinks."""

    def __init__(self):
        self.lock = threading.Lock()
        self.accounts = {}
        self.seen = collections.Counter()
        self.faults = []
        self.took = []          # seconds from DATA to the reply, for whoever wants them and takes them away
        self.keeps_files = True # in the sinks, to look at after a fault
        self.counts = collections.Counter()
        self.replies = collections.Counter() # to clients that were put off: (code, words)
        self.gaps = [] # of what came twice: seconds from the first arrival to the next kill

    # -- what clients were told --

    def open(self, number, recipients):
        with self.lock:
            self.accounts[number] = Account(number, recipients)

    def accept(self, number, taken, reply):
        account = self.accounts[number]
        account.taken = taken
        with contextlib.suppress(AttributeError):
            account.ids.add(re.search(r"queued as (\w+)", reply).group(1))
        account.state = "accepted"

    def refuse(self, number, code=0, reply=b""):
        self.accounts[number].state = "refused"
        self.replies[code, reply.decode(errors="replace")] += 1

    def accepted(self):
        with self.lock:
            return sum(account.state == "accepted" for account in self.accounts.values())

    # -- what arrived --

    def look(self, sinks):
        """Reads what has come since the last time."""
        for sink in sinks:
            while True:
                path = sink.folder / f"{self.seen[sink.name] + 1:06}.eml"
                if not path.exists():
                    break
                self.seen[sink.name] += 1
                self.take(path.read_bytes(), path.stat().st_mtime)
                if not self.keeps_files:
                    path.unlink()

    def take(self, raw, when):
        head, _, body = raw.partition(b"\r\n\r\n")
        head = head.decode(errors="replace")
        to = re.findall(r"^X-Sink-To: <(.*)>\r?$", head, re.M)
        if re.search(r"^X-Sink-From: <>", head, re.M):
            self.take_report(raw.decode(errors="replace"), to, when)
            return
        number = int(re.search(r"^X-Number: (\d+)", head, re.M).group(1))
        account = self.accounts.get(number)
        if account is None:
            self.faults.append(f"message {number} arrived, and nobody has sent it")
            return
        if hashlib.md5(body).hexdigest() != re.search(r"^X-Sum: (\w+)", head, re.M).group(1):
            self.faults.append(f"message {number} arrived with another body than it was sent with")
        found = re.search(r"\bid (0\w{12})\b", re.sub(r"\r\n\s+", " ", head))
        name = found.group(1) if found else ""
        account.ids.add(name)
        for recipient in to:
            if recipient not in account.recipients:
                self.faults.append(f"message {number} arrived for {recipient}, to whom it was not sent")
            account.arrived[recipient].append((when, name, began_of(head, when)))

    def take_report(self, text, to, when):
        name = re.search(r"^Message-ID: *(\S+)", text, re.M | re.I).group(1)
        failed = [recipient for recipient, action in
                  re.findall(r"^Final-Recipient: *rfc822; *(\S+)\r\n(?:.*\r\n)*?Action: *(\w+)", text, re.M | re.I)
                  if action == "failed"]
        for recipient in failed:
            number = number_of(recipient)
            account = self.accounts.get(number)
            if account is None or recipient not in account.recipients or to != [sender_of(number)]:
                self.faults.append(f"a report about {recipient} came to {to}")
                continue
            account.bounced[recipient].append((when, name, began_of(text, when)))

    # -- is everything as it was promised? --

    def owed(self):
        """(message, recipient) of everything accepted of which nothing was heard yet."""
        with self.lock:
            accounts = [account for account in self.accounts.values() if account.state == "accepted"]
        return [(account.number, recipient) for account in accounts for recipient in account.taken
                if not account.arrived[recipient] and not account.bounced[recipient]]

    def settle(self, events, kills=()):
        """Closes the books: what is here now is all that will come. Returns the counts of this time."""
        windows = Windows(events, kills)
        now = collections.Counter()
        for account in self.accounts.values():
            now[account.state] += 1
            now["recipients"] += len(account.taken)
            self.settle_one(account, windows, now)
        self.counts.update(now)
        self.accounts.clear()
        return now

    def settle_one(self, account, windows, now):
        story = f"message {account.number} ({account.state}; {' '.join(sorted(account.ids - {''})) or 'no id'})"
        for recipient in account.recipients:
            arrived, bounced = account.arrived[recipient], account.bounced[recipient]
            if recipient in account.taken and not arrived and not bounced:
                now["lost"] += 1
                self.faults.append(f"{story}: {recipient} is lost")
            if arrived and bounced:
                self.faults.append(f"{story}: {recipient} was delivered and bounced")
            if arrived and recipient.startswith(("gone", "stop")):
                self.faults.append(f"{story}: {recipient} arrived though its server refuses it")
            now["delivered"] += bool(arrived)
            now["bounced"] += bool(bounced)
            now["arrived unacknowledged"] += bool(arrived) and account.state != "accepted"
            self.settle_twice(story, account, recipient, windows, now)
        if account.state == "refused" and any(account.arrived.values()) and not windows.explains_message(account.ids, "stored-without-queue"):
            self.faults.append(f"{story}: refused, and arrived all the same, and the log does not say why")

    def settle_twice(self, story, account, recipient, windows, now):
        arrived = sorted(account.arrived[recipient])
        for (before, _, began), (after, _, _) in zip(arrived, arrived[1:]):
            now["twice"] += 1
            why = windows.why(account.ids, began, after)
            now[f"twice: {why}"] += 1
            self.gaps.append(windows.gap(before))
            if not why:
                self.faults.append(f"{story}: {recipient} came twice, {after - before:.3f} s apart, and the log does not say why")
        bounced = sorted(account.bounced[recipient])
        for (before, one, began), (after, other, _) in zip(bounced, bounced[1:]):
            same = one == other
            now["report twice" if same else "two reports"] += 1
            if not windows.why(account.ids, began, after, report=True) and not windows.reports & {id_of(one), id_of(other)}:
                self.faults.append(f"{story}: {'the report' if same else 'a second report'} about {recipient} came, "
                                   f"{after - before:.3f} s later, and the log does not say why")


SLACK_S = 0.6 # between what happens and what is noted of it


def began_of(head, when):
    """The MAIL of this arrival: a slow server takes a message long after the death of the process that sent it."""
    found = re.search(r"^X-Sink-Began: (\d+)\r?$", head, re.M)
    return min(int(found.group(1)) / 1000, when) if found else when


def id_of(message_id):
    return message_id.strip("<").split(".")[0]


class Windows:
    """What the event log says about messages that may arrive twice."""

    def __init__(self, events, kills=()):
        self.kills = sorted(kills)
        self.messages = collections.defaultdict(list)
        self.all = []
        self.reports = {event["id"] for event in events if event["event"] == REPORT_FOUND}
        for event in events:
            when = moment(event["time"])
            if event["event"] in WINDOW_OF_MESSAGE:
                self.messages[event.get("id")].append((when, event["event"]))
            elif event["event"] in WINDOW_OF_ALL:
                self.all.append((when, event["event"]))

    def explains_message(self, ids, name):
        return any(event == name for one in ids for _, event in self.messages[one])

    def gap(self, when):
        """From this arrival to the kill; 0: it arrived while that was done."""
        return max(min((kill - when for kill in self.kills if kill > when - 1), default=0.0), 0.0)

    def why(self, ids, began, after, report=False):
        """The event between the beginning of the first one's transaction and the second arrival. A report has an id of its own, that only the log knows: any will do."""
        named = [found for one in (self.messages if report else ids) for found in self.messages[one]]
        for when, event in named + self.all:
            if began - SLACK_S <= when <= after + SLACK_S:
                return event
        return ""


def moment(text):
    """Seconds since 1970 of a line's time."""
    base, millis = text.rstrip("Z").split(".")
    import calendar
    return calendar.timegm(time.strptime(base, "%Y-%m-%dT%H:%M:%S")) + int(millis) / 1000


def read_events(path):
    """The lines of the log that may matter here."""
    wanted = [f'"event":"{name}"'.encode() for name in (*WINDOW_OF_MESSAGE, *WINDOW_OF_ALL, REPORT_FOUND)]
    found = []
    with open(path, "rb") as file:
        for line in file:
            if any(name in line for name in wanted):
                with contextlib.suppress(ValueError):
                    # Whoever was killed in the middle of a line has no line end: the next one's begins behind it.
                    found.append(json.loads(line[line.rfind(b'{"time":'):]))
    return found
