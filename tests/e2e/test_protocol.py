"""The wire itself, octet by octet, against a running server: smuggling, injection, BDAT, order."""
import socket
import ssl

import pytest

from house import House


class Talk:
    """One raw session."""

    def __init__(self, port, greet=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")
        if greet:
            assert self.reply()[0] == 220

    def send(self, octets):
        self.socket.sendall(octets)

    def reply(self):
        """(code, text of all lines); (0, b"") when the server closed."""
        text = b""
        while line := self.file.readline():
            text += line
            if line[3:4] != b"-":
                return int(line[:3]), text
        return 0, text

    def ask(self, octets):
        self.send(octets)
        return self.reply()

    def closed(self):
        return self.file.read() == b""

    def begin(self, *recipients):
        assert self.ask(b"EHLO client.example.org\r\n")[0] == 250
        assert self.ask(b"MAIL FROM:<x@example.org>\r\n")[0] == 250
        for recipient in recipients or ["y@example.net"]:
            assert self.ask(b"RCPT TO:<" + recipient.encode() + b">\r\n")[0] == 250
        return self

    def data(self):
        assert self.ask(b"DATA\r\n")[0] == 354
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


@pytest.fixture
def relay(house):
    with Talk(house.ports["relay"]) as talk:
        yield talk


def test_what_is_announced(relay):
    code, text = relay.ask(b"EHLO client.example.org\r\n")
    assert code == 250
    for word in (b"PIPELINING", b"SIZE ", b"8BITMIME", b"SMTPUTF8", b"CHUNKING", b"DSN", b"ENHANCEDSTATUSCODES",
                 b"STARTTLS", b"LIMITS RCPTMAX="):
        assert word in text, word


@pytest.mark.parametrize("smuggled", [
    b"\n.\r\n", b"\n.\n", b"\r\n.\n", b"\r.\r\n", b"\r.\r", b"\n.\r", b"\r\n.\r\r\n", b"\r\n\x00.\r\n",
], ids=lambda octets: octets.hex())
def test_smuggling_is_refused(house, sink, relay, smuggled):
    """No other end of a message than CRLF.CRLF: either refused whole, or it stays inside the one message."""
    relay.begin().data()
    relay.send(b"Subject: outer\r\n\r\nfirst" + smuggled + b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<z@example.net>\r\nDATA\r\n"
               b"Subject: inner\r\n\r\nsecond\r\n.\r\n")
    code, text = relay.reply()
    if code == 250:
        (raw,) = sink.wait_messages(1)
        assert b"Subject: inner" in raw and b"\n" not in raw.replace(b"\r\n", b"") and b"\r" not in raw.replace(b"\r\n", b"")
    else:
        assert code // 100 == 5, text
    assert len(house.events("accepted")) == (1 if code == 250 else 0)


def test_bare_newline_is_refused_in_words(relay):
    relay.begin().data()
    relay.send(b"Subject: x\r\n\r\none\ntwo\r\n.\r\n")
    code, text = relay.reply()
    assert code // 100 == 5 and b"CR" in text


def test_bare_newline_in_bdat(relay):
    relay.begin()
    body = b"Subject: x\r\n\r\none\ntwo\r\n"
    code, _ = relay.ask(b"BDAT %d LAST\r\n" % len(body) + body)
    assert code // 100 == 5
    assert relay.ask(b"NOOP\r\n")[0] == 250  # still in step


def test_bare_newline_fixed_by_setting(tmp_path, sink):
    house = House(tmp_path / "house", {"smtpd": {"bare-newline": "fix"}}, accounts=())
    house.route_all_to(sink.port)
    with house, Talk(house.ports["relay"]) as talk:
        talk.begin().data()
        talk.send(b"Subject: x\r\n\r\none\ntwo\rthree\r\n.\r\n")
        assert talk.reply()[0] == 250
        (raw,) = sink.wait_messages(1)
        assert raw.endswith(b"one\r\ntwo\r\nthree\r\n")


def test_bdat_arrives_octet_by_octet(sink, relay):
    relay.begin()
    first, second = b"Subject: chunks\r\n\r\n.\r\n..\r\n", b"MAIL FROM:<a@b>\r\n.\r\nend\r\n"
    assert relay.ask(b"BDAT %d\r\n" % len(first) + first)[0] == 250
    assert relay.ask(b"BDAT %d LAST\r\n" % len(second) + second)[0] == 250
    (raw,) = sink.wait_messages(1)
    assert raw.endswith(first + second)


def test_pipelined_group(sink, relay):
    assert relay.ask(b"EHLO client\r\n")[0] == 250
    relay.send(b"MAIL FROM:<x@example.org>\r\nRCPT TO:<y@example.net>\r\nRCPT TO:<broken\r\nDATA\r\n")
    assert [relay.reply()[0] // 100 for _ in range(4)] == [2, 2, 5, 3]
    relay.send(b"Subject: p\r\n\r\nbody\r\n.\r\nMAIL FROM:<x@example.org>\r\nRSET\r\nQUIT\r\n")
    assert [relay.reply()[0] for _ in range(4)] == [250, 250, 250, 221]
    assert relay.closed()
    sink.wait_messages(1)


def test_nothing_before_tls_survives_it(house):
    with Talk(house.ports["submission"]) as talk:
        talk.ask(b"EHLO client\r\n")
        talk.send(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
        code, _ = talk.reply()
        assert code == 0 or code // 100 in (4, 5) or talk.closed()


def test_starttls_forgets_the_session(house):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Talk(house.ports["relay"]) as talk:
        talk.begin()
        assert talk.ask(b"RSET\r\n")[0] == 250
        assert talk.ask(b"STARTTLS\r\n")[0] == 220
        talk.socket = context.wrap_socket(talk.socket)
        talk.file = talk.socket.makefile("rb")
        assert talk.socket.version() in ("TLSv1.2", "TLSv1.3")
        assert talk.ask(b"MAIL FROM:<x@example.org>\r\n")[0] == 503
        code, text = talk.ask(b"EHLO client\r\n")
        assert code == 250 and b"STARTTLS" not in text


@pytest.mark.parametrize("line,code", [
    (b"VRFY anna\r\n", 252), (b"EXPN list\r\n", 502), (b"NOOP\r\n", 250), (b"HELP\r\n", 214), (b"WHAT\r\n", 500),
    (b"RCPT TO:<y@example.net>\r\n", 503), (b"DATA\r\n", 503), (b"MAIL FROM:x\r\n", 501), (b"MAIL FROM:<a@b> FOO=1\r\n", 555),
    (b"MAIL FROM:<x@example.org> SIZE=99999999999\r\n", 552), (b"RSET\r\n", 250), (b"AUTH PLAIN\r\n", None),
    (b"MAIL FROM:<@a,@b:x@example.org>\r\n", 250), (b"MAIL FROM:<>\r\n", 250), (b"BDAT x\r\n", None),
])
def test_single_commands(relay, line, code):
    assert relay.ask(b"EHLO client\r\n")[0] == 250
    got, text = relay.ask(line)
    assert got == code if code else got // 100 in (4, 5), text


def test_postmaster_without_a_domain(relay):
    relay.begin("postmaster")


def test_command_line_limit(relay):
    relay.ask(b"EHLO client\r\n")
    relay.send(b"NOOP " + b"x" * 10000)
    code, _ = relay.reply()
    assert code == 500 or code == 421
    assert relay.closed()


def test_thousand_recipients(sink, relay):
    relay.begin(*[f"user{n}@example.net" for n in range(1000)])
    code, _ = relay.ask(b"RCPT TO:<one-more@example.net>\r\n")
    assert code == 452
    relay.data()
    assert relay.ask(b"Subject: many\r\n\r\nbody\r\n.\r\n")[0] == 250
    sink.wait_messages(1)


def test_mail_loop_is_cut(relay):
    relay.begin().data()
    hops = b"".join(b"Received: from a by b; Mon, 23 Nov 2026 12:00:00 +0000\r\n" for _ in range(60))
    code, text = relay.ask(hops + b"Subject: loop\r\n\r\nbody\r\n.\r\n")
    assert code == 554 and b"5.4.6" in text


def test_errors_end_the_session(relay):
    codes = []
    while (code := relay.ask(b"BOGUS\r\n")[0]) and len(codes) < 100:
        codes.append(code)
    assert codes[-1] == 421 and len(codes) <= 25


def test_other_protocols_are_shown_the_door(house):
    with Talk(house.ports["relay"]) as talk:
        talk.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert talk.reply()[0] in (421, 500, 502, 554)
        assert talk.closed()


def test_open_relay_is_closed(tmp_path, sink):
    """From a network that is not listed, every form of a foreign address is refused."""
    house = House(tmp_path / "house", {"relay": {"networks": ["192.0.2.0/24"], "domains": [
        {"name": "example.org", "recipients": ["anna"]}]}}, accounts=())
    house.route_all_to(sink.port)
    forms = ["y@example.net", "example.org!y@example.net", "y%example.net@example.com", '"y@example.net"@example.com',
             "@example.org:y@example.net", "y@[127.0.0.1]", "y@example.net.", "anna@example.org@example.net", "y@EXAMPLE.NET",
             "@example.net,@example.org:y@example.net"]
    with house:
        with Talk(house.ports["relay"]) as talk:
            talk.ask(b"EHLO client\r\n")
            talk.ask(b"MAIL FROM:<x@elsewhere.example>\r\n")
            for form in forms:
                code, text = talk.ask(b"RCPT TO:<" + form.encode() + b">\r\n")
                assert code // 100 == 5, (form, text)
        with Talk(house.ports["relay"]) as talk:
            talk.ask(b"EHLO client\r\n")
            talk.ask(b"MAIL FROM:<x@elsewhere.example>\r\n")
            assert talk.ask(b"RCPT TO:<nobody@example.org>\r\n")[0] == 550
            for known in (b"anna@example.org", b"Anna+lists@EXAMPLE.org", b"postmaster"):
                assert talk.ask(b"RCPT TO:<" + known + b">\r\n")[0] == 250, known
            talk.data()
            assert talk.ask(b"Subject: inbound\r\n\r\nbody\r\n.\r\n")[0] == 250
        sink.wait_messages(1)


def test_proxy_protocol(tmp_path, sink):
    house = House(tmp_path / "house", accounts=())
    house.settings["listen"][2]["proxy-from"] = ["127.0.0.0/8"]
    house.change({"relay": {"networks": ["198.51.100.0/24"]}})
    house.route_all_to(sink.port)
    with house:
        for header, allowed in ((b"PROXY TCP4 198.51.100.7 127.0.0.1 1234 25\r\n", True),
                                (b"PROXY TCP4 203.0.113.7 127.0.0.1 1234 25\r\n", False),
                                (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\x7f\x00\x00\x01\x04\xd2\x00\x19", True)):
            with Talk(house.ports["relay"], greet=False) as talk:
                talk.send(header)
                assert talk.reply()[0] == 220
                talk.ask(b"EHLO client\r\n")
                talk.ask(b"MAIL FROM:<x@example.org>\r\n")
                code, _ = talk.ask(b"RCPT TO:<y@example.net>\r\n")
                assert (code == 250) == allowed, header
        with Talk(house.ports["relay"], greet=False) as talk:  # no header at all
            talk.send(b"EHLO client\r\n")
            assert talk.reply()[0] in (0, 421, 554)


def test_header_repairs_only_for_submission(house, sink, relay):
    relay.begin().data()
    assert relay.ask(b"Subject: bare\r\nBcc: secret@example.net\r\nReturn-Path: <a@b>\r\n\r\nbody\r\n.\r\n")[0] == 250
    (raw,) = sink.wait_messages(1)
    head = raw.split(b"\r\n\r\n")[0]
    assert b"Bcc:" in head and b"Message-ID" not in head and b"Return-Path" not in head
    ours = [line for line in head.split(b"\r\n") if not line.startswith(b"X-Sink-")]
    assert ours[0].startswith(b"Received: ")
