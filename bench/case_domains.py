"""Mail for 100,000 domains, one message each: every domain needs the DNS, half of them a connection of their own."""
import json
import os
import resource

import measure as proc
from names import EVERYWHERE, ZONE, Abroad, Internet, Nsd, Watch
from scale import Figure, Lost
from servers import Sink, free_port, run

ABOUT = "100,000 domains, one message each, over DNS with realistic sharing of MX"
RUN = 20010
STALLED_S = 20


def send(bench, server, sink, count, number):
    """Seconds from the first octet to the last arrival."""
    load = json.loads(run([bench.goniec, "load", "--json", "--to", f"127.0.0.1:{server.ports['relay']}", "--messages", count,
                           "--connections", 20, "--size", 4096, "--users", count, "--run", number, "--from", "s@home.example",
                           "--rcpt", f"user@d%d.{ZONE}"], check=False))
    arrived = sink.wait(STALLED_S)
    if load["taken"] != count or arrived["unique"] != count or arrived["surplus"]:
        raise Lost(f"{count} sent, {load['taken']} taken, {arrived['unique']} arrived, {arrived['surplus']} too often")
    return (arrived["last_us"] - load["start_us"]) / 1e6, arrived


def children_us():
    """Of the generator and the sinks that have ended (and a little of nsd-control)."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e6


def one_pass(bench, server, nsd, count, number, port):
    sink = Sink(bench.goniec, bench.folder, "--expect", count, "--run", number, "--stats", 1, port=port, name=f"sink{number}",
                hosts=EVERYWHERE)
    named, ended = sum(proc.by_role(nsd.process.pid, proc.cpu_us).values()), children_us()
    asked, cpu, watch = nsd.queries(), proc.Difference(server.root(), proc.cpu_us), Watch(server.root())
    try:
        seconds, arrived = send(bench, server, sink, count, number)
    finally:
        sink.take()
        watch.stop()
    used = cpu.taken()
    others = {"nsd": sum(proc.by_role(nsd.process.pid, proc.cpu_us).values()) - named, "load and sink": children_us() - ended}
    bench.say(f"{count} messages in {seconds:.1f} s, {arrived['connections']} connections; CPU us a message: " +
              ", ".join(f"{role} {us / count:.0f}" for role, us in [*sorted(used.items()), *others.items()]))
    return {"rate": count / seconds, "queries": (nsd.queries() - asked) / count, "descriptors": watch.descriptors,
            "mib": watch.kib / 1024, "cpu": sum(used.values()) / count, "connections": arrived["connections"] / count}


def measure(bench):
    count = 1000 if bench.small else int(os.environ.get("DOMAINS", 100000))
    internet = Internet(count)
    bench.say(f"{count} domains at {internet.sites} sites: " + ", ".join(f"{n} {k}" for k, n in internet.kinds.most_common()))
    nsd = Nsd(bench.folder, internet.records)
    port = free_port()
    server = Abroad(bench.goniec, bench.folder / "goniec", nsd.port, port)
    try:
        server.launch()
        cold = one_pass(bench, server, nsd, count, RUN, port)
        warm = one_pass(bench, server, nsd, count, RUN + 1, port)
    finally:
        server.stop()
        nsd.stop()
    full = None if bench.small else 5000
    return [
        Figure("messages a second, every domain new", cold["rate"], "/s", at_least=full),
        Figure("messages a second, the same domains again", warm["rate"], "/s", at_least=full),
        Figure("server CPU a message, new", cold["cpu"], "us"),
        Figure("server CPU a message, again", warm["cpu"], "us"),
        Figure("questions to the DNS a message, new", cold["queries"], "", at_most=3),
        Figure("questions to the DNS a message, again", warm["queries"], "", at_most=0.1),
        Figure("connections a message, new", cold["connections"], ""),
        Figure("most descriptors of a delivery process", max(cold["descriptors"], warm["descriptors"]), "", at_most=8000),
        Figure("most memory of a delivery process", max(cold["mib"], warm["mib"]), "MiB", at_most=256),
    ]
