#!/usr/bin/env python3
"""Measures goniec and Postfix side by side: same disk, same generator (`goniec load`), same receiver (`goniec sink`).

For each case: messages a second from the first octet sent to the last message delivered, CPU time of all of the
server's processes per message, and the time from the end of data to the 250. Every message must arrive exactly
once, otherwise the case is marked and the exit status is 1. Both servers commit to the disk before their 250.

    make bench, or: bench/run.py [--cases quick] [--only goniec] [--json FILE] ...
"""
import argparse
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from servers import Goniec, Postfix, Sink, run, tree_of  # noqa: E402

BUILT = pathlib.Path(__file__).resolve().parent.parent / "build/release/src/cli/goniec"
RUN = "4711"      # tells the measured messages from those that warm the server up
KIB = 1024

# mode, octets, connections, messages per connection (0: all on the first ones)
ALL = [(mode, size, connections, per)
       for mode in ("relay", "submission") for size in (4 * KIB, 100 * KIB) for connections in (1, 20, 200) for per in (0, 1)]
TABLE = [("relay", 4 * KIB, 20, 0), ("relay", 4 * KIB, 200, 1), ("relay", 4 * KIB, 1, 0), ("relay", 100 * KIB, 20, 0),
         ("submission", 4 * KIB, 20, 1), ("submission", 4 * KIB, 20, 0)]
QUICK = [("relay", 4 * KIB, 20, 0), ("relay", 4 * KIB, 200, 1), ("relay", 100 * KIB, 20, 0), ("submission", 4 * KIB, 20, 1)]


def how_many(server, case, seconds):
    """Messages that keep this server busy for some seconds, by what such a machine was seen to do."""
    mode, size, connections, per = case
    rate = {"postfix": 600, "goniec": 6000}[server]
    rate /= 1.6 if size > 50 * KIB else 1
    rate /= {1: 5, 20: 1, 200: 1}[connections]
    rate /= 2 if mode == "submission" and per == 1 else 1
    return max(int(rate * seconds), 4 * connections, 100)


