"""What the kernel forbids each process, tried from inside the process (tests/support/probe.c) and held to the table of
docs/security.md; and that nothing of the probe is in what ships."""
import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys

import pytest

from house import ROOT, House, Process, binary, wait_for
from role import Role

ROLES = ("smtpd", "queue", "delivery", "directory", "share", "mirror")
WHERE_SET = {"share": {"share": {"redis": "redis://127.0.0.1:9"}}, # nobody is there; they wait for him behind their locks
             "mirror": {"accounts": {"postgresql": "host=127.0.0.1 port=9 dbname=goniec sslmode=disable"}}}
HAS_PROBE = b"GONIEC_PROBE" in pathlib.Path(binary()).read_bytes()
SANITIZED = b"__asan_init" in pathlib.Path(binary()).read_bytes()
needs_probe = pytest.mark.skipif(not HAS_PROBE, reason="built without -Dprobe=true")

ENDED, REFUSED, POSSIBLE = "ended", "refused", "possible"
# Built with a sanitizer a process may look at itself with these; the sanitizer's own calls do not tell whose they are.
OF_SANITIZERS = {"debug-parent", "fork", "handle-signal", "become-dumpable", "signal-parent"}


def documented():
    """The table of docs/security.md: (thing, role) -> what must happen."""
    rows = {}
    for line in (ROOT / "docs/security.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        thing = re.search(r"`([a-z-]+)`$", cells[0])
        if thing and len(cells) == 1 + len(ROLES):
            rows.update({(thing.group(1), role): cell for role, cell in zip(ROLES, cells[1:])})
    return rows


TABLE = documented()


def settings(folder):
    for name in ("state", "state/accounts", "state/spool", "state/tls", "run"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    (folder / "state/tls/self-signed.key").write_text("a key\n")
    (folder / "state/accounts/accounts.db-copy").write_text("accounts\n")
    return {"hostname": "mail.example.org", "state-dir": str(folder / "state"), "run-dir": str(folder / "run"), "user": "",
            "log": {"level": "debug"}, "dns": {"resolvers": ["127.0.0.1:9"]}, "spool": {"segment": "1MiB", "reserve": "0"}}


def outcome(folder, role, thing, path=None, port=0):
    """Lets a process of the role try it. ENDED, or the errno that it got."""
    process = Role(role, folder, {**settings(folder), **WHERE_SET.get(role, {})},
                   {"GONIEC_PROBE": thing, "GONIEC_PROBE_PATH": str(path or "/etc/passwd"), "GONIEC_PROBE_PORT": str(port)})
    wait_for("the attempt", lambda: process.events("probe") or process.process.poll() is not None)
    said = process.events("probe")
    code = process.end()
    if said:
        assert said[0]["thing"] == thing and said[0]["of"] == role
        return said[0]["errno"]
    assert code in (159, -signal.SIGSYS), (code, process.log.read_text()[-2000:])
    if code == 159:
        (broken,) = process.events("lock-broken")
        assert broken["role"] == role and broken["call"] != "unknown"
    return ENDED


@needs_probe
@pytest.mark.parametrize("thing", sorted({thing for thing, _ in TABLE}))
def test_what_is_forbidden_cannot_be_done(tmp_path, thing):
    kind, _, where = thing.partition("-of-")
    places = {"spool": "state/spool", "accounts": "state/accounts/accounts.db-copy", "keys": "state/tls/self-signed.key"}
    settings(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    path = {"write-file": "/tmp/goniec-probe-file", "remove-file": str(tmp_path / "victim"), "make-link": str(tmp_path / "link"),
            "make-hard-link": str(tmp_path / "hard"), "list-folder": "/etc", "connect-unix": str(tmp_path / "run/none.sock"),
            }.get(thing, "/etc/passwd")
    if where:
        path, kind = str(tmp_path / places[where]), "read-file"
    (tmp_path / "victim").write_text("still here\n")
    for role in ROLES:
        wanted = TABLE[thing, role]
        if SANITIZED and kind in OF_SANITIZERS:
            continue
        got = outcome(tmp_path, role, kind, path, listener.getsockname()[1])
        if wanted == ENDED:
            assert got == ENDED, f"{role} could go on after {thing}: errno {got}"
        elif wanted == REFUSED:
            assert got != ENDED and got != 0, f"{role}: {thing} gave {got}"
        else:
            assert wanted == POSSIBLE and got in (0, None), f"{role}: {thing} gave {got}"
    listener.close()
    assert (tmp_path / "victim").exists() and not os.path.exists("/tmp/goniec-probe-file")
    assert not os.path.lexists(tmp_path / "link") and not os.path.lexists(tmp_path / "hard")


def test_the_table_is_whole():
    """Each thing that the probe can try stands in the documents, for each role."""
    source = (ROOT / "tests/support/probe.c").read_text()
    things = set(re.findall(r'\{ "([a-z-]+)", [a-z_]+ \}', source))
    assert things and things <= {thing for thing, _ in TABLE} and len(TABLE) >= len(ROLES) * len(things)
    assert {cell for cell in TABLE.values()} == {ENDED, REFUSED, POSSIBLE}


@needs_probe
def test_the_supervisor_says_who_broke_a_lock(tmp_path):
    house = House(tmp_path / "house", accounts=())
    env = house.env()
    house.env = lambda: dict(env, GONIEC_PROBE="execute")
    house.server = Process("serve", [binary(), "serve", "--config", str(house.config)], house.folder, house.env())
    house.wait_event("child-broke-lock")
    assert house.server.process.wait(60) == 1
    house.server = None
    told = house.events("child-broke-lock")[0]
    named = {event["pid"]: event for event in house.events("lock-broken")}[told["child_pid"]]
    assert named["call"] == "execve" and named["role"] == told["child"]


def test_what_ships_has_no_probe():
    release = ROOT / "build/release/src/cli/goniec"
    if not release.exists():
        pytest.skip("no release build (make)")
    found = release.read_bytes()
    assert b"probe_run" not in found and b"GONIEC_PROBE" not in found and b"new-namespace" not in found
    names = subprocess.run(["nm", "--defined-only", release], capture_output=True, text=True, check=True).stdout
    assert "probe" not in names.lower()


def test_every_process_is_locked(house):
    """As the kernel tells it, whatever the processes say."""
    assert house.events("ready")[0]["locks"] is True
    for role in ROLES:
        for pid in house.pids(role):
            status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
            assert status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1"
            assert int(status["Seccomp_filters"]) >= 2  # the supervisor's, and its own
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                assert re.search(r"^Seccomp:\s+2$", (task / "status").read_text(), re.M)


def test_a_kernel_without_landlock(tmp_path, sink):
    """It is said, and everything else holds: mail goes its way under the locks that are left."""
    house = House(tmp_path / "house", accounts=())
    house.route_all_to(sink.port)
    house.server = Process("serve", [sys.executable, str(ROOT / "tests/support/no_landlock.py"), binary(), "serve", "--config",
                                     str(house.config)], house.folder, house.env())
    try:
        house.wait_event("ready")
        (said,) = house.events("landlock-missing")
        assert said["level"] == "warning" and "no Landlock" in said["why"]
        ready = house.events("ready")[0]
        assert ready["locks"] is True and ready["landlock"] == 0
        with smtplib.SMTP("127.0.0.1", house.ports["relay"]) as client:
            client.sendmail("a@example.org", ["b@example.net"], "Subject: x\r\n\r\nx\r\n")
        wait_for("the message", sink.messages)
        for role in ROLES:
            for pid in house.pids(role):
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                assert re.search(r"^Seccomp:\s+2$", status, re.M) and int(re.search(r"Seccomp_filters:\s+(\d+)", status).group(1)) >= 3
    finally:
        house.stop()


ASK = """
import os, socket, sys
os.setgroups([int(n) for n in sys.argv[4:]]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
client = socket.socket(socket.AF_UNIX)
client.settimeout(30)
client.connect(sys.argv[1])
try:
    client.sendall(b'{"op": "status"}\\n')
    print(client.recv(65536).decode())
except OSError:
    print("cut off, not allowed")
"""


def asked_as(path, user, *groups):
    """What the control socket answers to that user."""
    done = subprocess.run([sys.executable, "-c", ASK, str(path), str(user.pw_uid), str(user.pw_gid), *map(str, groups)],
                          capture_output=True, text=True, timeout=60)
    return done.stdout or done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_the_control_socket_looks_who_asks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    for place in (folder, *folder.parents):
        if place.stat().st_uid == 0 and not place.stat().st_mode & 0o001:
            os.chmod(place, 0o755)
    nobody, games = pwd.getpwnam("nobody"), pwd.getpwnam("games")
    with House(folder / "house", {"user": "nobody"}, accounts=()) as house:
        path = house.folder / "run/control.sock"
        assert path.stat().st_mode & 0o777 == 0o660
        (house.folder / "run").chmod(0o755)
        assert "Permission denied" in asked_as(path, games)
        path.chmod(0o666)  # the first lock broken, the second one holds
        assert "not allowed" in asked_as(path, games)
        assert house.wait_event("control-denied")[0]["who"] == f"uid {games.pw_uid}"
        assert "not allowed" not in asked_as(path, nobody) and '"error"' not in asked_as(path, nobody)
        assert '"error"' not in asked_as(path, games, nobody.pw_gid)  # the group's member
        assert len(house.events("control-denied")) == 1


def test_no_locks_where_the_settings_say_so(tmp_path):
    with House(tmp_path / "house", {"locks": False}, accounts=()) as house:
        house.wait_event("locks-off")
        for pid in house.pids():
            assert re.search(r"^Seccomp:\s+0$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
        house.change({"locks": True})
        done = house.run("reload", check=False)
        assert done.returncode == 1 and "locks" in done.stderr and "restart" in done.stderr


def test_accounts_in_another_folder_want_a_restart(house):
    house.change({"accounts": {"database": str(house.folder / "elsewhere/accounts.db")}})
    done = house.run("reload", check=False)
    assert done.returncode == 1 and "accounts.database" in done.stderr and "restart" in done.stderr


def test_accounts_put_back_from_a_copy(house):
    """Another file under the name is behind the same lock."""
    database = house.folder / "state/accounts/accounts.db"
    subprocess.run(["sqlite3", database, f".backup {database}.copy"], check=True) if shutil.which("sqlite3") else \
        copy_database(database, f"{database}.copy")
    for name in ("", "-wal", "-shm"):
        pathlib.Path(f"{database}{name}").unlink(missing_ok=True)
    os.rename(f"{database}.copy", database)
    house.run("account", "add", "ben@example.org", "--password-stdin", stdin="another secret\n")
    # Within a second the directory looks at the name again; the same wrong try counts as one.
    wait_for("a login that only the copy knows", lambda: logs_in(house, "ben@example.org", "another secret"))
    assert logs_in(house, "anna@example.org", "secret")


def logs_in(house, login, password):
    with smtplib.SMTP("127.0.0.1", house.ports["submission"], timeout=30) as client:
        client.starttls()
        try:
            return client.login(login, password)[0] == 235
        except smtplib.SMTPAuthenticationError:
            return False


def copy_database(source, target):
    import sqlite3
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)


def test_reload_under_the_locks(house, sink):
    """All that a reload makes anew (certificates, resolvers, routes) is made behind the locks."""
    house.change({"dns": {"resolvers": ["system"], "hosts": True}, "delivery": {"trust": "/etc/ssl/certs/ca-certificates.crt"}})
    house.run("reload")
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.starttls()
        client.sendmail("x@example.org", ["y@example.net"], "Subject: after\r\n\r\n")
    sink.wait_messages(1)
    assert not house.events("lock-broken")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_the_unit_is_tight(tmp_path):
    unit = tmp_path / "goniec.service"
    unit.write_text((ROOT / "packaging/goniec.service.in").read_text().replace("@BINDIR@", "/usr/bin"))
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True,
                          timeout=60)
    score = float(re.search(r"exposure level for .*: ([0-9.]+)", done.stdout).group(1))
    assert score < 2.0, done.stdout


def memory_of(pid):
    """What the process has in memory and can be read (by root), piece by piece."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            start, end = (int(text, 16) for text in match.groups()) if match else (0, 0)
            if not match or "[v" in line or end - start > 1 << 28:  # larger ones are a sanitizer's own
                continue
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(start)
                yield memory.read(end - start)


SECRET = "Zo8-quite-unlike-anything-else-in-memory"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into another process")
@pytest.mark.parametrize("how", ["plain", "login", "wrong"])
def test_passwords_leave_the_memory(tmp_path, how):
    """Once a login is over, no process has the password any more, in whatever form it came over the wire."""
    account = ("anna@example.org", SECRET if how != "wrong" else "something else")
    with House(tmp_path / "house", accounts=(account,)) as house:
        with smtplib.SMTP("127.0.0.1", house.ports["submission"], timeout=30) as client:
            client.starttls()
            client.ehlo()
            client.user, client.password = "anna@example.org", SECRET
            if how == "login":
                code, _ = client.auth("LOGIN", client.auth_login)
            else:
                import base64
                line = base64.b64encode(f"\0anna@example.org\0{SECRET}".encode()).decode()
                code, _ = client.docmd("AUTH", f"PLAIN {line}")
            assert code == (535 if how == "wrong" else 235)
            client.docmd("NOOP")
            left = []
            needles = [SECRET.encode(), *coded(SECRET)]
            for role in ("smtpd", "directory", "queue", "delivery"):
                for pid in house.pids(role):
                    seen = 0
                    for block in memory_of(pid):
                        seen += len(block)
                        left += [(role, needle) for needle in needles if needle in block]
                    assert seen > 1 << 20
            assert not left
        log = house.log_file.read_bytes()
        assert not any(needle in log for needle in needles)


def coded(text):
    """What of the text is in its base64 whatever stands before it."""
    import base64
    return [base64.b64encode(b"\0" * shift + text.encode())[8:-8] for shift in range(3)]
