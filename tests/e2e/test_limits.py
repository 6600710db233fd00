"""What an account may send: counted before a recipient or a message is accepted, refused in words, kept over a restart."""
import email
import email.policy
import os
import re
import signal
import smtplib
import ssl

import pytest

from house import House, wait_for

ANNA, BOB = "anna@example.org", "bob@example.org"


@pytest.fixture
def make(tmp_path, sink):
    """A house with these defaults, whose mail goes to the sink."""
    houses = []

    def build(*limits, **changes):
        house = House(tmp_path / f"house{len(houses)}", {"accounts": {"limits": list(limits), "limit-notices": "none"}, **changes},
                      accounts=((ANNA, "secret"), (BOB, "secret")))
        house.route_all_to(sink.port)
        houses.append(house)
        return house.start()
    yield build
    for house in houses:
        house.stop()


def house_client(house):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return smtplib.SMTP_SSL("127.0.0.1", house.ports["submissions"], context=context, timeout=30)


def login(house, who=ANNA):
    client = house_client(house)
    client.login(who, "secret")
    return client


def hand_in(client, sender, recipients, size=10, header=None):
    """The answers to the recipients, and to the message if there was one."""
    assert client.mail(sender)[0] == 250
    answers = [client.rcpt(recipient) for recipient in recipients]
    if not any(code == 250 for code, _ in answers):
        client.rset()
        return answers
    return answers + [client.data(f"From: {header or sender or ANNA}\r\nSubject: x\r\n\r\n" + "x" * size + "\r\n")]


def codes(answers):
    return [code for code, _ in answers]


def test_recipients_are_refused_one_by_one_and_in_words(make, sink):
    house = make("recipients 3/1h each sender")
    with login(house) as client:
        answers = hand_in(client, ANNA, [f"r{i}@example.net" for i in range(5)])
        assert codes(answers) == [250, 250, 250, 450, 450, 250]
        text = answers[3][1].decode()
        assert re.fullmatch(r"4\.7\.1 limit of 3 recipients per hour for anna@example\.org reached \(3 in the last 60 min\); "
                            r"room for \d more at \d\d:\d\d.*", text), text
        assert codes(hand_in(client, ANNA, ["again@example.net"])) == [450]
    with login(house, BOB) as client: # his own
        assert codes(hand_in(client, BOB, ["r@example.net"])) == [250, 250]
    assert b"r2@example.net" in sink.wait_messages(2)[0] + sink.messages()[1]
    [event] = house.events("limit-reached")[:1]
    assert event["node"] == ANNA and event["limit"] == "3 recipients per hour"


@pytest.mark.parametrize("action,code", [("defer", 450), ("reject", 550)])
def test_refused_recipients_do_not_end_the_session(make, action, code):
    house = make(f"recipients 2/1h each sender {action}")
    with login(house) as client:
        answers = hand_in(client, ANNA, [f"r{i}@example.net" for i in range(100)])
        assert codes(answers) == [250] * 2 + [code] * 98 + [250]


def test_the_defaults_protect_without_configuration(tmp_path, sink):
    house = House(tmp_path / "house")
    del house.settings["accounts"]
    house.route_all_to(sink.port)
    with house, login(house) as client:
        answers = hand_in(client, ANNA, [f"new{i}@example.net" for i in range(201)])
        assert codes(answers) == [250] * 200 + [450, 250]
        assert b"limit of 200 new recipients per day" in answers[200][1]
        assert codes(hand_in(client, ANNA, ["new7@example.net"])) == [250, 250] # no stranger any more


def test_what_is_a_message_and_when_it_counts(make):
    house = make("messages 2/1h each sender reject")
    with login(house) as client:
        client.mail(ANNA)
        client.rcpt("a@example.net")
        client.rset() # nothing was sent
        assert codes(hand_in(client, ANNA, ["a@example.net", "b@example.net"])) == [250, 250, 250]
        assert codes(hand_in(client, ANNA, ["a@example.net"], header="someone@else.example"))[-1] == 550 # not as this one
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
        answers = hand_in(client, ANNA, ["a@example.net"])
        assert codes(answers) == [550] and b"5.7.1 limit of 2 messages per hour" in answers[0][1]


