"""From a mail program to the recipient's server: the main road, with clients that we did not write."""
import email
import email.policy
import smtplib
import ssl
import subprocess

import pytest

MESSAGE = "From: Anna <anna@example.org>\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\nHello Bob,\r\n.a line with a dot\r\n"


def insecure():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def login(house, login_name="anna@example.org", password="secret"):
    client = smtplib.SMTP("127.0.0.1", house.ports["submission"], timeout=30)
    client.starttls(context=insecure())
    client.login(login_name, password)
    return client


def test_message_arrives(house, sink):
    with login(house) as client:
        client.sendmail("anna@example.org", ["bob@example.net"], MESSAGE)
    (raw,) = sink.wait_messages(1)
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["Subject"] == "hello"
    assert message["Date"] and message["Message-ID"]
    assert "with ESMTPSA" in message["Received"]
    assert b"\r\n.a line with a dot\r\n" in raw
    house.wait_event("delivered")


def test_implicit_tls(house, sink):
    with smtplib.SMTP_SSL("127.0.0.1", house.ports["submissions"], context=insecure(), timeout=30) as client:
        client.login("anna@example.org", "secret")
        client.sendmail("anna@example.org", ["bob@example.net"], MESSAGE)
    sink.wait_messages(1)


def test_login_is_required_and_hidden_before_tls(house):
    with smtplib.SMTP("127.0.0.1", house.ports["submission"], timeout=30) as client:
        client.ehlo()
        assert not client.has_extn("auth") and client.has_extn("starttls")
        code, text = client.mail("anna@example.org")
        assert code == 530, text
        client.starttls(context=insecure())
        client.ehlo()
        assert client.has_extn("auth")
        code, text = client.mail("anna@example.org")
        assert code == 530, text


def test_wrong_password_and_unknown_user_look_the_same(house):
    answers = []
    for name, password in (("anna@example.org", "wrong"), ("nobody@example.org", "secret")):
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            login(house, name, password)
        answers.append((refused.value.smtp_code, refused.value.smtp_error))
    assert answers[0] == answers[1]
    assert answers[0][0] == 535


def test_foreign_sender_is_refused_in_words(house):
    with login(house) as client:
        code, text = client.mail("bob@example.org")
        assert code // 100 == 5
        assert b"anna@example.org" in text and b"bob@example.org" in text
    with login(house) as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("anna@example.org", ["bob@example.net"], MESSAGE.replace("anna@", "boss@"))
    assert b"anna@example.org" in refused.value.smtp_error and b"boss@example.org" in refused.value.smtp_error


def test_relay_from_listed_network(house, sink):
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.sendmail("x@example.org", ["y@example.net", "z@example.net"], MESSAGE)
    (raw,) = sink.wait_messages(1)
    assert b"Subject: hello" in raw


@pytest.mark.parametrize("arguments", [
    ["--tls", "--auth", "PLAIN"], ["--tls", "--auth", "LOGIN"], ["--tls", "--auth", "PLAIN", "--pipeline"],
])
def test_swaks(house, sink, arguments):
    subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(house.ports["submission"]), *arguments,
                    "--auth-user", "anna@example.org", "--auth-password", "secret",
                    "--from", "anna@example.org", "--to", "bob@example.net", "--header", "Subject: swaks"],
                   check=True, capture_output=True, timeout=60)
    (raw,) = sink.wait_messages(1)
    assert b"Subject: swaks" in raw


def test_curl(house, sink, tmp_path):
    letter = tmp_path / "letter"
    letter.write_bytes(MESSAGE.encode())
    subprocess.run(["curl", "-sS", "--ssl-reqd", "--insecure", "--url", f"smtp://127.0.0.1:{house.ports['submission']}",
                    "--user", "anna@example.org:secret", "--mail-from", "anna@example.org", "--mail-rcpt", "bob@example.net",
                    "--upload-file", str(letter)], check=True, timeout=60)
    sink.wait_messages(1)


def test_trace_tells_the_story(house, sink):
    with login(house) as client:
        client.sendmail("anna@example.org", ["bob@example.net"], MESSAGE)
    sink.wait_messages(1)
    (delivered,) = house.wait_event("delivered")
    story = house.run("trace", delivered["id"]).stdout
    assert "anna@example.org" in story and "bob@example.net" in story and "delivered" in story.lower()
    assert delivered["id"] in house.run("trace", "bob@example.net").stdout
