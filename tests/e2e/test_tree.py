"""server > customer > domain > account: what is said above holds below, and changes are seen by a running server at once."""
import pathlib
import shutil
import smtplib
import sqlite3
import ssl
import subprocess

import pytest

from house import House, binary

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


def log_in(house, login, password):
    """Code and words that a login gets."""
    with connect(house) as client:
        try:
            code, text = client.login(login, password)
        except smtplib.SMTPAuthenticationError as error:
            code, text = error.smtp_code, error.smtp_error
        return code, text.decode()


def send_as(house, password, sender, header=None):
    """Code and words for a message of Anna's."""
    with connect(house) as client:
        client.login("anna@example.org", password)
        code, text = client.mail(sender)
        if code == 250:
            client.rcpt("y@example.net")
            code, text = client.data(MESSAGE.format(header or sender))
        return code, text.decode()


def make_app_password(house, name, *options):
    return house.run("account", "credential", "add", "anna@example.org", name, *options).stdout.split()[1]


def test_suspended_anywhere(house):
    house.run("customer", "add", "acme", "--name", "ACME Ltd")
    house.run("domain", "set", "example.org", "customer=acme")
    for kind, name, words in (
        ("account", ["anna@example.org"], "anna@example.org is suspended (why)"),
        ("domain", ["example.org"], "anna@example.org may not send: domain example.org is suspended (why)"),
        ("customer", ["acme"], "anna@example.org may not send: customer acme is suspended (why)"),
        ("directory", [], "anna@example.org may not send: the server is suspended (why)"),
    ):
        with connect(house) as client:
            client.login("anna@example.org", PASSWORD)
            house.run(kind, "suspend", *name, "--reason", "why")
            code, text = client.mail("anna@example.org")
            assert code == 553 and words in text.decode()
        code, text = log_in(house, "anna@example.org", PASSWORD)
        assert code == 535 and words in text
        house.run(kind, "resume", *name)
        assert log_in(house, "anna@example.org", PASSWORD)[0] == 235
    actions = [(line["action"], line["kind"]) for line in house.json("audit")]
    assert actions[:2] == [("resume", "server"), ("suspend", "server")]


def test_app_passwords(house):
    phone, shop = make_app_password(house, "phone"), make_app_password(house, "shop", "--from", "Shop@example.org")
    house.run("account", "alias-add", "anna@example.org", "shop@example.org")
    for password in (PASSWORD, phone, shop):
        assert log_in(house, "anna@example.org", password)[0] == 235
    assert send_as(house, phone, "anna@example.org")[0] == 250
    assert send_as(house, shop, "shop@example.org")[0] == 250
    code, text = send_as(house, shop, "anna@example.org")
    assert code == 553 and "the credential shop of anna@example.org may not send as anna@example.org" in text
    code, text = send_as(house, shop, "shop@example.org", header="anna@example.org")
    assert code == 550 and "the credential shop" in text
    with connect(house) as client:
        client.login("anna@example.org", phone)
        assert client.mail("anna@example.org")[0] == 250
        client.rset()
        house.run("account", "credential", "revoke", "anna@example.org", "phone")
        code, text = client.mail("anna@example.org")  # what was opened with it closes, too
        assert code == 553 and "revoked" in text.decode()
    assert log_in(house, "anna@example.org", phone) == (535, "5.7.8 login or password is wrong")
    assert log_in(house, "anna@example.org", shop)[0] == 235
    shown = house.json("account", "show", "anna@example.org")
    assert [credential["name"] for credential in shown["credentials"]] == ["password", "shop"]
    assert shop not in house.run("account", "show", "anna@example.org").stdout


def test_where_and_until_when(house):
    old = make_app_password(house, "old", "--expires", "2020-01-31")
    far = make_app_password(house, "far", "--network", "192.0.2.0/24")
    near = make_app_password(house, "near", "--network", "127.0.0.0/8", "--expires", "90d")
    assert "credential old of anna@example.org expired at 2020-01-31T00:00:00.000Z" in log_in(house, "anna@example.org", old)[1]
    assert "credential far of anna@example.org may not be used from 127.0.0.1" in log_in(house, "anna@example.org", far)[1]
    assert log_in(house, "anna@example.org", near)[0] == 235