def test_who_hangs_up_has_sent_nothing(make):
    house = make("messages 1/1h each sender", "recipients 2/1h each sender")
    for _ in range(3):
        client = login(house)
        client.mail(ANNA)
        assert client.rcpt("a@example.net")[0] == 250
        client.close()

        def is_given_back():
            with login(house) as other:
                other.mail(ANNA)
                return other.rcpt("a@example.net")[0] == 250
        wait_for("the limit to be free again", is_given_back)


def test_octets(make):
    house = make("bytes 10KiB/1h each sender")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, ["a@example.net"], 6000)) == [250, 250]
        answers = hand_in(client, ANNA, ["a@example.net"], 6000)
        assert codes(answers) == [250, 450] and b"limit of 10 KiB per hour" in answers[1][1]
        answers = hand_in(client, ANNA, ["a@example.net"], 20000)
        assert codes(answers) == [250, 552] and b"more than the limit" in answers[1][1]
        assert codes(hand_in(client, ANNA, ["a@example.net"], 100)) == [250, 250]


def test_large_bodies_in_files_are_counted(make):
    house = make("bytes 1MiB/1h each sender", spool={"segment": "4MiB", "reserve": "16MiB", "big-body": "64KiB"})
    with login(house) as client:
        line = "x" * 70 + "\r\n"
        for expected in ([250, 250], [250, 450]):
            client.mail(ANNA)
            code = client.rcpt("a@example.net")[0]
            assert [code, client.data(f"From: {ANNA}\r\n\r\n" + line * 10000)[0]] == expected


def test_a_parent_caps_its_children(make):
    house = make()
    house.run("domain", "set", "example.org", "limit=recipients 4/1h")
    house.run("account", "set", ANNA, "limit=recipients 100/1h")
    with login(house) as client:
        wait_for("the limit", lambda: 450 in
                 codes(hand_in(client, ANNA, [f"r{i}@example.net" for i in range(5)])))
        answers = hand_in(client, ANNA, ["r@example.net"])
        assert codes(answers) == [450] and b"limit of 4 recipients per hour for domain example.org" in answers[0][1]
    with login(house, BOB) as client:
        assert codes(hand_in(client, BOB, ["r@example.net"])) == [450]


def test_a_change_holds_within_a_second_and_goes_on_with_the_count(make):
    house = make("messages 1/1h each sender")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [450]
        house.run("account", "set", ANNA, "limit=messages 2/1h")
        wait_for("the new limit", lambda: codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250])
        answers = hand_in(client, ANNA, ["a@example.net"])
        assert codes(answers) == [450] and b"limit of 2 messages" in answers[0][1]
        house.run("account", "set", ANNA, "limit=messages unlimited")
        wait_for("no limit", lambda: codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250])


def test_a_credential_has_a_limit_of_its_own(make):
    house = make()
    made = house.run("account", "credential", "add", ANNA, "phone", "--limit", "messages 1/1h", check=False)
    if made.returncode != 0:
        pytest.fail(made.stderr)
    password = re.search(r"\b[a-z0-9]{6}(?:-[a-z0-9]+)+", made.stdout).group(0)

    def send(secret):
        context = ssl._create_unverified_context()  # noqa: S323 - its own certificate
        with smtplib.SMTP_SSL("127.0.0.1", house.ports["submissions"], context=context, timeout=30) as client:
            client.login(ANNA, secret)
            return hand_in(client, ANNA, ["a@example.net"])
    assert codes(send(password)) == [250, 250]

    def is_over():
        answers = send(password)
        return codes(answers) == [450] and b"phone of anna@example.org" in answers[0][1]
    wait_for("the credential's limit", is_over)
    assert codes(send("secret")) == [250, 250]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_counters_and_known_recipients_outlive_a_restart(make, end):
    house = make("messages 2/1h each sender", "new-recipients 1/1h each sender")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, ["known@example.net"])) == [250, 250]
        assert codes(hand_in(client, ANNA, ["stranger@example.net"])) == [450]
    folder = house.folder / "state/accounts"
    wait_for("the counters' file", lambda: any(path.stat().st_size for path in folder.glob("accounts.db-counts-*")))
    wait_for("the known recipients' file", lambda: (folder / "accounts.db-known-wal").exists() and
             (folder / "accounts.db-known-wal").stat().st_size > 0)
    getattr(house, end)()
    house.start()
    with login(house) as client:
        assert codes(hand_in(client, ANNA, ["stranger@example.net"])) == [450]
        assert codes(hand_in(client, ANNA, ["known@example.net"])) == [250, 250]
        answers = hand_in(client, ANNA, ["known@example.net"])
        assert codes(answers) == [450] and b"limit of 2 messages" in answers[0][1]


