"""One message to 10,000 recipients in 1,000 domains, and ten such messages at once: stored once, grouped, each fails alone."""
import collections
import pathlib
import re
import socket
import threading
import time

import measure as proc
from names import EVERYWHERE, ZONE, Abroad, Internet, Nsd
from scale import Figure, Lost
from servers import Sink

ABOUT = "one message to 10,000 recipients in 1,000 domains, then ten at once; some refused, some put off"
OCTETS = 100 * 1024
EACH = 10          # recipients in a domain
SETTLE_S = 60


def addresses(domains, message):
    """Of a hundred one is refused for good, one is put off a few times, all over the domains."""
    kinds = {0: "refused", 1: "late"}
    return [f"{kinds.get((37 * r + d) % 100, 'user')}{r}.{message}@d{d}.{ZONE}" for r in range(EACH) for d in range(domains)]


def handed_octets(pid):
    """Octets given to write calls: what goes to files (sockets are sent to)."""
    for line in pathlib.Path("/proc", str(pid), "io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def send(port, recipients, name):
    """One transaction, all of its RCPT in one group; seconds from the first octet to the 250."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link, link.makefile("rb") as answers:
        def say(text, replies=1):
            threading.Thread(target=link.sendall, args=(text.encode(),)).start()
            for _ in range(replies):
                while True:
                    line = answers.readline()
                    if line[:1] not in (b"2", b"3"):
                        raise Lost(f"the server says {line!r}")
                    if line[3:4] != b"-":
                        break
        say("", 1)
        say("EHLO bench.example\r\n")
        say("MAIL FROM:<s@home.example>\r\n" + "".join(f"RCPT TO:<{to}>\r\n" for to in recipients) + "DATA\r\n", len(recipients) + 2)
        say(f"From: <s@home.example>\r\nSubject: {name}\r\n\r\n" + ("x" * 76 + "\r\n") * (OCTETS // 78) + ".\r\n")
    return time.monotonic() - begun


def arrived(folder):
    """recipient -> how often; and how many transactions. The files are read once: `folder` is emptied."""
    counts, transactions = collections.Counter(), 0
    for path in folder.glob("*.eml"):
        head = path.read_bytes().split(b"\r\n\r\n", 1)[0].decode(errors="replace")
        counts.update(re.findall(r"^X-Sink-To: <([^>]*)>", head, re.M))
        transactions += 1
    return counts, transactions


def reported(folder):
    """Recipients that the delivery reports call failed, and how many reports there are."""
    counts, reports = collections.Counter(), 0
    for path in folder.glob("*.eml"):
        text = path.read_text(errors="replace")
        counts.update(re.findall(r"^Final-Recipient: rfc822; ?(\S+)\r?\nAction: failed", text, re.M | re.I) or
                      re.findall(r"^Final-Recipient: rfc822; ?(\S+)", text, re.M | re.I))
        reports += 1
    return counts, reports


def wait_empty(server):
    """Until nothing is queued: the last that was put off has arrived, the last report has left."""
    end = time.monotonic() + SETTLE_S
    while not server.say("status").startswith("Queued: 0"):
        if time.monotonic() > end:
            raise Lost("the queue does not become empty:\n" + server.say("status"))
        time.sleep(0.2)


def check(groups, got, told):
    """Each recipient has exactly one end."""
    wanted = {to for group in groups for to in group if not to.startswith("refused")}
    refused = {to for group in groups for to in group if to.startswith("refused")}
    if got != collections.Counter(wanted):
        wrong = (got - collections.Counter(wanted)) + (collections.Counter(wanted) - got)
        raise Lost(f"{len(wrong)} recipients did not get the message once: {wrong.most_common(3)}")
    if told != collections.Counter(refused):
        raise Lost(f"{len(refused)} were refused, {len(told)} reported, {sum(told.values())} times")


def wait_most(sink, before, count):
    """Until all have arrived that nobody puts off."""
    end = time.monotonic() + SETTLE_S
    while sink.count()["recipients"] - before < count:
        if time.monotonic() > end:
            raise Lost(f"{sink.last()['recipients'] - before} arrived of {count}")
        time.sleep(0.05)


def one_round(bench, server, sink, folders, groups, name):
    for folder in folders:
        for path in folder.glob("*.eml"):
            path.unlink()
    before, quick = sink.count()["recipients"], sum(to.startswith("user") for group in groups for to in group)
    written = proc.Difference(server.root(), handed_octets)
    began, takes = time.monotonic(), []
    threads = [threading.Thread(target=lambda group=group: takes.append(send(server.ports["relay"], group, name))) for group in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(takes) != len(groups):
        raise Lost("a message was not taken")
    wait_most(sink, before, quick)
    seconds = time.monotonic() - began
    wait_empty(server)
    octets = written.taken().get("smtpd", 0)
    got, transactions = arrived(folders[0])
    told, reports = reported(folders[1])
    check(groups, got, told)
    recipients = sum(map(len, groups))
    bench.say(f"{name}: {quick} of {recipients} recipients after {seconds:.1f} s, {transactions} transactions, {reports} reports, "
              f"smtpd wrote {octets / 1024:.0f} KiB, the longest 250 after {max(takes):.2f} s")
    return {"rate": quick / seconds, "transactions": transactions / len(groups), "reports": reports / len(groups),
            "octets": octets / len(groups), "take": max(takes)}


def measure(bench):
    domains, many = (50, 2) if bench.small else (1000, 10)
    internet = Internet(domains)
    nsd = Nsd(bench.folder, internet.records)
    stores = [bench.folder / "arrived", bench.folder / "reports"]
    there = Sink(bench.goniec, bench.folder, "--store", stores[0], "--refuse", "rcpt=550:refused*@*", "--defer", "rcpt:20%:late*@*",
                 hosts=EVERYWHERE)
    home = Sink(bench.goniec, bench.folder, "--store", stores[1], name="home")
    server = Abroad(bench.goniec, bench.folder / "goniec", nsd.port, there.port,
                    smtpd={"max-recipients": EACH * domains}, queue={"first-retry": "2s", "longest-retry": "4s"},
                    routes=[{"domain": "home.example", "via": f"smtp://127.0.0.1:{home.port}", "tls": "none"}])
    try:
        server.launch()
        first = one_round(bench, server, there, stores, [addresses(domains, 0)], "one message")
        more = one_round(bench, server, there, stores, [addresses(domains, n + 1) for n in range(many)], f"{many} messages at once")
    finally:
        server.stop()
        there.take()
        home.take()
        nsd.stop()
    recipients = EACH * domains
    return [
        Figure("recipients a second, one message, nothing cached", first["rate"], "/s"),
        Figure(f"recipients a second, {many} messages at once", more["rate"], "/s"),
        Figure("until the 250, one message", first["take"] * 1000, "ms"),
        Figure("octets stored for it", first["octets"] / 1024, "KiB", at_most=(OCTETS + 60 * recipients) / 1024 * 1.3),
        Figure("transactions of it (domains there are)", first["transactions"], "", at_most=domains * 1.5),
        Figure("transactions of each of the many", more["transactions"], "", at_most=domains * 1.5),
        Figure("reports about those refused, of each message", more["reports"], "", at_most=1),
    ]
