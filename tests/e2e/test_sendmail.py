"""`sendmail` as programs call it: PHP, cron, git, mail(1), Python; who it was says the kernel."""
import os
import pathlib
import pwd
import re
import shutil
import smtplib
import socket
import subprocess
import tempfile

import pytest

from house import DEADLINE_S, House, binary, find_program, wait_for

NOBODY = pwd.getpwnam("nobody")
AS_ROOT = os.geteuid() == 0
as_others = pytest.mark.skipif(not AS_ROOT, reason="only root can be somebody else")


class Desk:
    """A server with its local socket where every user can reach it, and the program under its usual name beside it."""

    def __init__(self, folder, sink, local=None):
        self.sink = sink
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="goniec-desk-"))
        self.place.chmod(0o755)
        self.program = self.place / "sendmail"
        shutil.copy(binary(), self.program)
        for name in ("mailq", "newaliases"):
            (self.place / name).symlink_to("sendmail")
        self.socket = self.place / "submit.sock"
        self.house = House(folder / "house", {"local": {"socket": str(self.socket), **(local or {})}},
                           accounts=(("anna@example.org", "secret"), ("shop@example.org", "secret")))
        self.house.route_all_to(sink.port)

    def env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("GONIEC_")}
        return dict(env, GONIEC_SUBMIT=str(self.socket), GONIEC_CONFIG=str(self.house.config), PATH=f"{self.place}:{os.environ['PATH']}",
                    ASAN_OPTIONS="detect_leaks=0")

    def send(self, *words, text=b"Subject: x\n\nhello\n", uid=None, name="sendmail", cwd=None):
        """Runs it; returns what subprocess.run() does."""
        words = [str(self.place / name), *words]
        if uid is not None:
            words = ["setpriv", f"--reuid={uid}", "--regid=65534", "--clear-groups", *words]
        return subprocess.run(words, input=text, capture_output=True, env=self.env(), timeout=DEADLINE_S, cwd=cwd or self.place)

    def good(self, *words, **more):
        done = self.send(*words, **more)
        assert done.returncode == 0, done.stderr
        return done

    def message(self, count=1):
        return self.sink.wait_messages(count)[count - 1]


@pytest.fixture
def desk(tmp_path, sink, request):
    desk = Desk(tmp_path, sink, getattr(request, "param", None))
    try:
        with desk.house:
            yield desk
    finally:
        shutil.rmtree(desk.place, ignore_errors=True)


def head_of(message):
    return message.split(b"\r\n\r\n", 1)[0].decode() + "\r\n"


# -- the command line and the message --

def test_a_message_of_cron(desk):
    """The way cron of Debian calls it; names without a domain become addresses."""
    desk.good("-FCronDaemon", "-i", "-B8BITMIME", "-oem", "anna", text=b"From: root (Cron Daemon)\nTo: anna\nSubject: Cron\n\n.\nend\n")
    message = desk.message()
    head, body = head_of(message), message.split(b"\r\n\r\n", 1)[1]
    assert "From: root@mail.example.org (Cron Daemon)" in head and "To: anna@mail.example.org" in head
    assert body == b".\r\nend\r\n"
    event = desk.house.wait_event("accepted")[0]
    assert event["to"] == "anna@mail.example.org" and event["client"] == "local"
    assert re.search(r"^Received: from \S+ \(uid %d\)\s+by mail.example.org \(goniec\) with local id " % os.geteuid(), head, re.M)


def test_recipients_from_the_header_and_no_bcc(desk):
    desk.good("-t", "-i", text=b"To: a@one.example\nCc: B <b@two.example>\nBcc: c@three.example,\n d@four.example\nSubject: y\n\nx\n")
    event = desk.house.wait_event("accepted")[0]
    assert event["to"].split() == ["a@one.example", "b@two.example", "c@three.example", "d@four.example"]
    desk.house.wait_event("delivered", 4)
    for message in desk.sink.messages():
        own = re.sub(r"^X-Sink-.*\r\n", "", head_of(message), flags=re.M) # without what the sink says of the envelope
        assert "To: a@one.example" in own and "three" not in own and "four" not in own


