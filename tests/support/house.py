"""A whole goniec in a folder of its own, for tests: settings, start, stop, its log, its sinks.

Nothing here sleeps for luck: every wait has an event and a deadline.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GONIEC_BUILD", ROOT / "build/test"))
DEADLINE_S = float(os.environ.get("GONIEC_TEST_DEADLINE", "30"))


def binary():
    """The program under test."""
    for place in (BUILD / "src/cli/goniec", BUILD / "goniec"):
        if place.exists():
            return str(place)
    raise FileNotFoundError(f"no goniec below {BUILD}; build it first (make test does)")


def free_port():
    """A port that nothing listens on. Below those that the kernel gives to outgoing connections, and each in turn for
    everybody who runs tests here, so that nobody takes it between this look and its use."""
    with open(pathlib.Path(tempfile.gettempdir()) / "goniec-test-ports", "a+") as last:
        fcntl.flock(last, fcntl.LOCK_EX)
        last.seek(0)
        port = int(last.read() or 12000)
        while True:
            port = port + 1 if port < 31999 else 12000
            with contextlib.suppress(OSError), socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
                last.truncate(0)
                last.write(str(port))
                return port


def wait_for(what, condition, deadline_s=None):
    """Polls `condition` until it gives something true, and returns that."""
    end = time.monotonic() + (deadline_s or DEADLINE_S)
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain for {what}")
        time.sleep(0.02)


def can_connect(port, host="127.0.0.1"):
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def merge(base, changes):
    """`base` with `changes` laid over it, dictionaries by key."""
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = merge(merged[key], value) if isinstance(value, dict) and isinstance(merged.get(key), dict) else value
    return merged


class Process:
    """A program with its output kept in a file, ended politely and then for certain."""

    running = []  # whatever a test forgets, its end kills (tests/conftest.py)

    def __init__(self, name, arguments, folder, env=None):
        self.name = name
        self.output = pathlib.Path(folder) / f"{name}.out"
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            env=env, start_new_session=True)
        Process.running.append(self)

    def text(self):
        return self.output.read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def stop(self, how=signal.SIGTERM, deadline_s=DEADLINE_S):
        if self.alive():
            self.process.send_signal(how)
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Sink(Process):
    """goniec's own receiving server, told to store what it gets."""

    def __init__(self, folder, *options, port=None, name="sink", store=True):
        self.port = port or free_port()
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = [binary(), "sink", "--listen", f"127.0.0.1:{self.port}", *options]
        if store:
            arguments += ["--store", str(self.folder)]
        super().__init__(name, arguments, folder)
        wait_for("the sink's port", lambda: can_connect(self.port) or not self.alive())
        assert self.alive(), self.text()

    def messages(self):
        """What arrived, each as bytes, oldest first."""
        return [path.read_bytes() for path in sorted(self.folder.glob("*.eml"))]

    def count(self):
        """How many arrived, without reading them."""
        return sum(name.endswith(".eml") for name in os.listdir(self.folder))

    def wait_messages(self, count, deadline_s=None):
        return wait_for(f"{count} messages in the sink", lambda: (m := self.messages()) and len(m) >= count and m, deadline_s)