def test_directory_alone_dies_and_counts_on(make):
    house = make("messages 1/1h each sender")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
    folder = house.folder / "state/accounts"
    wait_for("the counters' file", lambda: any(path.stat().st_size for path in folder.glob("accounts.db-counts-*")))
    [pid] = house.pids("directory")
    os.kill(pid, signal.SIGKILL)

    def is_counted_still():
        try:
            with login(house) as client:
                return codes(hand_in(client, ANNA, ["a@example.net"])) == [450] and b"4.7.1" in hand_in(client, ANNA, ["a@example.net"])[0][1]
        except smtplib.SMTPException:
            return False # it is not there yet
    wait_for("a directory that knows", is_counted_still)


def test_what_waits_is_limited_at_each_node(make):
    house = make("queued 3 each sender", "queued 4 each domain", queue={"first-retry": "1h", "longest-retry": "1h", "site-pause": "1h", "longest-site-pause": "1h"})
    house.route_all_to(1) # nobody is there
    house.run("reload")

    def is_refused(who, text):
        with login(house, who) as client:
            [answer, *_] = hand_in(client, who, ["a@example.net"])
        return answer[0] == 450 and text in answer[1]
    wait_for("the sender's limit", lambda: is_refused(ANNA, b"limit of 3 queued messages for anna@example.org reached"))
    house.run("account", "set", BOB, "limit=queued unlimited") # else he may be faster than the queue's word of him, and reach his own
    wait_for("the domain's limit", lambda: is_refused(BOB, b"limit of 4 queued messages for domain example.org reached"))
    shown = house.json("sender", "show", BOB)["waiting"]["messages"] + house.json("sender", "show", ANNA)["waiting"]["messages"]
    assert 4 <= shown < 40 # what comes within a tenth of a second passes
    house.run("domain", "set", "example.org", "limit=queued 100000")
    house.run("account", "set", ANNA, "limit=queued unlimited")

    def is_taken():
        with login(house) as client:
            return codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
    wait_for("the new limit", is_taken)


def test_sender_show_tells_how_it_stands(make):
    house = make("messages 2/1h each sender", "recipients 10/1h each sender")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, [f"r{i}@example.net" for i in range(3)])) == [250] * 4
        assert codes(hand_in(client, ANNA, ["r0@example.net"])) == [250, 250]

    def counted():
        return {row["limit"]: row for row in house.json("sender", "show", ANNA)["counted"]}
    wait_for("the counters", lambda: counted()["recipients 10/1h"]["count"] == 4)
    assert counted()["recipients 10/1h"]["room"] == 6 and counted()["recipients 10/1h"]["clear"] is None
    assert counted()["messages 2/1h"]["room"] == 0 and counted()["messages 2/1h"]["clear"] > "20"
    text = house.run("sender", "show", ANNA).stdout
    assert "counted:  4 of recipients 10/1h, sender anna@example.org; room for 6" in text
    assert re.search(r"counted:  2 of messages 2/1h, sender anna@example.org; room again at 20\d\d-", text)


def test_forget_lets_it_begin_anew(make):
    house = make("messages 1/1h each sender")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [450]
        house.run("limits", "forget", ANNA)
        wait_for("a count of 0", lambda: codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250])
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [450]
    assert house.events("limits-forgotten", node=ANNA) and "forget-limits" in house.run("audit").stdout