def test_a_dot_ends_the_message_unless_told_otherwise(desk):
    desk.good("a@x.example", text=b"Subject: x\n\nbefore\n.\nafter\n")
    assert desk.message().endswith(b"before\r\n")
    desk.good("-oi", "a@x.example", text=b"Subject: x\n\nbefore\n.\nafter\n")
    desk.house.wait_event("delivered", 2)
    assert any(m.endswith(b"before\r\n.\r\nafter\r\n") for m in desk.sink.messages())


def test_odd_octets(desk):
    """Bare CR, CRCRLF, NUL, eight bits, no header, no last newline."""
    desk.good("a@x.example", text=b"Subject: x\r\r\n\r\r\na\rb\0c\nza\xc5\xbc\xc3\xb3\xff end")
    assert desk.message().endswith(b"\r\n\r\na\r\nbc\r\nza\xc5\xbc\xc3\xb3\xff end\r\n")


def test_a_large_message_streams(desk):
    body = b"0123456789abcde\n" * (12 << 16)
    desk.good("-i", "a@x.example", text=b"Subject: large\n\n" + body)
    desk.house.wait_event("delivered")
    got, want = desk.message().split(b"\r\n\r\n", 1)[1], body.replace(b"\n", b"\r\n")
    assert len(got) == len(want) and got == want


def test_the_envelope_of_the_command_line(desk):
    desk.good("-f", "anna@example.org", "-F", "Anna N.", "-R", "hdrs", "-V", "id=1", "-N", "failure,delay", "a@x.example", "b@x.example",
              text=b"\nno header\n")
    assert desk.house.wait_event("accepted")[0]["from"] == "anna@example.org"
    assert 'From: "Anna N." <anna@example.org>' in head_of(desk.message())
    desk.good("-f", "<>", "a@x.example")
    desk.house.wait_event("accepted", **{"from": ""})


@pytest.mark.parametrize("words, text, status, says", [
    (["-Z", "a@x.example"], b"x\n", 64, "-Z"),
    (["-bd"], b"", 64, "goniec serve"),
    (["-N", "sometimes", "a@x.example"], b"x\n", 64, "-N"),
    ([], b"Subject: x\n\nx\n", 64, "recipients"),
    (["no address at all"], b"x\n", 64, "not an address"),
    (["-f", "a b c", "a@x.example"], b"x\n", 64, "not an address"),
    (["-t"], b"Subject: x\n\nx\n", 65, "no recipient"),
    (["-t"], b"To: a@x.example; b@x.example\n\nx\n", 65, "the field To"),
    (["a@x.example"], b"From: a@x.example\nFrom: b@x.example\n\nx\n", 65, "From"),
    (["a@x.example"], b"X: y\n" * (1 << 19) + b"\n\nx\n", 65, "too large"),
], ids=["option", "daemon", "notify", "nobody", "word", "sender", "no-to", "semicolon", "two-from", "header"])
def test_what_is_wrong_is_said_and_sent_to_nobody(desk, words, text, status, says):
    done = desk.send(*words, text=text)
    assert done.returncode == status and says in done.stderr.decode(), done.stderr
    assert desk.house.json("queue", "list") == [] and not desk.house.events("accepted")


def test_without_a_server_it_says_try_again(desk):
    desk.house.stop()
    assert not desk.socket.exists()
    done = desk.send("a@x.example")
    assert done.returncode == 75 and "nothing was sent" in done.stderr.decode()
    done = desk.send("-bs", text=b"QUIT\r\n")
    assert done.returncode == 75 and done.stdout.startswith(b"421 ")
    desk.house.start()
    desk.good("a@x.example")
    desk.message()


def test_the_other_names(desk):
    assert b"nothing" in desk.good(name="newaliases").stdout
    assert b"tries again" in desk.good("-q").stdout
    desk.good(name="mailq")
    assert b"Exit status" in desk.good("--help").stdout


# -- who it was --

@as_others
def test_a_user_is_who_the_kernel_says(desk):
    """Whatever it claims: sender, From, header."""
    done = desk.send("-f", "boss@example.org", "a@x.example", uid=NOBODY.pw_uid)
    assert done.returncode == 77 and "may not send as boss@example.org" in done.stderr.decode()
    done = desk.send("a@x.example", text=b"From: boss@example.org\n\nx\n", uid=NOBODY.pw_uid)
    assert done.returncode == 77 and "local.users" in done.stderr.decode()
    desk.good("a@x.example", uid=NOBODY.pw_uid, cwd="/")
    event = desk.house.wait_event("handed-in")[0]
    assert (event["uid"], event["user"], event["account"]) == (NOBODY.pw_uid, "nobody", f"uid-{NOBODY.pw_uid}@mail.example.org")
    assert event["said_directory"] == "/" and "sendmail a@x.example" in event["said_command"]
    assert desk.house.wait_event("accepted")[0]["from"] == "nobody@mail.example.org"
    assert "from nobody (uid 65534)" in head_of(desk.message())


