"""Instructions and allocations of the pure rooms for one piece of work each: the programs of bench/rooms under callgrind,
then once more by themselves.

Counted are the instructions of our own code. What libraries do for us (copying, looking for an octet) is executed by code
that the C library chooses by the processor, so it would not be the same on two machines.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess

TIMES = 20


def programs(build):
    return sorted(path for path in pathlib.Path(build, "bench").glob("room_*") if path.is_file())


def about(program):
    """The compiler, and the works in the order in which they are done."""
    compiler, *works = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return compiler, works


def compiler(build):
    return about(programs(build)[0])[0]


class Profile:
    """One dump of callgrind: function -> what it executed itself, as far as it lies in one object."""

    def __init__(self, path, ours):
        self.ours, self.names = str(ours), {}
        self.functions = collections.Counter()
        self.object = self.function = None
        self.is_call = False
        for line in pathlib.Path(path).read_text().splitlines():
            self.read(line)

    def name(self, text):
        """Names are written out once and then only numbered: "(12) main", "(12)"."""
        number, _, name = text.partition(" ")
        if name:
            self.names[number] = name
        return self.names[number]

    def read(self, line):
        word, _, text = line.partition("=")
        if word in ("ob", "cob"):
            name = self.name("ob" + text)
            self.object = name if word == "ob" else self.object
        elif word in ("fn", "cfn"):
            name = self.name("fn" + text)
            self.function = name if word == "fn" else self.function
        elif word == "calls":
            self.is_call = True  # the next line is what the called one costs
        elif re.match(r"[0-9+*-]", line):
            if not self.is_call and self.object == self.ours:
                self.functions[self.function] += int(line.split()[1])
            self.is_call = False


def profiles(program, folder):
    """work -> its profile."""
    output = folder / f"{program.name}.callgrind"
    done = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=room_counted", "--dump-after=room_counted",
                           f"--callgrind-out-file={output}", program, str(TIMES)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{program.name} under callgrind: exit {done.returncode}\n{done.stdout}")
    return {work: Profile(f"{output}.{i}", program) for i, work in enumerate(about(program)[1], 1)}


def allocations(program, library):
    """How often each work asked for memory, in the order of the works."""
    environment = dict(os.environ, LD_PRELOAD=str(library))
    done = subprocess.run([program, str(TIMES)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{program.name}: exit {done.returncode}\n{done.stdout}")
    return [int(line) for line in done.stdout.split()]


def count(build, library, folder, show=None):
    """{"mail header": {"instructions": ..., "allocations": ...}}: for one piece of work. `show` gets the heaviest functions."""
    counts = {}
    for program in programs(build):
        asked = allocations(program, library)
        for i, (work, profile) in enumerate(profiles(program, folder).items()):
            name = f"{program.name.removeprefix('room_')} {work}"
            counts[name] = {"instructions": sum(profile.functions.values()) / TIMES, "allocations": asked[i] / TIMES}
            if show:
                show(name, [(function, executed / TIMES) for function, executed in profile.functions.most_common(12)])
    return counts


def is_possible():
    return shutil.which("valgrind") is not None