class House:
    """A running server. `settings` are laid over a small default that listens on free ports of the loopback."""

    def __init__(self, folder, settings=None, accounts=(("anna@example.org", "secret"),)):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = {name: free_port() for name in ("submission", "submissions", "relay")}
        self.config = self.folder / "goniec.conf"
        self.log_file = self.folder / "events.jsonl"
        self.settings = merge(self.defaults(), settings or {})
        self.server = None
        self.write_settings()
        self.accounts = dict(accounts)
        for login, password in self.accounts.items():
            self.run("account", "add", login, "--password-stdin", stdin=password + "\n")

    def defaults(self):
        ports = self.ports
        return {
            "hostname": "mail.example.org",
            "state-dir": str(self.folder / "state"),
            "run-dir": str(self.folder / "run"),
            "user": "",
            "log": {"file": str(self.log_file), "level": "debug"},
            "listen": [
                {"address": f"127.0.0.1:{ports['submission']}", "service": "submission", "tls": "starttls"},
                {"address": f"127.0.0.1:{ports['submissions']}", "service": "submission", "tls": "implicit"},
                {"address": f"127.0.0.1:{ports['relay']}", "service": "relay", "tls": "starttls"},
            ],
            "relay": {"networks": ["127.0.0.0/8"]},
            "accounts": {"limits": []}, # tests send much; those of the limits say others
            "delivery": {"refuse-networks": []},
            "spool": {"segment": "4MiB", "reserve": "16MiB"},
            "queue": {"first-retry": "1s", "longest-retry": "2s", "site-pause": "1s", "longest-site-pause": "1s"},
        }

    # -- settings and commands --

    def write_settings(self):
        self.config.write_text(json.dumps(self.settings, indent=2))

    def change(self, changes):
        self.settings = merge(self.settings, changes)
        self.write_settings()

    def route_all_to(self, port):
        self.change({"routes": [{"domain": "*", "via": f"smtp://127.0.0.1:{port}"}]})

    def env(self):
        return dict(os.environ, GONIEC_CONFIG=str(self.config))

    def run(self, *arguments, stdin="", check=True):
        done = subprocess.run([binary(), *map(str, arguments)], input=stdin, capture_output=True, text=True, env=self.env(),
                              timeout=DEADLINE_S)
        if check and done.returncode != 0:
            raise AssertionError(f"goniec {' '.join(map(str, arguments))} gave {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments):
        return json.loads(self.run(*arguments, "--json").stdout)

    # -- life --

    def start(self):
        ready = self.starts() + 1
        self.server = Process("serve", [binary(), "serve", "--config", str(self.config)], self.folder, self.env())
        wait_for("the server's start", lambda: not self.server.alive() or self.starts() >= ready)
        assert self.server.alive(), self.server.text()
        return self

    def starts(self):
        """How often it was ready, by its log."""
        return self.log_file.read_bytes().count(b'"event":"ready"') if self.log_file.exists() else 0

    def stop(self):
        """Ends the server; its exit code and the sanitizers' silence are part of every test."""
        if self.server is None:
            return
        code = self.server.stop()
        text = self.server.text()
        self.server = None
        assert "Sanitizer" not in text and "runtime error:" not in text, text
        assert code == 0, f"serve ended with {code}:\n{text}"

    def kill(self):
        """As a power cut: every process at once. Behind it none is left that could still have a port or a file."""
        pids = self.pids()
        self.server.kill() # first: it must not see the others end, and tell of it
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server = None
        wait_for("the end of all processes", lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids))

    def pids(self, role=None):
        """Process ids of the server, or only those of one role."""
        found = []
        for place in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (place / "cmdline").read_bytes().split(b"\0")
                parent = int(re.search(r"^PPid:\s+(\d+)", (place / "status").read_text(), re.M).group(1))
                if parent == self.server.process.pid and b"role" in words:
                    if role is None or role.encode() in words:
                        found.append(int(place.name))
        return found if role else found + [self.server.process.pid]

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        elif self.server is not None:
            with contextlib.suppress(Exception):
                self.kill()
            print((self.folder / "serve.out").read_text(errors="replace")[-4000:])
            lines = self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []
            print("\n".join(line[:400] for line in lines[-25:]))

    # -- what it says --

    def events(self, name=None, **fields):
        """Lines of the event log with that name and those fields."""
        if not self.log_file.exists():
            return []
        found = []
        for line in self.log_file.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                # Whoever was killed in the middle of a line has no line end: the next one's begins behind it.
                event = json.loads(line[max(line.rfind('{"time":"'), 0):])
                if (name is None or event.get("event") == name) and all(event.get(k) == v for k, v in fields.items()):
                    found.append(event)
        return found

    def wait_event(self, name, count=1, deadline_s=None, **fields):
        def enough():
            events = self.events(name, **fields)
            return events if len(events) >= count else None
        return wait_for(f"{count} x {name} {fields}", enough, deadline_s)

    def wait_empty(self, deadline_s=None):
        """Until nothing is queued."""
        wait_for("an empty queue", lambda: not self.json("queue", "list"), deadline_s)


class Script(threading.Thread):
    """A remote server that follows a script: a function that gets each connection's file and a number from 0.

    It misbehaves exactly as told; what it raises is kept and shown by check().
    """

    def __init__(self, play):
        super().__init__(daemon=True)
        self.play, self.faults, self.connections = play, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            number = self.connections
            self.connections += 1
            threading.Thread(target=self.one, args=(peer, number), daemon=True).start()

    def one(self, peer, number):
        peer.settimeout(DEADLINE_S)
        with peer, peer.makefile("rwb", buffering=0) as talk:
            try:
                self.play(talk, number)
            except (OSError, ValueError):
                pass
            except Exception as fault:  # noqa: BLE001 - shown by check()
                self.faults.append(fault)

    def check(self):
        assert not self.faults, self.faults

    def close(self):
        self.listener.close()


def find_program(name):
    """A program of Debian's, wherever its package put it."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/postfix/sbin")