@as_others
def test_borrowed_rights_make_nobody_else(desk):
    """A program that runs as root for whoever calls it (setuid) lends nobody root's name."""
    def borrow():
        os.setresgid(65534, 0, 0)
        os.setresuid(NOBODY.pw_uid, 0, 0)
    done = subprocess.run([str(desk.program), "bob@example.net"], input=b"Subject: x\n\nhello\n", capture_output=True, env=desk.env(),
                          timeout=DEADLINE_S, cwd=desk.place, preexec_fn=borrow)
    assert done.returncode == 0, done.stderr
    desk.message()
    line = desk.house.wait_event("handed-in")[0]
    assert line["uid"] == NOBODY.pw_uid and line["account"] == f"uid-{NOBODY.pw_uid}@mail.example.org"


@pytest.mark.parametrize("words", [
    ("-f", "root@x.example>\r\nRCPT TO:<eve@example.net"),
    ("-f", '"a\r\nRCPT TO:<eve@example.net>"@x.example'),
    ("-V", "id\r\nRCPT TO:<eve@example.net>"),
    ("-F", "Root\r\nBcc: eve@example.net\r\nX-Evil: 1"),
])
def test_options_put_nothing_into_the_talk(desk, words):
    done = desk.send(*words, "bob@example.net")
    if done.returncode == 0:
        assert desk.sink.wait_messages(1)
        head = head_of(desk.message())
        assert not re.search(r"^(Bcc|X-Evil):", head, re.M)
    assert {e["recipient"] for e in desk.house.events("delivered")} <= {"bob@example.net"}


@as_others
def test_every_user_has_an_account_of_its_own(desk):
    for uid in (54321, 54322):
        desk.good("a@x.example", uid=uid)
    accounts = {e["account"] for e in desk.house.wait_event("handed-in", 2)}
    assert accounts == {"uid-54321@mail.example.org", "uid-54322@mail.example.org"}
    done = desk.send("-f", "uid-54322@mail.example.org", "a@x.example", uid=54321)
    assert done.returncode == 77


WEBSITES = {"users": [{"user": "54321", "account": "Shop@example.org"}, {"user": "nobody", "account": "anna@example.org"}]}


@as_others
@pytest.mark.parametrize("desk", [WEBSITES], indirect=True)
def test_a_website_is_an_account(desk):
    """It may what the account may, is counted as it, and cannot send once the account cannot."""
    desk.good("a@x.example", text=b"From: Shop <shop@example.org>\n\nx\n", uid=54321)
    event = desk.house.wait_event("accepted")[0]
    assert event["from"] == "shop@example.org" and event["account"] == "shop@example.org"
    done = desk.send("a@x.example", text=b"From: anna@example.org\n\nx\n", uid=54321)
    assert done.returncode == 77 and "shop@example.org may not send as anna@example.org" in done.stderr.decode()
    desk.good("-f", "uid-54321@mail.example.org", "a@x.example", uid=54321)
    desk.house.run("account", "suspend", "shop@example.org")
    wait_for("the refusal", lambda: desk.send("a@x.example", uid=54321).returncode == 77)
    wait_for("the refusal", lambda: desk.send("-f", "uid-54321@mail.example.org", "a@x.example", uid=54321).returncode == 77)


@as_others
@pytest.mark.parametrize("desk", [{"unknown": "refuse", "trusted": ["54400"]}], indirect=True)
def test_unknown_users_may_be_refused(desk):
    done = desk.send("a@x.example", uid=54321)
    assert done.returncode == 77 and "may not send mail" in done.stderr.decode()
    assert desk.send("-f", "<>", "a@x.example", uid=54321).returncode == 77
    desk.good("-f", "anybody@elsewhere.example", "a@x.example", text=b"From: x@y.example\n\nx\n", uid=54400)


