#!/usr/bin/env python3
"""Counts what goniec does for one message, where the machine's mood plays no part, and compares it with bench/budget.json.

For each process of a whole server: system calls, syncs, octets written to files, allocations, and (voluntary) context
switches. For the pure rooms: instructions of our own code, and allocations. A count that is more than a tenth over its
budget makes the exit status 1; a budget is changed on purpose, by UPDATE=1.

    make count              every count beside its budget
    make count SHOW=relay   with the system calls by name and the heaviest functions; of workloads or rooms with that name
    make count UPDATE=1     what is counted now becomes the budget
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import count_rooms  # noqa: E402
import count_server  # noqa: E402
import count_trace  # noqa: E402

BUDGET = HERE / "budget.json"
TENTH = 1.10
ROOMS = "rooms"
# What a count may grow by even where a tenth of it is less: one timer that fires, one line of the log.
SLACK = {"calls": 0.06, "futex": 0.06, "syncs": 0.02, "octets": 16, "allocations": 0.06, "switches": 0.1, "instructions": 5}
UNITS = {"calls": "system calls", "syncs": "syncs", "octets": "octets to files", "allocations": "allocations", "switches": "context switches",
         "instructions": "instructions", "futex": "futex calls"}
NEEDS_COMPILER = {"instructions"}  # another compiler makes other ones
TRIES = 3
TITLES = {"relay": "one connection, one message of 4 KiB at a time", "burst": "twenty connections, a message on each at once",
          "submission": "a connection with TLS and a login for each message", ROOMS: "our own code, for one piece of work"}


def flat(counts):
    """{"relay": {"smtpd": {"calls": 13}}} as {("relay", "smtpd", "calls"): 13}."""
    return {(group, name, what): number for group, names in counts.items() if isinstance(names, dict)
            for name, whats in names.items() for what, number in whats.items()}


def is_moody(key):
    """Which thread waits for which depends on who is quicker, unless they take their turns: this is only shown."""
    return key[2] == "futex" and key[0] != "burst"


def grew(key, now, budget):
    return now > budget * TENTH and now > budget + SLACK[key[2]]


def fell(key, now, budget):
    return grew(key, budget, now)


class Comparison:
    """Counts (as flat() gives them) beside a budget."""

    def __init__(self, counts, budget, compiler):
        self.counts, self.budget = counts, flat(budget)
        self.same_compiler = compiler is None or budget.get("compiler") == compiler

    def is_held(self, key):
        return not is_moody(key) and (self.same_compiler or key[2] not in NEEDS_COMPILER)

    def over(self):
        """Counts that grew too much, or that nobody gave a budget."""
        return [key for key, now in self.counts.items()
                if self.is_held(key) and (key not in self.budget or grew(key, now, self.budget[key]))]

    def under(self):
        return [key for key, now in self.counts.items()
                if self.is_held(key) and key in self.budget and fell(key, now, self.budget[key])]

    def groups_over(self):
        return sorted({key[0] for key in self.over()})

    def mark(self, key):
        if not self.is_held(key):
            return "not held"
        if key not in self.budget:
            return "no budget"
        return "TOO MUCH" if key in self.over() else "the budget can be lowered" if key in self.under() else ""

    def change(self, key):
        now, budget = self.counts[key], self.budget.get(key)
        if budget is None or abs(now - budget) < 0.0005 * budget or now == budget:
            return ""
        return f"{(now / budget - 1) * 100:+.1f} %" if budget else "new"

    def line(self, key):
        budget = "-" if key not in self.budget else format_number(self.budget[key])
        return (f"  {key[1]:<22} {UNITS[key[2]]:<16} {budget:>12} {format_number(self.counts[key]):>12} {self.change(key):>10}"
                f"  {self.mark(key)}").rstrip()

    def print_all(self):
        for group in dict.fromkeys(key[0] for key in self.counts):
            print(f"\n{group}: {TITLES.get(group, '')}\n  {'':<22} {'a message' if group != ROOMS else '':<16} {'budget':>12} {'now':>12} {'change':>10}")
            for key in self.counts:
                if key[0] == group and (self.counts[key] or self.budget.get(key)):
                    print(self.line(key))

    def print_over(self):
        for key in self.over():
            group, name, what = key
            now, budget = self.counts[key], self.budget.get(key)
            if budget is None:
                print(f"NO BUDGET: {group}, {name}: {format_number(now)} {UNITS[what]}")
                continue
            print(f"TOO MUCH: {group}, {name}: {format_number(now)} {UNITS[what]}, the budget is {format_number(budget)} "
                  f"({self.change(key)})\n  to look further: make count SHOW={name.split()[-1] if group == ROOMS else group}")
        if self.over():
            print("When it is worth it: make count UPDATE=1, which makes what is counted now the budget; the commit says why.")


def format_number(number):
    return f"{number:,.0f}" if number >= 1000 else f"{number:,.2f}"


def updated(budget, counts, compiler):
    """The budget with these counts; others stay, and so does what differs by less than a hundredth."""
    old, groups = flat(budget), {}
    for key, now in {**old, **{key: now for key, now in counts.items() if not is_moody(key)}}.items():
        if key in old and abs(now - old[key]) <= 0.01 * old[key]:
            now = old[key]
        now = round(now, 2)
        groups.setdefault(key[0], {}).setdefault(key[1], {})[key[2]] = round(now) if now >= 1000 or now == round(now) else now
    return {"compiler": compiler or budget.get("compiler"), **groups}


def written(budget):
    """As JSON with a line for each process and each work."""
    lines = [f' "compiler": {json.dumps(budget["compiler"])}']
    for group, names in budget.items():
        if isinstance(names, dict):
            rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(whats)}" for name, whats in names.items())
            lines.append(f" {json.dumps(group)}: {{\n{rows}\n }}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


class Counter:
    """Counts groups: the workloads of a whole server, and the rooms."""

    def __init__(self, build, folder, show):
        self.build, self.folder, self.show = build, folder, show
        self.library = build / "bench/libcount_allocations.so"
        self.traced, self.rooms = count_trace.is_possible(self.library), count_rooms.is_possible()
        self.compiler = count_rooms.compiler(build)

    def groups(self):
        return [*count_server.WORKLOADS, *([ROOMS] if self.rooms else [])]

    def wants(self, name):
        return self.show and any(word in name for word in self.show.split(","))

    def count(self, group):
        """As flat() gives it."""
        counts = self.count_rooms() if group == ROOMS else self.count_server(group)
        return flat({group: dict(sorted(counts.items()))})

    def count_rooms(self):
        return count_rooms.count(self.build, self.library, self.folder, self.show_work)

    def count_server(self, group):
        show = self.show_calls if self.wants(group) else None
        try:
            return count_server.count(group, self.build / "src/cli/goniec", self.library, self.folder, self.traced, show)
        except count_trace.NotAllowed:
            self.traced = False
            return self.count_server(group)

    def show_calls(self, role, names, messages):
        if names:
            print(f"  {role}: " + ", ".join(f"{number / messages:.2f} {name}" for name, number in names))

    def show_work(self, work, functions):
        if self.wants(work):
            print(f"  {work}: " + ", ".join(f"{function} {executed:,.0f}" for function, executed in functions))

    def say_what_is_missing(self):
        if not self.traced:
            print("NOT COUNTED: system calls, syncs and octets. strace is missing, or may not attach to a process here "
                  "(a container needs ptrace).")
        if not self.rooms:
            print("NOT COUNTED: the rooms. valgrind is missing.")


def build_programs(build):
    """The release build with what is needed to count."""
    if not (build / "build.ninja").exists():
        raise SystemExit(f"{build} is no build folder: run make first")
    options = {option["name"]: option["value"] for option in json.loads((build / "meson-info/intro-buildoptions.json").read_text())}
    if options["b_sanitize"] != "none":
        raise SystemExit(f"{build} has sanitizers, whose counts mean nothing")
    done = subprocess.run(["ninja", "-C", build, "counted"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stdout)


def roomy_folder():
    """In memory if there is enough, so that the disk has no part in it."""
    try:
        shm = os.statvfs("/dev/shm")
        if shm.f_bavail * shm.f_frsize >= 48 << 20 and os.access("/dev/shm", os.W_OK):
            return "/dev/shm"
    except OSError:
        pass
    return None


def count_all(counter):
    counts = {}
    for group in counter.groups():
        counts.update(counter.count(group))
    return counts


def compare(counter, budget):
    """Counts everything. What grew is counted again, and its smallest count taken: once is no proof."""
    comparison = Comparison(count_all(counter), budget, counter.compiler)
    for _ in range(TRIES - 1):
        for group in comparison.groups_over():
            for key, now in counter.count(group).items():
                comparison.counts[key] = min(now, comparison.counts.get(key, now))
    return comparison


def report(comparison, counter, budget, brief):
    if not brief:
        comparison.print_all()
        print()
    if not comparison.same_compiler:
        print(f"NOT COMPARED: instructions. The budget is for {budget.get('compiler')}, this is {counter.compiler}.")
    counter.say_what_is_missing()


def conclude(comparison):
    comparison.print_over()
    held = sum(map(comparison.is_held, comparison.counts))
    lower = f"; {len(comparison.under())} budgets can be lowered (make count)" if comparison.under() else ""
    print(f"{held - len(comparison.over())} of {held} counts within the budget{lower}")
    return 1 if comparison.over() else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build/release", help="a release build folder")
    parser.add_argument("--update", action="store_true", help="what is counted now becomes the budget")
    parser.add_argument("--check", action="store_true", help="print only what is wrong")
    parser.add_argument("--show", help="details of workloads and rooms whose name contains one of these words (a,b)")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    build_programs(build)
    count_server.stay_on_one_processor()
    budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    with tempfile.TemporaryDirectory(prefix="goniec-count-", dir=roomy_folder()) as folder:
        counter = Counter(build, pathlib.Path(folder), arguments.show)
        comparison = Comparison(count_all(counter), budget, counter.compiler) if arguments.update else compare(counter, budget)
    report(comparison, counter, budget, arguments.check)
    if arguments.update:
        BUDGET.write_text(written(updated(budget, comparison.counts, counter.compiler)))
        print(f"{BUDGET.relative_to(HERE.parent)} is what is counted now")
        return 0
    return conclude(comparison)


if __name__ == "__main__":
    sys.exit(main())
