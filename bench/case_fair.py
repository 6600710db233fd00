"""Accounts take turns: 100,000 messages of one account wait for a slow destination; what a letter of another has of that."""
import json
import os
import random
import statistics
import time

from scale import Figure, Lost
from servers import Goniec, Sink, run

ABOUT = "100,000 messages of a newsletter wait for a slow destination: letters of another account there, and elsewhere"
PASSWORD = "courier-by-night"
NEWS, ANNA = "news@bench.example", "anna@bench.example"
SLOW = {"half": 500, "two": 2000}  # milliseconds until the answer to a message
PLACES = 20                         # connections-per-site
NEWS_RUN, LETTER_RUN = 40000, 41000


class House(Goniec):
    """Two accounts; each destination NAME.example has a receiver of its own."""

    def settings(self, sink_port):
        settings = super().settings(sink_port)
        settings["queue"] = {"connections-per-site": PLACES}
        settings["routes"] = [{"domain": f"{name}.example", "via": f"smtp://127.0.0.1:{port}", "tls": "none"}
                              for name, port in sink_port.items()]
        return settings

    def start(self, sink_port):
        super().start(sink_port)
        for login in (NEWS, ANNA):
            run([self.program, "account", "add", login, "--password-stdin", *self.config()], input=PASSWORD + "\n")
            run([self.program, "account", "set", login, "limit=messages unlimited", "limit=new-recipients unlimited",
                 *self.config()])

    def config(self):
        return ["--config", self.folder / "goniec.conf"]

    def waiting(self):
        return json.loads(run([self.program, "status", "--json", *self.config()]))["queue"]["recipients"]

    def load(self, login, to, number, count, *options):
        done = json.loads(run([self.program, "load", "--json", "--to", f"127.0.0.1:{self.ports['submission']}", "--tls", "starttls",
                               "--login", f"{login}:{PASSWORD}", "--from", login, "--rcpt", f"r%d@{to}.example", "--run", number,
                               "--messages", count, "--size", 2048, *options]))
        if done["taken"] != count:
            raise Lost(f"of {count} messages of {login} {done['taken']} were taken")


def listen(bench, name, *options):
    return Sink(bench.goniec, bench.folder, "--stats", 1, *options, name=name)


def quick_ms(bench, server, sink, name, number, count):
    """Median and 90th of the way of letters, one after the other, from the first octet to the last server."""
    server.load(ANNA, name, number, count, "--connections", 1, "--rate", 20)
    got = sink.wait(10)
    if got["unique"] != count:
        raise Lost(f"{count} letters to {name}, {got['unique']} arrived")
    bench.say(f"letters to {name}: p50 {got['arrival_ms']['p50']:.2f}, p90 {got['arrival_ms']['p90']:.2f} ms")
    return got["arrival_ms"]


def arrived(folder, after=0):
    """Of what a receiver keeps behind number `after`: (when it was sent, when it had been answered, whether it is a letter)."""
    shift = time.time() - time.monotonic()
    for path in folder.glob("*.eml"):
        head = path.read_bytes().split(b"X-Load-Id: ") if int(path.stem) > after else []
        if len(head) > 1:
            run_number, _, sent_us = head[1].split(b"\r\n")[0].split(b"-")
            yield int(sent_us) / 1e6, path.stat().st_mtime - shift, int(run_number) >= LETTER_RUN


def one_letter(server, name, number, folder):
    """Seconds until its turn came, and how many of the newsletter had theirs in that time."""
    before, takes = len(list(folder.glob("*.eml"))), SLOW[name] / 1000
    server.load(ANNA, name, number, 1, "--connections", 1)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        time.sleep(0.1)
        came = list(arrived(folder, before))
        for sent, answered, is_letter in came:
            if is_letter:
                begun = answered - takes
                return begun - sent, sum(sent < other - takes < begun for _, other, is_other in came if not is_other)
    raise Lost(f"a letter to {name} has not come")


def slow_turns(bench, server, name, number, count):
    """Letters, one at a time and at any moment, to where the newsletter waits."""
    rng, found = random.Random(number), []
    for n in range(count):
        time.sleep(rng.random() * SLOW[name] / 1000)
        found.append(one_letter(server, name, number + n, bench.folder / name))
    waits, passed = zip(*found)
    bench.say(f"letters to {name}: before them {sorted(passed)} of the newsletter, {', '.join(f'{w:.2f}' for w in sorted(waits))} s")
    return {"passed": max(passed), "typical": statistics.median(passed), "wait": statistics.median(waits), "longest": max(waits)}


def measure(bench):
    count, letters = (600, 20) if bench.small else (int(os.environ.get("FAIR", 100000)), 100)
    slow = {name: listen(bench, name, "--delay", f"end={ms}", "--store", bench.folder / name) for name, ms in SLOW.items()}
    quick = {name: listen(bench, name, "--expect", letters, "--run", LETTER_RUN + 500 + n)
             for n, name in enumerate(("calm", "pouring", "waiting"))}
    server = House(bench.goniec, bench.folder / "goniec")
    server.start({name: sink.port for name, sink in {**slow, **quick}.items()})
    try:
        calm = quick_ms(bench, server, quick["calm"], "calm", LETTER_RUN + 500, letters)
        for n, name in enumerate(slow):
            server.load(NEWS, name, NEWS_RUN + n, count // 2, "--connections", 20)
        bench.say(f"{server.waiting()} recipients wait")
        there = {name: slow_turns(bench, server, name, LETTER_RUN + 100 * n, 5 if bench.small else 12) for n, name in enumerate(slow)}
        waiting = quick_ms(bench, server, quick["waiting"], "waiting", LETTER_RUN + 502, letters)
        left = server.waiting()
    finally:
        server.stop()
        for sink in [*slow.values(), *quick.values()]:
            sink.take()
    full = not bench.small
    figures = [Figure("of the newsletter's still waiting at the end", left, "messages", at_least=0.8 * count if full else None)]
    for name, ms in SLOW.items():
        figures += [Figure(f"{ms} ms a message: of the newsletter before a letter, median", there[name]["typical"], ""),
                    Figure("  at most (it has 20 connections)", there[name]["passed"], "", at_most=2 * PLACES),
                    Figure("  a letter's wait for its turn, median", there[name]["wait"] * 1000, "ms"),
                    Figure("  the longest", there[name]["longest"] * 1000, "ms", at_most=2 * ms)]
    return figures + [
        Figure("letters elsewhere p50, nothing waits", calm["p50"], "ms"),
        Figure("letters elsewhere p50, the newsletter waits", waiting["p50"], "ms", at_most=1.1 * calm["p50"] + 1 if full else None),
        Figure("letters elsewhere p90, nothing waits", calm["p90"], "ms"),
        Figure("letters elsewhere p90, the newsletter waits", waiting["p90"], "ms", at_most=1.1 * calm["p90"] + 2 if full else None),
    ]
