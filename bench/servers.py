"""The two servers that are measured, each started in a folder of its own, and the sink that everything is sent on to."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

TICKS = os.sysconf("SC_CLK_TCK")
LOGIN = "bench@bench.example"
PASSWORD = "courier-by-night"


def run(command, check=True, **more):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_port(port, process=None, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.close()
                return
        except OSError:
            if process is not None and process.poll() is not None:
                raise SystemExit(f"{process.args[0]} ended with {process.returncode}")
            time.sleep(0.02)
    raise SystemExit(f"nobody listens on port {port}")


def processes():
    """pid -> (parent, CPU ticks of itself and of its ended children)."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        found[int(entry)] = (int(fields[1]), sum(int(f) for f in fields[11:15]))
    return found


def tree_of(root, every=None):
    """The process and all below it."""
    every = every or processes()
    tree, grown = {root}, True
    while grown:
        below = {pid for pid, (parent, _) in every.items() if parent in tree} - tree
        tree |= below
        grown = bool(below)
    return tree


def cpu_of_tree(root):
    """Seconds of the process, all below it, and all of them that have ended and were waited for."""
    every = processes()
    return sum(every[pid][1] for pid in tree_of(root, every) if pid in every) / TICKS


class Sink:
    """A receiver (`goniec sink`) in front of which a server stands; take() ends it and gives what it counted."""

    def __init__(self, goniec, folder, *options, port=None, name="sink", hosts=("127.0.0.1",), **more):
        """`hosts`: addresses to listen on, through one of which 127.0.0.1 is reached; `more`: for subprocess.Popen."""
        self.port, self.output = port or free_port(), pathlib.Path(folder) / f"{name}.json"
        with open(self.output, "w") as output:
            listen = [word for host in hosts for word in ("--listen", f"{host}:{self.port}")]
            self.process = subprocess.Popen([goniec, "sink", "--quiet", *listen, *map(str, options)], stdout=output,
                                            stderr=sys.stderr, **more)
        wait_port(self.port, self.process)

    def count(self):
        """What it has counted so far."""
        before = self.output.stat().st_size
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 20
        while self.process.poll() is None and self.output.stat().st_size == before and time.monotonic() < end:
            time.sleep(0.01)
        return self.last()

    def last(self):
        """What it last said, by itself with --stats; None: nothing yet."""
        lines = self.output.read_text().splitlines()
        return json.loads(lines[-1]) if lines else None

    def wait(self, settle_s=60):
        """With --expect and --stats: until all have arrived, or nothing has for so long; then like take()."""
        seen, since = -1, time.monotonic()
        while self.process.poll() is None and time.monotonic() - since < settle_s:
            time.sleep(0.05)
            now = self.last()
            if now and now["messages"] != seen:
                seen, since = now["messages"], time.monotonic()
        return self.take()

    def take(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        return self.last()


class Server:
    login, password = LOGIN, PASSWORD

    def cpu_seconds(self):
        return cpu_of_tree(self.root())

    def warm_up(self, goniec):
        """A few connections before the clock runs, so that processes are started and caches are filled."""
        for port, options in ((self.ports["relay"], []),
                              (self.ports["submission"], ["--tls", "starttls", "--login", f"{LOGIN}:{PASSWORD}"])):
            command = [goniec, "load", "--to", f"127.0.0.1:{port}", "--messages", "5", "--connections", "5", "--per-connection",
                       "1", "--size", "1000", "--from", LOGIN, "--rcpt", "warm%d@bench.example", "--name", "warm.example"]
            for last_try in [False] * 20 + [True]:  # a server that has just started may put mail off
                if subprocess.run(command + options, stdout=sys.stderr if last_try else subprocess.DEVNULL).returncode == 0:
                    break
                if last_try:
                    raise SystemExit("the server does not take mail")
                time.sleep(0.2)
        time.sleep(0.5)


class Goniec(Server):
    def __init__(self, program, folder):
        self.program, self.folder, self.process = program, folder, None
        folder.mkdir(parents=True, exist_ok=True)

    def settings(self, sink_port):
        return {
            "hostname": "goniec.bench.example",
            "state-dir": str(self.folder / "state"),
            "run-dir": str(self.folder / "run"),
            "user": "",
            "log": {"file": str(self.folder / "events.jsonl")},
            "listen": [{"address": f"127.0.0.1:{self.ports['relay']}", "service": "relay", "tls": "none"},
                       {"address": f"127.0.0.1:{self.ports['submission']}", "service": "submission", "tls": "starttls"}],
            "smtpd": {"max-connections-per-address": "unlimited"},
            "relay": {"networks": ["127.0.0.0/8"]},
            "accounts": {"limits": []},
            "routes": [{"domain": "*", "via": f"smtp://127.0.0.1:{sink_port}", "tls": "none"}],
        }

    def start(self, sink_port):
        for old in ("state", "run", "events.jsonl"):
            shutil.rmtree(self.folder / old, ignore_errors=True)
        self.ports = {"relay": free_port(), "submission": free_port()}
        config = self.folder / "goniec.conf"
        config.write_text(json.dumps(self.settings(sink_port), indent=1))
        run([self.program, "account", "add", LOGIN, "--password-stdin", "--config", config], input=PASSWORD + "\n")
        with open(self.folder / "serve.out", "w") as output:
            self.process = subprocess.Popen([self.program, "serve", "--config", str(config)], stdout=output, stderr=output)
        for port in self.ports.values():
            wait_port(port, self.process)

    def root(self):
        return self.process.pid

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {folder}/data
maillog_file = /var/log/goniec-bench-postfix.log
myhostname = postfix.bench.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
local_transport = error:no local mail
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
disable_dns_lookups = yes
smtp_host_lookup = native
smtp_tls_security_level = none
smtpd_tls_cert_file = {folder}/certificate.pem
smtpd_tls_key_file = {folder}/key.pem
smtpd_tls_session_cache_database = btree:${{data_directory}}/sessions
smtpd_peername_lookup = no
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/sasl
smtpd_relay_restrictions = permit_mynetworks, reject
# Tuned for throughput: no pacing of ourselves, no limits on one client, many processes, connections kept.
default_process_limit = 250
in_flow_delay = 0
default_destination_concurrency_limit = 100
initial_destination_concurrency = 50
default_destination_concurrency_failed_cohort_limit = 100
smtp_destination_concurrency_limit = 50
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
smtpd_timeout = 300s
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
smtp_connection_cache_destinations = [127.0.0.1]:{sink}
message_size_limit = 26214400
"""

POSTFIX_MASTER = """\
127.0.0.1:{relay} inet n - n - 250 smtpd
127.0.0.1:{submission} inet n - n - 250 smtpd -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - 100 smtp
relay unix - - n - 100 smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

PACKAGES = ["postfix", "libsasl2-modules", "sasl2-bin"]


class Postfix(Server):
    """Debian's Postfix as a private instance: own settings, own queue, own ports; the system's one is not touched."""

    def __init__(self, folder):
        self.folder, self.running = folder, False
        self.install()
        if os.geteuid() != 0:
            raise SystemExit("Postfix starts only as root: run the benchmark as root, or with --only goniec")
        folder.mkdir(parents=True, exist_ok=True)
        self.queue = folder / "queue"

    @staticmethod
    def install():
        if shutil.which("postfix", path="/usr/sbin:/usr/bin") and shutil.which("saslpasswd2", path="/usr/sbin:/usr/bin"):
            return
        command = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
        if os.geteuid() != 0:
            raise SystemExit(f"Postfix is needed for the comparison:\n  sudo {' '.join(command)}")
        print("installing from Debian:", " ".join(PACKAGES), file=sys.stderr)
        subprocess.run(["debconf-set-selections"], input="postfix postfix/main_mailer_type select No configuration\n", text=True)
        run(command, env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))

    def make_keys(self):
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
             "/CN=postfix.bench.example", "-keyout", self.folder / "key.pem", "-out", self.folder / "certificate.pem"])
        sasl = self.folder / "sasl"
        sasl.mkdir(exist_ok=True)
        (sasl / "smtpd.conf").write_text(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n"
                                         f"sasldb_path: {self.folder}/sasldb2\n")
        user, domain = LOGIN.split("@")
        run(["/usr/sbin/saslpasswd2", "-f", self.folder / "sasldb2", "-p", "-c", "-u", domain, user], input=PASSWORD)
        shutil.chown(self.folder / "sasldb2", "postfix", "postfix")

    def postfix(self, word, check=True):
        return run(["/usr/sbin/postfix", "-c", self.folder, word], check=check)

    def start(self, sink_port):
        shutil.rmtree(self.queue, ignore_errors=True)
        self.queue.mkdir()
        (self.folder / "data").mkdir(exist_ok=True)
        shutil.chown(self.folder / "data", "postfix", "postfix")
        self.ports = {"relay": free_port(), "submission": free_port()}
        if not (self.folder / "key.pem").exists():
            self.make_keys()
        values = dict(folder=self.folder, queue=self.queue, sink=sink_port, **self.ports)
        (self.folder / "main.cf").write_text(POSTFIX_MAIN.format(**values))
        (self.folder / "master.cf").write_text(POSTFIX_MASTER.format(**values))
        self.postfix("check", check=False)
        self.postfix("start")
        self.running = True
        for port in self.ports.values():
            wait_port(port)

    def root(self):
        return int((self.queue / "pid/master.pid").read_text())

    def stop(self):
        if not self.running:
            return
        self.postfix("stop", check=False)
        self.running = False