def test_simulate_tells_whom_other_limits_would_have_stopped(make, tmp_path):
    house = make()
    with login(house) as client, login(house, BOB) as other:
        for i in range(5):
            assert codes(hand_in(client, ANNA, [f"a{i}@example.net", f"b{i}@example.net"])) == [250] * 3
        assert codes(hand_in(other, BOB, ["a@example.net"])) == [250] * 2
        assert codes(hand_in(client, "", ["a@example.net"])) == [250] * 2
    wait_for("the log", lambda: len(house.events("accepted")) == 7)
    rules = tmp_path / "rules"

    def simulate(text, *more):
        rules.write_text(text)
        return {(row["name"], row["limit"]): row for row in house.json("limits", "simulate", rules, *more)}
    found = simulate("# new\nmessages 3/1d each sender\n")
    assert found.keys() == {(ANNA, "messages 3/1d")} and found[ANNA, "messages 3/1d"]["messages"] == 2
    found = simulate(f"sender {ANNA}: recipients 7/1h\ndomain example.org: recipients 100/1h\ndomain example.org: messages 5/1h\n"
                     "new-recipients 1000/1d each sender")
    assert found[ANNA, "recipients 7/1h"]["recipients"] == 3 and found["example.org", "messages 5/1h"]["messages"] == 1
    assert simulate("new-recipients 4/1d each sender dry-run")[ANNA, "new-recipients 4/1d dry-run"]["recipients"] > 0
    assert simulate("messages 1/1d each sender", "--since", "2090-01-01") == {}
    text = house.run("limits", "simulate", rules).stdout
    assert re.search(r"sender anna@example.org: messages 1/1d would have stopped 4 messages, from 20", text), text
    for wrong, why in (("messages 1/1d", "each sender"), ("sender nobody@example.org: messages 1/1d", "no such node"),
                       (f"sender {ANNA}: messages many", "rules:1:")):
        rules.write_text(wrong)
        done = house.run("limits", "simulate", rules, check=False)
        assert done.returncode != 0 and why in done.stderr and ":1:" in done.stderr
    assert house.json("limits", "show", ANNA)["counted"] == []


def test_logins_that_succeed(make):
    house = make("logins 2/1h each sender")
    for _ in range(2):
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused, house_client(house) as client:
            client.login(ANNA, "wrong") # is no login
        assert refused.value.smtp_code == 535
        login(house).close()
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        login(house)
    assert refused.value.smtp_code == 454 and b"limit of 2 logins per hour for anna@example.org" in refused.value.smtp_error
    login(house, BOB).close()


def test_suspend(make):
    house = make("recipients 2/1h each sender suspend")
    with login(house) as client:
        answers = hand_in(client, ANNA, [f"r{i}@example.net" for i in range(50)])
        assert codes(answers)[:50] == [250] * 2 + [550] * 48 and b"suspended" in answers[2][1]
    assert len(house.events("sender-suspended")) == 1 # however many stood behind it
    shown = house.json("account", "show", ANNA)
    assert shown["suspended"]
    with pytest.raises(smtplib.SMTPAuthenticationError):
        login(house)
    house.run("account", "resume", ANNA)
    assert "limits" in house.run("audit", check=False).stdout


def test_null_senders_are_not_counted_and_no_way_around(make):
    house = make("messages 1/1h each sender")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
        assert codes(hand_in(client, "", ["a@example.net"])) == [250, 250]
        answers = hand_in(client, "", [f"r{i}@example.net" for i in range(100)])
        assert codes(answers).count(450) == 1 and b"null sender" in answers[99][1]


def test_relayed_mail_only_where_a_limit_says_so(make):
    house = make()
    with smtplib.SMTP("127.0.0.1", house.ports["relay"], timeout=30) as client:
        client.ehlo()
        assert codes(hand_in(client, "x@example.com", ["a@example.net", "b@example.net"])) == [250] * 3
        house.run("directory", "set", "limit=recipients 3/1h relayed")
        wait_for("the limit", lambda: 450 in codes(hand_in(client, "x@example.com", ["a@example.net", "b@example.net"])))
    with login(house) as client: # the server's total: for who logs in, too
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [450]


def test_dry_run_tells_and_stops_nothing(make):
    house = make("messages 1/1h each sender dry-run")
    with login(house) as client:
        for _ in range(3):
            assert codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
    assert wait_for("the log", lambda: house.events("limit-would-stop"))[0]["node"] == ANNA


def test_a_default_that_is_none_is_refused_with_its_place(make):
    house = make()
    house.change({"accounts": {"limits": ["messages 10/1h"]}})
    done = house.run("check", check=False)
    assert done.returncode != 0 and "each sender" in done.stdout + done.stderr


