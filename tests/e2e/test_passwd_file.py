"""Users of a passwd-file or htpasswd that somebody else keeps: they log in, change and go with their lines."""
import os
import shutil
import subprocess

import pytest

from house import House, wait_for
from test_tree import connect, log_in

PASSWORD = "courier on foot"
BCRYPT = "$2b$05$Y6oC7rI2h2bcYS144.LhMunrAJYc2QAfn/f8xYdRtzSCtM/UQf2H2" # of "second word"


def form(password):
    return subprocess.run(["openssl", "passwd", "-6", password], check=True, capture_output=True, text=True).stdout.strip()


def put(path, *lines):
    """As a careful keeper does it: a new file in the old one's place."""
    new = path.with_suffix(".new")
    new.write_text("".join(line + "\n" for line in lines))
    new.chmod(0o644)
    os.replace(new, path)


@pytest.fixture
def users(tmp_path):
    folder = tmp_path / "foreign"
    folder.mkdir()
    return folder / "users"


@pytest.fixture
def make(tmp_path, users):
    houses = []

    def build(**accounts):
        house = House(tmp_path / "house", {"routes": [{"domain": "*", "via": "discard"}],
                                           "accounts": {"passwd-files": [str(users)], "limits": [], **accounts}}, accounts=())
        houses.append(house)
        return house.start()
    yield build
    for house in houses:
        house.stop()


def taken(house, count=1):
    return house.wait_event("passwd-taken", count=count)


def test_users_come_change_and_go(make, users):
    put(users, "# users of the old server", "", f"anna@example.org:{{SHA512-CRYPT}}{form(PASSWORD)}:1000:1000::/home/anna::",
        f"bob@example.org:{BCRYPT}\r", f"anna@example.org:{form('not this one')}",
        "locked@example.org:!:::", f"off@example.org:{form(PASSWORD)}:1:1::::userdb_quota=1G nologin")
    house = make()
    taken(house)
    assert log_in(house, "anna@example.org", PASSWORD)[0] == 235
    assert log_in(house, "Bob@Example.org", "second word")[0] == 235
    for login in ("locked@example.org", "off@example.org", "nobody@example.org"):
        assert log_in(house, login, PASSWORD) == (535, "5.7.8 login or password is wrong")
    assert log_in(house, "anna@example.org", "not this one")[0] == 535
    shown = house.json("account", "show", "anna@example.org")
    assert shown["domain"] == "example.org" and [one["name"] for one in shown["credentials"]] == ["passwd-file"]

    with connect(house) as client:
        client.login("anna@example.org", PASSWORD)
        client.sendmail("anna@example.org", ["x@example.net"], "From: anna@example.org\r\n\r\nx\r\n")
        put(users, f"anna@example.org:{form('another word')}")
        taken(house, 2)
        assert log_in(house, "anna@example.org", "another word")[0] == 235
        assert log_in(house, "anna@example.org", PASSWORD)[0] == 535
        assert log_in(house, "bob@example.org", "second word")[0] == 535
        assert wait_for("an end", lambda: client.docmd("MAIL", "FROM:<anna@example.org>")[0] == 553 or client.docmd("RSET") and False)
    assert house.json("account", "show", "bob@example.org")["credentials"] == []
    assert house.run("audit", "bob@example.org").stdout.count("passwd-file")


def test_what_cannot_be_used_is_named_and_the_others_come(make, users):
    put(users, "nothing", "md5@example.org:$apr1$x$y", f"a b@example.org:{form(PASSWORD)}", f"anna@example.org:{form(PASSWORD)}")
    house = make()
    taken(house)
    assert log_in(house, "anna@example.org", PASSWORD)[0] == 235
    faults = house.events("passwd-line")
    assert [fault["line"] for fault in faults] == [1, 2, 3] and all(fault["file"] == str(users) for fault in faults)
    assert "user:password" in faults[0]["why"] and "$2y$" in faults[1]["why"] and "spaces" in faults[2]["why"]


def test_a_file_that_is_away_changes_nothing(make, users):
    put(users, f"anna@example.org:{form(PASSWORD)}")
    house = make()
    taken(house)
    users.unlink()
    house.wait_event("passwd-file-unreadable")
    assert log_in(house, "anna@example.org", PASSWORD)[0] == 235
    put(users, f"bob@example.org:{form(PASSWORD)}")
    taken(house, 2)
    assert log_in(house, "bob@example.org", PASSWORD)[0] == 235 and log_in(house, "anna@example.org", PASSWORD)[0] == 535


def test_networks_and_a_domain_for_plain_names(make, users):
    put(users, f"anna:{form(PASSWORD)}:::::: allow_nets=192.0.2.0/24,2001:db8::/32", f"bob:{form(PASSWORD)}::::::allow_nets=127.0.0.0/8")
    house = make(**{"passwd-domain": "example.org"})
    taken(house)
    code, text = log_in(house, "anna@example.org", PASSWORD)
    assert code == 535 and "may not be used from 127.0.0.1" in text
    assert log_in(house, "bob@example.org", PASSWORD)[0] == 235


def test_without_the_setting_they_are_gone_and_what_is_ours_stays(make, users):
    put(users, f"anna@example.org:{form(PASSWORD)}")
    house = make()
    taken(house)
    house.run("account", "passwd", "anna@example.org", "--password-stdin", stdin="a word of ours\n")
    assert log_in(house, "anna@example.org", PASSWORD)[0] == 235
    house.change({"accounts": {"passwd-files": []}})
    house.run("reload")
    taken(house, 2)
    assert log_in(house, "anna@example.org", PASSWORD)[0] == 535
    assert log_in(house, "anna@example.org", "a word of ours")[0] == 235


def test_ten_thousand_users_do_not_keep_others_waiting(make, users):
    stored = form(PASSWORD)
    put(users, *(f"user{i}@big.example:{stored}" for i in range(10000)))
    house = make()
    [event] = taken(house)[:1]
    assert event["users"] == event["changed"] == 10000
    assert log_in(house, "user9999@big.example", PASSWORD)[0] == 235
    put(users, *(f"user{i}@big.example:{stored}" for i in range(1, 10001)))
    taken(house, 2)
    assert house.events("passwd-taken")[1]["changed"] == 2


def test_files_that_the_programs_of_others_made(make, users):
    """htpasswd and doveadm, where they are there."""
    lines = []
    if shutil.which("htpasswd"):
        subprocess.run(["htpasswd", "-cbB", str(users), "web@example.org", PASSWORD], check=True, capture_output=True)
        lines += users.read_text().splitlines()
    if shutil.which("doveadm"):
        for scheme in ("SHA512-CRYPT", "BLF-CRYPT", "ARGON2ID", "SCRAM-SHA-256"):
            done = subprocess.run(["doveadm", "pw", "-s", scheme, "-p", PASSWORD], capture_output=True, text=True)
            if done.returncode == 0:
                lines.append(f"{scheme.lower()}@example.org:{done.stdout.strip()}")
    if not lines:
        pytest.skip("neither htpasswd nor doveadm is here")
    put(users, *lines)
    house = make()
    taken(house)
    for line in lines:
        assert log_in(house, line.split(":")[0], PASSWORD)[0] == 235, line