@as_others
@pytest.mark.parametrize("desk", [{"default": "shop@example.org", "domain": "example.net"}], indirect=True)
def test_rights_lent_to_everybody(desk):
    desk.good("-f", "shop@example.org", "root", text=b"From: shop@example.org\n\nx\n", uid=54321)
    event = desk.house.wait_event("accepted")[0]
    assert event["account"] == "uid-54321@mail.example.org" and event["to"] == "root@example.net"
    assert desk.send("-f", "anna@example.org", "root", uid=54321).returncode == 77


def test_trace_and_who_tell_of_it(desk):
    desk.good("a@x.example", text=b"X-PHP-Originating-Script: 33:contact.php\nSubject: x\n\nx\n")
    message_id = desk.house.wait_event("handed-in")[0]["id"]
    desk.house.wait_event("delivered")
    for command in ("trace", "who"):
        told = desk.house.run(command, message_id).stdout
        assert f"(uid {os.geteuid()}, process " in told and "script is: 33:contact.php" in told, told
    assert [e for e in desk.house.json("who", message_id) if e["event"] == "handed-in"][0]["said_script"] == "33:contact.php"
    assert desk.house.run("who", "0000000000000", check=False).returncode == 1


def test_what_is_said_is_no_smtp(desk):
    """Nobody gets a line into the talk, or into the log, by what he says of himself."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(desk.socket))
        talk = client.makefile("rwb")
        assert talk.readline().startswith(b"220 ")
        for line, code in ((b"XLOCAL script=a", b"503"), (b"EHLO x", b"250"), (b"XLOCAL script=a=b", b"501"), (b"XLOCAL script=+0A+22", b"250"),
                           (b"AUTH PLAIN AGFubmEAc2VjcmV0", b"502"), (b"STARTTLS", b"502")):
            talk.write(line + b"\r\n")
            talk.flush()
            while True:
                answer = talk.readline()
                if answer[3:4] == b" ":
                    break
            assert answer.startswith(code), (line, answer)


def test_there_is_no_such_command_for_strangers(desk):
    with smtplib.SMTP("127.0.0.1", desk.house.ports["relay"], timeout=DEADLINE_S) as client:
        client.ehlo("x")
        assert "xlocal" not in client.esmtp_features
        assert client.docmd("XLOCAL", "script=a")[0] == 500


# -- real programs --

def test_smtp_on_standard_input(desk):
    """As programs do that pipe a whole dialogue at once."""
    talk = b"HELO x\r\nMAIL FROM:<root@mail.example.org>\r\nRCPT TO:<a@x.example>\r\nDATA\r\nSubject: bs\r\n\r\nhello\r\n.\r\nQUIT\r\n"
    done = desk.good("-bs", text=talk)
    assert [line[:3] for line in done.stdout.splitlines()] == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"], done.stdout
    assert desk.message().endswith(b"hello\r\n")


def test_python_over_the_socket(desk):
    class Local(smtplib.LMTP):
        ehlo_msg = "ehlo"
    client = Local(str(desk.socket), local_hostname="x")
    client.sendmail("root@mail.example.org", ["a@x.example"], "Subject: py\n\nhello\n")
    client.quit()
    assert desk.message().endswith(b"hello\r\n")


def test_php(desk):
    php = find_program("php")
    script = desk.place / "contact.php"
    script.write_text('<?php exit(mail("a@x.example", "Z PHP", "hello\\n.\\nend", "Bcc: b@x.example", "-fanna@example.org") ? 0 : 3);')
    done = subprocess.run([php, "-d", f"sendmail_path={desk.program} -t -i", "-d", "mail.add_x_header=On", str(script)],
                          env=desk.env(), capture_output=True, timeout=DEADLINE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    event = desk.house.wait_event("accepted")[0]
    assert event["from"] == "anna@example.org" and event["to"] == "a@x.example b@x.example"
    said = desk.house.wait_event("handed-in")[0]
    assert said["said_script"].endswith(":contact.php") and "php" in said["said_parent"]
    assert desk.message().endswith(b"hello\r\n.\r\nend\r\n")


def test_passwords_of_the_caller_stay_out_of_the_log(desk):
    """Programs are given secrets as arguments; of the caller only its name and its script are told."""
    script = desk.place / "job.py"
    script.write_text("import subprocess, sys\nsubprocess.run([sys.argv[1], 'a@x.example'], input=b'Subject: x\\n\\nx\\n', check=True)\n")
    subprocess.run(["/usr/bin/python3", str(script), str(desk.program), "--password", "hunter2", "-phunter2", "hunter2"], env=desk.env(),
                   check=True, timeout=DEADLINE_S)
    assert desk.house.wait_event("handed-in")[0]["said_parent"] == f"/usr/bin/python3 {script}"
    assert "hunter2" not in desk.house.log_file.read_text()


def test_php_hears_of_a_refusal(desk):
    php = find_program("php")
    done = subprocess.run([php, "-d", f"sendmail_path={desk.program} -t -i", "-r", 'exit(mail("a b c", "x", "x") ? 0 : 3);'],
                          env=desk.env(), capture_output=True, timeout=DEADLINE_S)
    assert done.returncode == 3 and b"cannot be read" in done.stderr


def test_git_send_email(desk):
    git = find_program("git")
    patch = desk.place / "0001.patch"
    patch.write_text("From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001\nFrom: Anna <anna@example.org>\n"
                     "Date: Mon, 23 Nov 2026 10:00:00 +0100\nSubject: [PATCH] x\n\nbody\n---\n1 file\n")
    done = subprocess.run([git, "-c", "sendemail.confirm=never", "send-email", f"--sendmail-cmd={desk.program}", "--from=anna@example.org",
                           "--envelope-sender=anna@example.org", "--to=a@x.example", "--suppress-cc=all", "--quiet", str(patch)],
                          env=dict(desk.env(), HOME=str(desk.place), GIT_COMMITTER_NAME="Anna", GIT_COMMITTER_EMAIL="anna@example.org",
                                   GIT_AUTHOR_NAME="Anna", GIT_AUTHOR_EMAIL="anna@example.org"),
                          capture_output=True, timeout=DEADLINE_S, cwd=desk.place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert desk.house.wait_event("accepted")[0]["from"] == "anna@example.org"
    assert b"Subject: [PATCH] x" in desk.message()


def test_bsd_mailx(desk):
    mail = find_program("bsd-mailx")
    (desk.place / "mailrc").write_text(f"set sendmail={desk.program}\n")
    done = subprocess.run([mail, "-s", "from mail", "a@x.example"], input=b"hello\n", capture_output=True, timeout=DEADLINE_S,
                          env=dict(desk.env(), HOME=str(desk.place), MAILRC=str(desk.place / "mailrc")))
    assert done.returncode == 0, done.stderr
    assert b"Subject: from mail" in desk.message()


def test_s_nail(desk):
    nail = find_program("s-nail")
    done = subprocess.run([nail, "-n", "-S", f"mta={desk.program}", "-r", "anna@example.org", "-s", "from s-nail", "a@x.example"],
                          input=b"hello\n", capture_output=True, timeout=DEADLINE_S, env=dict(desk.env(), HOME=str(desk.place)))
    assert done.returncode == 0, done.stderr
    assert b"Subject: from s-nail" in desk.message()
    assert desk.house.wait_event("accepted")[0]["from"] == "anna@example.org"


# -- the server's side of it --

def test_reload_moves_the_socket(desk):
    other = desk.place / "other.sock"
    desk.house.change({"local": {"socket": str(other)}})
    desk.house.run("reload")
    assert other.exists() and not desk.socket.exists()
    desk.socket = other
    desk.good("a@x.example")
    desk.house.change({"local": {"listen": False}})
    desk.house.run("reload")
    assert not other.exists() and desk.send("a@x.example").returncode == 75
    desk.house.change({"local": {"listen": True, "socket": None}})


@as_others
def test_connections_are_counted_by_user(desk):
    desk.house.change({"smtpd": {"max-connections-per-address": 2, "processes": 1}})
    desk.house.run("reload")
    code = ("import os,socket,sys\nos.setgid(65534)\nos.setuid(int(sys.argv[2]))\nheld=[]\n"
            "for i in range(3):\n s=socket.socket(socket.AF_UNIX)\n s.connect(sys.argv[1])\n print(s.recv(4)[:3].decode())\n held.append(s)\n")
    for uid in (54321, 54322):
        done = subprocess.run(["/usr/bin/python3", "-c", code, str(desk.socket), str(uid)], capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.stdout.split() == ["220", "220", "421"], done
