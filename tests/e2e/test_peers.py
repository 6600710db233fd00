"""Receiving servers that we did not write: Postfix, its smtp-sink, Dovecot's LMTP, aiosmtpd."""
import os
import pathlib
import pwd
import smtplib
import subprocess

import pytest

from house import House, Process, can_connect, find_program, free_port, wait_for

MESSAGE = "From: x@example.org\r\nTo: y@example.net\r\nSubject: for a peer\r\n\r\nbody\r\n.dot\r\n"


def send(house, *recipients, message=MESSAGE, count=1):
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        for _ in range(count):
            client.sendmail("x@example.org", list(recipients), message)


def house_with_route(tmp_path, via):
    return House(tmp_path / "house", {"routes": [{"domain": "*", "via": via}]}, accounts=())


@pytest.mark.skipif(not find_program("smtp-sink"), reason="Postfix's smtp-sink is not installed")
def test_smtp_sink(tmp_path):
    port = free_port()
    sink = Process("smtp-sink", [find_program("smtp-sink"), "-u", "nobody", "-c", f"127.0.0.1:{port}", "100"], tmp_path)
    wait_for("smtp-sink", lambda: can_connect(port))
    with house_with_route(tmp_path, f"smtp://127.0.0.1:{port}") as house:
        send(house, "y@example.net", count=50)
        house.wait_event("delivered", count=50)
        house.wait_empty()
    sink.kill()


@pytest.mark.skipif(not find_program("postfix"), reason="Postfix is not installed")
def test_postfix_takes_it(tmp_path):
    """A real Postfix of its own instance, which keeps what it gets in its hold queue."""
    port = free_port()
    etc, queue, data = (tmp_path / "postfix" / name for name in ("etc", "queue", "data"))
    for place in (etc, queue, data):
        place.mkdir(parents=True)
    for place in (tmp_path, *tmp_path.parents):
        if str(place).startswith("/tmp/"):
            place.chmod(0o755)
    data.chmod(0o700)
    owner = pwd.getpwnam("postfix")
    os.chown(data, owner.pw_uid, owner.pw_gid)
    (etc / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\nmyhostname = peer.example.net\n"
        "mydestination = example.net\nlocal_recipient_maps =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n"
        f"maillog_file = {tmp_path}/postfix.log\nmaillog_file_prefixes = {tmp_path}\nsmtpd_recipient_restrictions = permit_auth_destination, reject\n"
        "smtpd_relay_restrictions = permit_auth_destination, reject\nsmtpd_client_restrictions = static:hold\nalias_maps =\nalias_database =\n")
    (etc / "main.cf").write_text((etc / "main.cf").read_text().replace(
        "smtpd_client_restrictions = static:hold", "smtpd_client_restrictions = check_client_access static:HOLD"))
    (etc / "master.cf").write_text(
        f"{port} inet n - n - - smtpd\npickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\n"
        "qmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n"
        "bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\nlocal unix - n n - - local\nerror unix - - n - - error\n"
        "retry unix - - n - - error\nanvil unix - - n - 1 anvil\nproxymap unix - - n - - proxymap\n"
        "postlog unix-dgram n - n - 1 postlogd\nsmtp unix - - n - - smtp\n")
    subprocess.run([find_program("postfix"), "-c", str(etc), "start"], check=True, capture_output=True, timeout=60)
    try:
        wait_for("Postfix", lambda: can_connect(port))
        with house_with_route(tmp_path, f"smtp://127.0.0.1:{port}") as house:
            send(house, "y@example.net", "z@example.net")
            house.wait_event("delivered", count=2)
            held = wait_for("a held message", lambda: [p for p in (queue / "hold").rglob("*") if p.is_file()])
            shown = subprocess.run([find_program("postcat"), "-c", str(etc), str(held[0])], check=True, capture_output=True).stdout
            assert b"Subject: for a peer" in shown and b"\n.dot\n" in shown
            send(house, "y@elsewhere.example")  # Postfix refuses to relay it
            assert house.wait_event("failed")[0]["recipient"] == "y@elsewhere.example"
    finally:
        subprocess.run([find_program("postfix"), "-c", str(etc), "stop"], capture_output=True, timeout=60)


@pytest.mark.skipif(not find_program("dovecot") or not pathlib.Path("/usr/lib/dovecot/lmtp").exists(),
                    reason="Dovecot's LMTP is not installed")
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_dovecot_lmtp(tmp_path, unix):
    port, place = free_port(), tmp_path / "dovecot"
    place.mkdir()
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    mail = place / "mail"
    mail.mkdir()
    mail.chmod(0o777)
    (place / "users").write_text("y@example.net:{PLAIN}x:65534:65534::/nonexistent::\n")
    config = place / "dovecot.conf"
    config.write_text(f"""
base_dir = {place}/run
state_dir = {place}/state
log_path = {place}/log
protocols = lmtp
first_valid_uid = 1
mail_location = maildir:{mail}/%u
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
passdb {{
  driver = passwd-file
  args = {place}/users
}}
userdb {{
  driver = passwd-file
  args = {place}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {place}/lmtp.sock {{
    mode = 0666
  }}
}}
""")
    dovecot = Process("dovecot", [find_program("dovecot"), "-F", "-c", str(config)], tmp_path)
    wait_for("Dovecot", lambda: can_connect(port) or not dovecot.alive())
    assert dovecot.alive(), dovecot.text()
    via = f"lmtp:{place}/lmtp.sock" if unix else f"lmtp://127.0.0.1:{port}"
    with house_with_route(tmp_path, via) as house:
        send(house, "y@example.net", "nobody@example.net")
        assert house.wait_event("delivered")[0]["recipient"] == "y@example.net"
        assert house.wait_event("failed")[0]["recipient"] == "nobody@example.net"
        (stored,) = wait_for("the mailbox", lambda: list((mail / "y@example.net").rglob("new/*")))
        assert b"Subject: for a peer" in stored.read_bytes()
    dovecot.stop()


@pytest.mark.parametrize("via,event", [("discard", "delivered"), ("reject", "failed"), ("catch", "caught")])
def test_routes_without_a_server(tmp_path, via, event):
    with house_with_route(tmp_path, via) as house:
        send(house, "y@example.net")
        house.wait_event(event)