def queued(house):
    return [recipient for message in house.json("queue", "list") for recipient in message["recipients"]]


def test_pace_lets_recipients_out_one_after_the_other(make, sink):
    house = make("recipients 2/10s each sender pace")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, [f"r{i}@example.net" for i in range(5)])) == [250] * 6
    late = wait_for("who waits", lambda: [one for one in queued(house) if "limit" in one.get("why", "")])
    assert all(one["state"] == "waiting" and one["attempts"] == 0 for one in late)
    sink.wait_messages(2)
    assert len(house.events("limit-waits", node=ANNA, action="pace")) == 3
    wait_for("all five", lambda: len({text for message in sink.messages() for text in re.findall(rb"r\d@example\.net", message)}) == 5)
    wait_for("an empty queue", lambda: not queued(house))
    assert not house.events("bounced") and not house.events("expired")


def test_hold_keeps_a_message_together(make, sink):
    house = make("recipients 2/1h each sender hold")
    with login(house) as client:
        assert codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
        assert codes(hand_in(client, ANNA, ["b@example.net", "c@example.net", "d@example.net"])) == [250] * 4
        sink.wait_messages(1)
        late = wait_for("three who wait", lambda: len(queued(house)) == 3 and queued(house))
        assert len({one["next"] for one in late}) == 1 and all("limit" in one["why"] for one in late)
    house.stop()
    house.start()
    assert {one["next"] for one in queued(house)} == {late[0]["next"]} # not earlier, not later
    with login(house) as client: # nothing overtakes what waits
        assert codes(hand_in(client, ANNA, ["e@example.net"])) == [250, 250]
    assert wait_for("four", lambda: len(queued(house)) == 4 and len(queued(house)))
    house.run("queue", "retry", "--account", ANNA)
    sink.wait_messages(3)


def test_who_would_wait_too_long_is_refused(tmp_path, sink):
    house = House(tmp_path / "house", {"accounts": {"limits": ["messages 1/1h each sender pace"], "limit-wait": "90min", "limit-notices": "none"}},
                  accounts=((ANNA, "secret"),))
    house.route_all_to(sink.port)
    house.start()
    try:
        with login(house) as client:
            for _ in range(2):
                assert codes(hand_in(client, ANNA, ["a@example.net"])) == [250, 250]
            [answer] = hand_in(client, ANNA, ["a@example.net"])
            assert answer[0] == 450 and b"limit of 1 message per hour for anna@example.org reached" in answer[1], answer
    finally:
        house.stop()


def letters(sink):
    found = [email.message_from_bytes(message, policy=email.policy.default) for message in sink.messages()]
    return [letter for letter in found if letter["Auto-Submitted"] == "auto-generated"]


def test_the_sender_and_the_operator_are_written_to_once(make, sink):
    house = make(accounts={"limits": ["messages 5/1h each sender", "recipients 100/1h each sender"], "limit-notices": "both"})
    house.run("account", "set", BOB, "language=pl")
    with login(house) as client:
        for i in range(8):
            assert codes(hand_in(client, ANNA, ["a@example.net"])) == ([250, 250] if i < 5 else [450])
    wait_for("four letters", lambda: len(letters(sink)) == 4)
    operator = letters(sink)[0]["From"].addresses[0].addr_spec
    assert operator.startswith("postmaster@")
    assert sorted((letter["Subject"], letter["To"]) for letter in letters(sink)) == sorted(
        (subject, to) for subject in (f"80% of a limit used: {ANNA}", f"Limit reached: {ANNA}") for to in (ANNA, operator))
    text = next(letter for letter in letters(sink) if letter["Subject"].startswith("Limit reached")).get_content()
    assert f"{ANNA}: limit of 5 messages per hour is reached (5 " in text and "refused for now" in text and "once in that time" in text
    with login(house, BOB) as client:
        for i in range(5):
            assert codes(hand_in(client, BOB, ["a@example.net"])) == [250, 250]
    polish = wait_for("Polish", lambda: [letter for letter in letters(sink) if letter["To"] == BOB and "wyczerpany" in letter["Subject"]])
    assert polish[0]["Subject"] == f"Limit wyczerpany: {BOB}" and "wiadomości" in polish[0].get_content()
    assert len(house.events("notice")) == 8