def test_from_by_place(house):
    house.run("account", "add", "bob@shop.example", "--generate")
    assert send_as(house, PASSWORD, "x@example.org")[0] == 553
    house.run("directory", "set", "from=customer")
    assert send_as(house, PASSWORD, "x@example.org")[0] == 250
    assert send_as(house, PASSWORD, "x@shop.example")[0] == 250
    house.run("domain", "set", "example.org", "from=domain")
    assert send_as(house, PASSWORD, "x@shop.example")[0] == 553
    house.run("account", "set", "anna@example.org", "from=any")  # capped
    assert send_as(house, PASSWORD, "x@shop.example")[0] == 553
    assert house.json("account", "show", "anna@example.org")["effective"]["from"] == "domain"
    house.run("domain", "set", "example.org", "from=")
    assert send_as(house, PASSWORD, "x@shop.example")[0] == 250


def test_a_database_of_the_first_version(tmp_path):
    """As the first goniec left it. A server is started on it, and nothing else is done."""
    house = House(tmp_path / "house", accounts=())
    folder = house.folder / "state" / "accounts"
    folder.mkdir(parents=True, mode=0o750)
    database = sqlite3.connect(folder / "accounts.db", isolation_level=None)
    database.executescript((pathlib.Path(__file__).parents[1] / "support" / "accounts-1.sql").read_text())
    database.execute("PRAGMA journal_mode = WAL")
    database.close()
    with house:
        assert log_in(house, "anna@example.org", PASSWORD)[0] == 235
        assert log_in(house, "web-17", PASSWORD)[0] == 235
        assert log_in(house, "bob@example.org", PASSWORD) == (535, "5.7.8 bob@example.org is suspended (disabled); ask the administrator")
        accounts = {account["login"]: account for account in house.json("account", "list")}
        assert {login: account["domain"] for login, account in accounts.items()} == {
            "anna@example.org": "example.org", "bob@example.org": "example.org", '"a@b"@shop.example': "shop.example", "web-17": ""}
        assert sorted(accounts["anna@example.org"]["aliases"]) == ["*@shop.example", "info@example.org"]


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "accounts.db"
    subprocess.run([binary(), "account", "add", "anna@example.org", "--generate", "--database", path], check=True,
                   capture_output=True)
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    shutil.copy(path, tmp_path / "before.db")
    for arguments in (("list",), ("suspend", "anna@example.org")):
        done = subprocess.run([binary(), "account", *arguments, "--database", path], capture_output=True, text=True)
        assert done.returncode == 1 and "newer" in done.stderr


@pytest.mark.parametrize("arguments, words", [
    (("customer", "add", "default"), "there is a customer default already"),
    (("customer", "remove", "default"), "has to stay"),
    (("customer", "show", "nobody"), "there is no customer nobody"),
    (("domain", "add", "a..b"), "that is no domain: a..b"),
    (("domain", "add", "x.example", "--customer", "nobody"), "`goniec customer add` makes it"),
    (("account", "set", "anna@example.org", "language=de"), "allowed are en, pl"),
    (("account", "set", "anna@example.org", "limit=many"), "limit=many"),
    (("account", "set", "anna@example.org", "colour=red"), "no such setting"),
    (("account", "set", "anna@example.org", "language=en", "language=pl"), "too often"),
    (("account", "resume", "anna@example.org"), "is not suspended itself"),
    (("account", "credential", "add", "anna@example.org", "password"), "already"),
    (("account", "credential", "add", "anna@example.org", "x", "--expires", "soon"), "--expires soon"),
    (("account", "credential", "add", "anna@example.org", "x", "--network", "here"), "here is no network"),
    (("account", "credential", "add", "anna@example.org", "x", "--from", "me"), "no mail address"),
    (("account", "credential", "revoke", "anna@example.org", "x"), "no credential x"),
    (("audit", "--since", "yesterday"), "--since yesterday"),
    (("account", "set", "anna@example.org", "name=Anna\n2027-01-01 root: resume sender"), "control characters"),
    (("account", "suspend", "anna@example.org", "--reason", "x\x1b]0;y\x07"), "control characters"),
    (("account", "add", "eve@example.org", "--name", "Eve\x1b[2J", "--hash", "$6$salt$0123456789012345678901"), "control characters"),
    (("customer", "add", "acme", "--name", "a\rb"), "control characters"),
])
def test_mistakes_are_told(tmp_path, arguments, words):
    house = House(tmp_path / "house", accounts=())
    house.run("account", "add", "anna@example.org", "--hash", "$6$salt$0123456789012345678901")
    before = house.run("account", "show", "anna@example.org").stdout
    done = house.run(*arguments, check=False)
    assert done.returncode != 0 and words in done.stderr, done.stderr
    assert house.run("account", "show", "anna@example.org").stdout == before
