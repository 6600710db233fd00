"""What the supervisor promises: whom its processes are, that they come back, what systemd hears, what a reload takes."""
import contextlib
import fcntl
import os
import pwd
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from house import House, Process, binary, can_connect, wait_for


def make_certificate(folder, name):
    """A self-signed pair; returns the settings' entry for it."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True, timeout=60)
    return {"certificate": str(certificate), "key": str(key)}


def shown_certificate(port, name):
    context = ssl._create_unverified_context()  # noqa: S323 - what is shown is what is tested
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain, \
            context.wrap_socket(plain, server_hostname=name) as secure:
        return secure.getpeercert(binary_form=True)


def file_certificate(pair):
    with open(pair["certificate"]) as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


def test_certificates_by_name_and_reread(house, tmp_path):
    port = house.ports["submissions"]
    first, second = make_certificate(tmp_path, "mail.example.org"), make_certificate(tmp_path, "smtp.example.com")
    house.change({"tls": {"certificates": [first, second]}})
    house.run("reload")
    assert shown_certificate(port, "mail.example.org") == file_certificate(first)
    assert shown_certificate(port, "smtp.example.com") == file_certificate(second)
    assert shown_certificate(port, "unknown.example") == file_certificate(first)
    old = file_certificate(first)
    make_certificate(tmp_path, "mail.example.org")
    house.run("reload")
    assert shown_certificate(port, "mail.example.org") == file_certificate(first) != old


@pytest.mark.parametrize("damage,words", [
    (lambda a, b: {**a, "key": a["key"] + ".missing"}, "No such file"),
    (lambda a, b: {**a, "key": b["key"]}, "key"),
    (lambda a, b: {**a, "certificate": "/etc/passwd"}, "/etc/passwd"),
])
def test_bad_certificates_are_named_with_their_line(house, tmp_path, damage, words):
    a, b = make_certificate(tmp_path, "a.example"), make_certificate(tmp_path, "b.example")
    house.change({"tls": {"certificates": [damage(a, b)]}})
    line = next(n for n, text in enumerate(house.config.read_text().splitlines(), 1) if '"certificates"' in text)
    for command in ("check", "reload"):
        done = house.run(command, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 1 and words in said
        assert any(f"goniec.conf:{near}:" in said for near in range(line, line + 5)), said
    assert can_connect(house.ports["submission"])


def test_self_signed_certificate_stays_the_same(house):
    before = shown_certificate(house.ports["submissions"], "x")
    assert house.events("self-signed-certificate", made=True)
    house.stop()
    house.start()
    assert shown_certificate(house.ports["submissions"], "x") == before
    assert os.stat(house.folder / "state/tls/self-signed.key").st_mode & 0o077 == 0


def test_processes_come_back(house):
    for role in ("smtpd", "delivery", "directory", "queue"):
        old = house.pids(role)
        count = len(house.events("child-ready", child=role))
        os.kill(old[0], signal.SIGKILL)
        house.wait_event("child-ready", count=count + 1, child=role)
        assert old[0] not in house.pids(role)
        house.wait_event("child-ended", child=role, signal=9)


def test_start_waits_for_a_queue_that_is_still_dying(house):
    """The kernel may need a moment to take a large process down; until then it holds the spool."""
    house.stop()
    path = house.folder / "state/spool/lock"
    ready = house.starts()
    with open(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        house.server = Process("serve", [binary(), "serve", "--config", str(house.config)], house.folder, house.env())
        wait_for("a queue before the lock", lambda: any(str(path) in map(os.readlink, links(pid)) for pid in house.pids("queue")))
    wait_for("the server's start", lambda: house.starts() > ready)


def links(pid):
    with contextlib.suppress(OSError):
        return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    return []


def test_many_reloads_at_once(house):
    threads = [threading.Thread(target=house.run, args=("reload",)) for _ in range(5)]
    for thread in threads:
        thread.start()
    house.server.process.send_signal(signal.SIGHUP)
    for thread in threads:
        thread.join()
    house.wait_event("reloaded")
    assert not house.events("reload-refused") and not house.events("reload-failed")


def test_what_only_a_restart_can_change(house):
    house.change({"state-dir": str(house.folder / "elsewhere")})
    done = house.run("reload", check=False)
    assert done.returncode == 1 and "restart" in done.stderr and "state-dir" in done.stderr


def test_log_is_opened_anew_at_a_reload(house):
    rotated = house.log_file.rename(house.log_file.with_suffix(".1"))
    house.run("reload")
    house.wait_event("reloaded")
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.sendmail("x@example.org", ["y@example.net"], "Subject: rotated\r\n\r\n")
    house.wait_event("accepted")
    assert "accepted" not in rotated.read_text()


def test_systemd_is_told(tmp_path, sink):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)
        house = House(tmp_path / "house")
        house.env = lambda: dict(os.environ, GONIEC_CONFIG=str(house.config), NOTIFY_SOCKET=str(path))
        with house:
            assert listener.recv(4096).startswith(b"READY=1")
            house.run("reload")
            assert listener.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert listener.recv(4096) == b"READY=1"
        assert listener.recv(4096).startswith(b"STOPPING=1")


def test_stop_waits_and_leaves_nothing(house):
    pids = house.pids()
    assert house.run("stop").stdout == "stopped\n"
    wait_for("the processes' end", lambda: not any(alive(pid) for pid in pids))
    assert not (house.folder / "run/supervisor.sock").exists()
    assert house.run("stop", check=False).returncode == 1


def alive(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def test_processes_do_not_outlive_the_supervisor(house):
    pids = house.pids()
    os.kill(house.server.process.pid, signal.SIGKILL)
    wait_for("the processes' end", lambda: not any(alive(pid) for pid in pids))
    house.server = None
    house.start()


def test_a_stop_cuts_off_who_takes_too_long(house):
    house.change({"drain": "1s"})
    house.run("reload")
    client = smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30)
    for command in ("EHLO client.example", "MAIL FROM:<x@example.org>", "RCPT TO:<y@example.net>", "DATA"):
        assert client.docmd(command)[0] in (250, 354)
    client.send(b"Subject: half\r\n")
    house.stop()
    client.close()


def reachable(folder):
    """The users have to reach what lies in it."""
    for place in (folder, *folder.parents):
        if place.stat().st_uid == 0 and not place.stat().st_mode & 0o001:
            os.chmod(place, 0o755)
    return folder


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.split(":", 1) for line in file)


def check_user(pid, name):
    user, status = pwd.getpwnam(name), status_of(pid)
    assert set(status["Uid"].split()) == {str(user.pw_uid)}
    assert set(status["Gid"].split()) == {str(user.pw_gid)}
    assert status["Groups"].split() in ([str(user.pw_gid)], [])
    assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"].strip() == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_processes_become_the_user(tmp_path_factory):
    with House(reachable(tmp_path_factory.mktemp("user")) / "house", {"user": "nobody"}) as house:
        assert house.events("users-shared")  # there is no nobody-smtpd
        for role in ("smtpd", "queue", "delivery", "directory"):
            for pid in house.pids(role):
                check_user(pid, "nobody")
                # Nobody gets at what lies in the memory: no core, and not by being the same user.
                with open(f"/proc/{pid}/limits") as file:
                    assert "Max core file size        0                    0 " in file.read()
                assert os.stat(f"/proc/{pid}/environ").st_uid == 0


READ_ALL = """
import os, pathlib, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]))
for name in sys.argv[3:]:
    try:
        path = pathlib.Path(name)
        list(path.iterdir()) if path.is_dir() else path.read_bytes()
        print(name)
    except PermissionError:
        pass
