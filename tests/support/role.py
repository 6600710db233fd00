"""Plays the supervisor for one process of goniec: descriptor 3, settings, log, START (src/wire/supervisor.h)."""
import array
import json
import os
import socket
import struct
import subprocess

from house import binary

SETTINGS, LOG, START = 1, 4, 6


def text(octets):
    return struct.pack("<I", len(octets)) + octets


def send(channel, kind, body=b"", fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    channel.sendmsg([struct.pack("<IHH", len(body), kind, len(fds)) + body], rights)


class Role:
    """A process of the role, started as the supervisor starts it. What it logs stands in `log`."""

    def __init__(self, name, folder, settings, env=None):
        self.log = folder / f"{name}.jsonl"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.channel = ours
        with open(folder / f"{name}.out", "ab") as output, open(self.log, "ab") as log:
            os.set_inheritable(theirs.fileno(), True)

            def place():
                os.dup2(theirs.fileno(), 3)
                os.closerange(4, 64)

            self.process = subprocess.Popen([binary(), "role", name, "0"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            close_fds=False, preexec_fn=place, env=dict(os.environ, **(env or {})))
            theirs.close()
            send(ours, SETTINGS, struct.pack("<II", 0, 1) + text(b"goniec.conf") + text(json.dumps(settings).encode()) +
                 struct.pack("<I", 0))
            send(ours, LOG, fds=[log.fileno()])
            send(ours, START)

    def events(self, name=None):
        found = [json.loads(line) for line in self.log.read_text(errors="replace").splitlines()]
        return [event for event in found if name in (None, event["event"])]

    def end(self):
        """Takes the supervisor away from it; its exit status, negative for a signal."""
        self.channel.close()
        return self.process.wait(60)
