"""Accounts: what `goniec account` changes holds at once in a running server."""
import smtplib
import sqlite3
import ssl

import pytest

from house import House

PASSWORD = "courier on foot"
MESSAGE = "From: {0}\r\nTo: y@example.net\r\nSubject: test\r\n\r\nbody\r\n"


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path / "house", {"routes": [{"domain": "*", "via": "discard"}]},
                  accounts=(("anna@example.org", PASSWORD),))
    with house:
        yield house


def connect(house):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = smtplib.SMTP_SSL("127.0.0.1", house.ports["submissions"], context=context, timeout=30)
    client.ehlo()
    return client


def log_in(house, login, password, words="login or password is wrong"):
    """The code that a login gets; `words` are a refusal's."""
    with connect(house) as client:
        try:
            return client.login(login, password)[0]
        except smtplib.SMTPAuthenticationError as error:
            assert error.smtp_error.decode() == "5.7.8 " + words
            return error.smtp_code


def sender_code(house, sender, header=None):
    """What MAIL FROM, or else the end of the message, is answered when Anna sends."""
    with connect(house) as client:
        client.login("anna@example.org", PASSWORD)
        code, text = client.mail(sender)
        if code != 250:
            return code, text.decode()
        client.rcpt("y@example.net")
        code, text = client.data(MESSAGE.format(header or sender))
        return code, text.decode()


def test_password_suspend_remove(house):
    assert log_in(house, "Anna@Example.ORG", PASSWORD) == 235
    assert log_in(house, "anna@example.org", PASSWORD + " ") == 535
    assert log_in(house, "nobody@example.org", PASSWORD) == 535
    house.run("account", "suspend", "anna@example.org", "--reason", "password stolen")
    words = "anna@example.org is suspended (password stolen); ask the administrator"
    assert log_in(house, "anna@example.org", PASSWORD, words) == 535
    assert log_in(house, "anna@example.org", "wrong") == 535  # who does not know it does not hear of it
    house.run("account", "resume", "anna@example.org")
    assert log_in(house, "anna@example.org", PASSWORD) == 235
    house.run("account", "passwd", "anna@example.org", "--password-stdin", stdin="another password\n")
    assert log_in(house, "anna@example.org", PASSWORD) == 535
    assert log_in(house, "anna@example.org", "another password") == 235
    house.run("account", "remove", "anna@example.org")
    assert log_in(house, "anna@example.org", "another password") == 535


def test_forms_of_panels(house):
    stored = "$2y$04$VynkfNkcwUazqI0kS9J6qek3kwOzTD3Q16.hEwgQfFsSlF6fLvw0a"  # of "correct horse"
    house.run("account", "add", "panel@example.org", "--hash", "{BLF-CRYPT}" + stored)
    assert log_in(house, "panel@example.org", "correct horse") == 235
    assert log_in(house, "panel@example.org", "wrong horse") == 535
    assert house.run("account", "add", "x@example.org", "--hash", "plaintext", check=False).returncode == 1
    generated = house.run("account", "add", "made@example.org", "--generate").stdout.split()[1]
    assert log_in(house, "made@example.org", generated) == 235
    (shown,) = [a for a in house.json("account", "list") if a["login"] == "panel@example.org"]
    assert shown["password"] == "bcrypt" and stored not in house.run("account", "show", "panel@example.org").stdout


def test_senders(house):
    assert sender_code(house, "anna@example.org")[0] == 250
    assert sender_code(house, "ANNA+shop@example.org")[0] == 250
    code, text = sender_code(house, "bob@example.org")
    assert code == 553 and "anna@example.org may not send as bob@example.org" in text
    code, text = sender_code(house, "anna@example.org", header="bob@example.org")
    assert code == 550 and "bob@example.org" in text
    house.run("account", "alias-add", "anna@example.org", "bob@example.org", "*@shop.example")
    assert sender_code(house, "bob@example.org")[0] == 250
    assert sender_code(house, "anyone@shop.example")[0] == 250
    assert sender_code(house, "anyone@sub.shop.example")[0] == 553
    house.run("account", "alias-remove", "anna@example.org", "bob@example.org")
    assert sender_code(house, "bob@example.org")[0] == 553


def test_open_session_of_a_suspended_account(house):
    with connect(house) as client:
        client.login("anna@example.org", PASSWORD)
        assert client.mail("anna@example.org")[0] == 250
        client.rset()
        house.run("account", "suspend", "anna@example.org", "--reason", "ticket 17")
        code, text = client.mail("anna@example.org")
        assert code == 553 and b"anna@example.org is suspended (ticket 17)" in text


def test_a_new_password_ends_what_the_old_one_opened(house):
    """Who stole the old one may have a session open."""
    with connect(house) as client:
        client.login("anna@example.org", PASSWORD)
        assert client.mail("anna@example.org")[0] == 250
        client.rset()
        house.run("account", "passwd", "anna@example.org", "--password-stdin", stdin="another password\n")
        code, text = client.mail("anna@example.org")
        assert code == 553 and b"changed or revoked" in text
    assert log_in(house, "anna@example.org", "another password") == 235


def test_panel_writes_the_database(house):
    database = sqlite3.connect(house.folder / "state" / "accounts" / "accounts.db")
    with database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("INSERT INTO aliases SELECT 'panel@example.org', id FROM nodes "
                         "WHERE kind = 'sender' AND name = 'anna@example.org'")
    assert sender_code(house, "panel@example.org")[0] == 250
    with database:
        database.execute("UPDATE nodes SET suspended = 1, reason = 'by the panel' WHERE kind = 'domain'")
    words = "anna@example.org may not send: domain example.org is suspended (by the panel); ask the administrator"
    assert log_in(house, "anna@example.org", PASSWORD, words) == 535
    database.close()


def test_mistakes_are_told(house):
    for arguments, words in (
        (("add", "anna@example.org", "--generate"), "already"),
        (("show", "eve@example.org"), "no account"),
        (("alias-add", "anna@example.org", "bob"), "no mail address"),
        (("add", "an na", "--generate"), "spaces"),
        (("add", "x@example.org", "--password-stdin"), "empty"),
        (("frobnicate",), "no verb"),
    ):
        done = house.run("account", *arguments, check=False)
        assert done.returncode != 0 and words in done.stderr, (arguments, done.stderr)


def test_first_account_after_the_start(tmp_path):
    house = House(tmp_path / "house", accounts=())
    with house:
        assert log_in(house, "anna@example.org", PASSWORD) == 535
        house.run("account", "add", "anna@example.org", "--password-stdin", stdin=PASSWORD + "\n")
        house.wait_event("login-failed")
        for _ in range(100):  # the directory looks for the file twice a second
            if log_in(house, "anna@example.org", PASSWORD) == 235:
                break
        else:
            pytest.fail("the new account is not seen")