"""


def readable_for(name, paths):
    user = pwd.getpwnam(name)
    done = subprocess.run([sys.executable, "-c", READ_ALL, str(user.pw_uid), str(user.pw_gid), *map(str, paths)],
                          capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split("\n")) - {""}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_those_who_speak_with_strangers_have_users_of_their_own(tmp_path_factory, sink):
    folder = reachable(tmp_path_factory.mktemp("users"))
    house = House(folder / "house", {"user": "nobody", "users": {"smtpd": "daemon", "delivery": "games"}})
    house.route_all_to(sink.port)
    with house:
        assert not house.events("users-shared")
        for role, name in (("smtpd", "daemon"), ("delivery", "games"), ("queue", "nobody"), ("directory", "nobody")):
            for pid in house.pids(role):
                check_user(pid, name)
        with smtplib.SMTP("127.0.0.1", house.ports["relay"]) as client:
            client.sendmail("a@example.org", ["b@example.net"], "Subject: x\r\n\r\nx\r\n")
        wait_for("the message", sink.messages)
        # What stands in the folders is for neither of them, whatever else holds them.
        state = house.folder / "state"
        paths = [path for path in state.rglob("*")]
        names = {str(path.relative_to(state)) for path in paths}
        assert {"spool/stamp", "accounts/accounts.db", "tls/self-signed.key"} <= names and "spool/segments" in names
        control = house.folder / "run/control.sock"
        assert readable_for("nobody", [state / "spool/stamp"]) and control.exists()
        for name in ("daemon", "games"):
            assert not readable_for(name, paths)
        # A process that dies comes back as whom it was; and they are changed by a restart alone.
        os.kill(house.pids("smtpd")[0], signal.SIGKILL)
        house.wait_event("child-ended", child="smtpd")
        wait_for("all of them", lambda: len(house.pids("smtpd")) == house.events("ready")[0]["processes"] - 2 - len(house.pids("delivery")))
        for pid in house.pids("smtpd"):
            check_user(pid, "daemon")
        house.change({"users": {"smtpd": "games", "delivery": "games"}})
        done = house.run("reload", check=False)
        assert done.returncode == 1 and "users.smtpd: only a restart" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
@pytest.mark.parametrize("name,words", [("nobody-of-that-name", "no system user"), ("root", "whom no process may become")])
def test_users_that_cannot_be_are_said(tmp_path, name, words):
    config = tmp_path / "goniec.conf"
    config.write_text(f"user: nobody\nusers: {{smtpd: {name}}}\n")
    done = subprocess.run([binary(), "check", "--config", str(config)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and f"{config}:2:16: users.smtpd:" in done.stderr and words in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root opens files for another user")
def test_users_link_is_no_log(tmp_path):
    """The log's folder is the user's: a link there must not make root hand over what it points to."""
    user = pwd.getpwnam("nobody")
    secret = tmp_path / "secret"
    secret.write_text("root's\n")
    house = House(tmp_path / "house", {"user": "nobody"}, accounts=())
    house.log_file.symlink_to(secret)
    os.lchown(house.log_file, user.pw_uid, user.pw_gid)
    done = subprocess.run([binary(), "serve", "--config", str(house.config)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "log.file" in done.stderr
    assert secret.stat().st_uid == 0 and secret.read_text() == "root's\n"


def test_unknown_user_is_said(tmp_path):
    config = tmp_path / "goniec.conf"
    config.write_text("user: nobody-of-that-name\n")
    done = subprocess.run([binary(), "check", "--config", str(config)], capture_output=True, text=True, timeout=30)
    if os.geteuid() == 0:
        assert done.returncode == 1 and f"{config}:1:7: user:" in done.stderr


def test_killed_while_starting_starts_again(house):
    house.stop()
    house.server = Process("serve", [binary(), "serve", "--config", str(house.config)], house.folder, house.env())
    ready = house.starts()
    started = len(house.events("child-started", child="delivery"))
    pid = wait_for("a process", lambda: house.events("child-started", child="delivery")[started:])[0]["child_pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for("the start", lambda: house.starts() > ready)


def test_process_that_cannot_start_ends_the_start(tmp_path):
    """The person in front of the screen is told, and nothing runs on half."""
    house = House(tmp_path / "house", accounts=())
    (house.folder / "state").mkdir(exist_ok=True)
    (house.folder / "state/spool").write_text("a file where a folder has to be\n")
    server = Process("serve", [binary(), "serve", "--config", str(house.config)], house.folder)
    assert server.process.wait(30) == 1
    assert "queue" in server.text() and "Sanitizer" not in server.text()


def test_a_run_that_was_cut_off_is_told(house):
    """What was being delivered then may arrive twice, and nobody is left who could say what it was."""
    assert not house.events("leases-forgotten")
    house.stop()
    house.start()
    assert not house.events("leases-forgotten")
    house.kill()
    house.start()
    (event,) = house.events("leases-forgotten")
    assert event["role"] == "supervisor" and "cut off" in event["why"]
    house.stop()
    house.start()
    assert len(house.events("leases-forgotten")) == 1


def test_queue_and_delivery_that_die_together_are_told(house):
    house.stop()
    house.start()
    for role in ("delivery", "queue"):
        os.kill(house.pids(role)[0], signal.SIGKILL)
    assert "may arrive twice" in house.wait_event("leases-forgotten")[0]["what"]


def test_a_delivery_that_dies_alone_forgets_nothing(house):
    ended = len(house.events("child-ended"))
    os.kill(house.pids("delivery")[0], signal.SIGKILL)
    house.wait_event("child-ended", ended + 1)
    house.wait_event("child-ready", 2, child="delivery", number=0)
    assert not house.events("leases-forgotten")
