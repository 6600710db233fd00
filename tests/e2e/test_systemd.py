"""The unit as it ships, under a real systemd: the README's commands on a machine that knows nothing of goniec."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from house import wait_for  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
RELEASE = TOP / "build/release"
STAGE = TOP / "tests/support/systemd_stage.sh"
LETTER = """
import smtplib, ssl, sys
trusting = ssl.create_default_context()
trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP("127.0.0.1", 587, timeout=30) as client:
    client.starttls(context=trusting)
    client.login("anna@example.org", sys.argv[1])
    client.sendmail("anna@example.org", ["bob@nowhere.invalid"], "Subject: x\\r\\n\\r\\nhello\\r\\n")
"""


class Machine:
    """systemd as process 1 of its own namespaces, on an overlay over this machine's files."""

    def __init__(self, folder):
        self.log = open(folder / "log", "w+")
        place = folder / "machine"
        place.mkdir()
        self.outer = subprocess.Popen(["unshare", "-m", "-p", "-f", "-C", "-i", "-u", "-n", "--kill-child", "bash", str(STAGE), str(place)],
                                      stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.first = None

    def find_first(self):
        with contextlib.suppress(OSError):
            pid = pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
            if pid and b"systemd" in pathlib.Path(f"/proc/{pid[0]}/cmdline").read_bytes():
                self.first = pid[0]
        return self.first or self.outer.poll() is not None

    def run(self, *words, text="", octets=None, check=True):
        done = subprocess.run(["nsenter", "-t", self.first, "-m", "-p", "-i", "-u", "-C", "-n", "-r", "-w", "env", "-i",
                               "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", *words],
                              input=octets or text.encode(), capture_output=True, timeout=120)
        assert not check or done.returncode == 0, f"{words}: {(done.stdout + done.stderr).decode()}"
        return done.stdout.decode().strip()

    def install(self, folder):
        """The folders of the build may not be seen in there."""
        subprocess.run(["meson", "install", "-C", RELEASE, "--no-rebuild", "--quiet", "--destdir", folder], check=True, stdout=self.log, stderr=self.log)
        packed = subprocess.run(["tar", "-C", folder, "--owner=0", "--group=0", "-cf", "-", "."], check=True, capture_output=True).stdout
        self.run("tar", "-C", "/", "--no-overwrite-dir", "-xf", "-", octets=packed)

    def is_up(self):
        return self.run("systemctl", "is-system-running", check=False) in ("running", "degraded")

    def end(self):
        self.outer.kill()
        self.outer.wait()
        self.log.close()


@pytest.fixture
def machine(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can start a systemd beside another one")
    if not shutil.which("systemctl") or not (RELEASE / "src/cli/goniec").exists():
        pytest.skip("no systemd, or no release build")
    machine = Machine(tmp_path)
    try:
        wait_for("a systemd", machine.find_first, 30)
        if not machine.first:
            machine.log.seek(0)
            pytest.skip("no systemd starts here: " + machine.log.read().strip()[-200:])
        try:
            wait_for("a machine that is up", machine.is_up, 60)
        except AssertionError:
            pytest.skip("systemd does not come up here")
        if machine.run("systemd-run", "--wait", "-q", "-p", "PrivateDevices=yes", "-p", "ProtectSystem=strict", "true", check=False):
            pytest.skip("systemd cannot lock up anything here")
        yield machine
    finally:
        machine.end()


def state_of(machine):
    """What it does, and how often it was begun again by itself."""
    return dict(line.split("=") for line in machine.run("systemctl", "show", "-p", "SubState,NRestarts", "goniec").splitlines())


def test_the_unit_as_it_ships(machine, tmp_path):
    """README, "Install it"; then a letter by 587, one by sendmail, a reload, a kill, a stop."""
    machine.install(tmp_path / "installed")
    machine.run("systemd-sysusers")
    machine.run("systemd-tmpfiles", "--create", "--prefix=/var/lib/goniec", "--prefix=/var/log/goniec", "--prefix=/run/goniec", "--prefix=/etc/goniec")
    machine.run("goniec", "account", "add", "--password-stdin", "anna@example.org", text="a password of Anna\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("ip", "link", "set", "lo", "up")
    machine.run("systemctl", "enable", "--now", "goniec")
    assert state_of(machine) == {"SubState": "running", "NRestarts": "0"}

    machine.run("/usr/bin/python3", "-c", LETTER, "a password of Anna")
    machine.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/local/lib/goniec/sendmail", "-t",
                text="To: carol@nowhere.invalid\nSubject: x\n\nx\n")
    assert "Accepted from anna@example.org" in machine.run("goniec", "trace", "bob@nowhere.invalid")
    assert "Accepted from nobody@" in machine.run("goniec", "trace", "carol@nowhere.invalid")

    machine.run("systemctl", "reload", "goniec")
    main = machine.run("systemctl", "show", "-p", "MainPID", "--value", "goniec")
    machine.run("kill", "-KILL", main)
    wait_for("the next run", lambda: state_of(machine) == {"SubState": "running", "NRestarts": "1"}, 60)
    assert machine.run("goniec", "status")
    machine.run("systemctl", "stop", "goniec")
    assert state_of(machine)["SubState"] == "dead"
    events = machine.run("cat", "/var/log/goniec/events.jsonl")
    assert '"event":"accepted"' in events and '"level":"error"' not in events
    exposure = machine.run("systemd-analyze", "security", "--no-pager", "goniec", check=False)
    assert float(exposure.rsplit("goniec.service:", 1)[1].split()[0]) < 2.0