class Trace:
    """Counts the system calls of all of a server's processes, those that begin meanwhile included."""

    def __init__(self, root, folder):
        self.output = folder / "strace.txt"
        attach = [word for pid in sorted(tree_of(root)) for word in ("-p", str(pid))]
        self.process = subprocess.Popen(["strace", "-f", "-c", "-o", self.output, *attach], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        time.sleep(1)

    def calls(self):
        """name -> how often."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        rows = [line.split() for line in self.output.read_text().splitlines()]
        return {row[-1]: int(row[3]) for row in rows if len(row) > 4 and row[3].isdigit() and row[-1] != "total"}


def measure(server, goniec, folder, case, count, trace=False):
    mode, size, connections, per = case
    sink = Sink(goniec, folder, "--expect", count, "--run", RUN, "--stats", 1)
    calls = None
    try:
        server.start(sink.port)
        server.warm_up(goniec)
        tracer = Trace(server.root(), folder) if trace else None
        before = server.cpu_seconds()
        command = [goniec, "load", "--json", "--to", f"127.0.0.1:{server.ports[mode]}", "--messages", str(count), "--connections",
                   str(connections), "--per-connection", str(per), "--size", str(size), "--users", "100", "--run", RUN,
                   "--from", server.login, "--rcpt", "user%d@bench.example"]
        if mode == "submission":
            command += ["--tls", "starttls", "--login", f"{server.login}:{server.password}"]
        load = json.loads(run(command, check=False))
        arrived = sink.wait()
        cpu = server.cpu_seconds() - before
        calls = tracer.calls() if tracer else None
    finally:
        sink.take()
        server.stop()
    seconds = (arrived["last_us"] - load["start_us"]) / 1e6
    return {
        "messages": count, "taken": load["taken"], "errors": load["errors"],
        "arrived": arrived["unique"], "missing": max(count - arrived["unique"], 0), "surplus": arrived["surplus"],
        "rate": round(arrived["unique"] / seconds, 1), "accept_rate": load["rate"],
        "cpu_us": round(cpu / max(arrived["unique"], 1) * 1e6, 1),
        "p50_ms": load["latency_ms"]["p50"], "p99_ms": load["latency_ms"]["p99"],
        **({"calls": {name: round(number / count, 2) for name, number in calls.items() if number >= count / 50}} if calls else {}),
    }


def median_of(results):
    """The run in the middle by rate; what went wrong in any of them is kept."""
    middle = sorted(results, key=lambda r: r["rate"])[len(results) // 2]
    return dict(middle, cpus=[r["cpu_us"] for r in results], missing=max(r["missing"] for r in results), surplus=max(r["surplus"] for r in results),
                rates=[r["rate"] for r in results])


def label(case):
    mode, size, connections, per = case
    return f"{mode:<10} {size // KIB:>4} KiB {connections:>4} conn {'1/conn' if per == 1 else 'many':>6}"


def print_row(case, results):
    cells = [label(case)]
    for name in ("goniec", "postfix"):
        r = results.get(name)
        wrong = " !" if r and (r["missing"] or r["surplus"] or r["taken"] != r["messages"]) else "  "
        cells.append(f"{r['rate']:>9.0f} {r['cpu_us']:>8.0f} {r['p50_ms']:>8.2f} {r['p99_ms']:>8.2f}{wrong}" if r else " " * 39)
    if len(results) == 2:
        cells.append(f"{ratio(results, 'rate'):>6.1f}x {1 / ratio(results, 'cpu_us'):>6.1f}x")
    print(" | ".join(cells), flush=True)


def ratio(results, what):
    return results["goniec"][what] / max(results["postfix"][what], 1e-9)


def print_head():
    columns = f"{'msg/s':>9} {'CPU us':>8} {'p50 ms':>8} {'p99 ms':>8}  "
    print(f"{'':<37} | {'goniec':^39} | {'postfix':^39} |")
    print(f"{'case':<37} | {columns} | {columns} | {'rate':>7} {'CPU':>7}", flush=True)


def print_calls(servers, goniec, folder):
    """System calls per message, from a run of its own: tracing slows everything down."""
    case, counts = QUICK[0], {}
    for name, server in servers.items():
        calls = measure(server, goniec, folder, case, {"goniec": 5000, "postfix": 500}[name], trace=True)["calls"]
        counts[name] = calls
        most = sorted(calls.items(), key=lambda item: -item[1])
        print(f"system calls per message, {name}, {label(case).strip()}: {sum(calls.values()):.1f}\n   " +
              ", ".join(f"{call} {number:g}" for call, number in most[:16]), flush=True)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goniec", default=BUILT, help="the program to measure, built for release")
    parser.add_argument("--cases", choices=("quick", "table", "all"), default="all",
                        help="quick: four of them; table: the six of docs/performance.md")
    parser.add_argument("--only", choices=("goniec", "postfix"))
    parser.add_argument("--seconds", type=float, default=4, help="about how long each case keeps a server busy")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each case; the median counts")
    parser.add_argument("--folder", help="where queues and spools lie (a fresh folder inside it is used)")
    parser.add_argument("--json", help="write the results to this file as well")
    parser.add_argument("--keep", action="store_true", help="do not remove the folder")
    parser.add_argument("--no-calls", action="store_true", help="do not count system calls (strace) at the end")
    arguments = parser.parse_args()
    goniec = str(pathlib.Path(arguments.goniec).resolve())
    folder = pathlib.Path(tempfile.mkdtemp(prefix="goniec-bench-", dir=arguments.folder))
    folder.chmod(0o755)
    names = [arguments.only] if arguments.only else ["goniec", "postfix"]
    table, whole, calls = [], True, {}
    try:
        servers = {name: {"goniec": lambda: Goniec(goniec, folder / "goniec"), "postfix": lambda: Postfix(folder / "postfix")}[name]()
                   for name in names}
        print_head()
        for case in {"quick": QUICK, "table": TABLE, "all": ALL}[arguments.cases]:
            results = {}
            for name, server in servers.items():
                count = how_many(name, case, arguments.seconds)
                results[name] = median_of([measure(server, goniec, folder, case, count) for _ in range(arguments.repeat)])
                whole = whole and not results[name]["missing"] and not results[name]["surplus"]
            print_row(case, results)
            table.append({"mode": case[0], "octets": case[1], "connections": case[2], "per_connection": case[3], **results})
        if not arguments.no_calls and shutil.which("strace"):
            calls = print_calls(servers, goniec, folder)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({"cases": table, "calls": calls}, indent=1) + "\n")
    print("every message arrived once" if whole else "MESSAGES WERE LOST OR CAME TWICE (marked !)")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
