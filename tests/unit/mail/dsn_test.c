#include "mail/dsn.h"
#include "test.h"

#define HEADER "From: Anna <anna@example.org>\r\nTo: bob@example.com\r\nMessage-ID: <1@laptop>\r\nSubject: Hi\r\n"

static const struct dsn_recipient bob = {
    .address = { "bob@example.com", 15 }, .original = { "rfc822;bob+2Bx@example.com", 26 }, .action = DSN_FAILED,
    .status = { 5, 1, 1 }, .remote_host = { "mx.example.com", 14 }, .remote_address = { "192.0.2.25", 10 },
    .reply = 550, .text = { "5.1.1 <bob@example.com>: No such user", 37 }, .attempt_wall_ms = 60000,
};

static struct dsn dsn_of(const struct dsn_recipient *recipients, size_t count)
{
    return (struct dsn){
        .hostname = SPAN("mail.example.org"), .postmaster = SPAN("postmaster@example.org"),
        .to = SPAN("anna@example.org"), .report_id = 2, .message_id = 1, .now_wall_ms = 120000,
        .arrival_wall_ms = 30000, .envid = SPAN("QQ+2B314"), .recipients = recipients, .recipient_count = count,
        .header = SPAN(HEADER), .body = SPAN("Hello Bob\r\n"), .ret = DSN_RETURN_HEADERS, .return_max = 50000,
    };
}

static bool has(const struct buf *text, const char *what)
{
    return span_find_span(buf_span(text), span_str(what)) < text->n;
}

static void write_ok(const struct dsn *dsn, struct buf *ret)
{
    bool utf8 = true;
    buf_clear(ret);
    assert_int_equal(dsn_write(dsn, ret, &utf8), STATUS_OK);
    assert_int_equal(utf8, !span_is_ascii(dsn->to));
}

static void test_whole(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct dsn dsn = dsn_of(&bob, 1);
    write_ok(&dsn, &text);
    assert_span(buf_span(&text),
        "From: \"Mail delivery\" <postmaster@example.org>\r\n"
        "To: <anna@example.org>\r\n"
        "Subject: Your message to bob@example.com could not be delivered\r\n"
        "Date: Thu, 01 Jan 1970 00:02:00 +0000\r\n"
        "Message-ID: <0000000000002.goniec@mail.example.org>\r\n"
        "In-Reply-To: <1@laptop>\r\n"
        "References: <1@laptop>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status;\r\n"
        "\tboundary=\"=_goniec_0000000000002_0\"\r\n"
        "\r\n"
        "--=_goniec_0000000000002_0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        "\r\n"
        "Your message could not be delivered to:\r\n"
        "\r\n"
        "  bob@example.com\r\n"
        "    This address does not exist at the recipient's provider.\r\n"
        "    The server mx.example.com (192.0.2.25) said:\r\n"
        "      550 5.1.1 <bob@example.com>: No such user\r\n"
        "    What to do: Check the address for typing mistakes, or ask the recipient for the current one.\r\n"
        "\r\n"
        "This note was written by the mail server mail.example.org,\r\n"
        "which took your message on Thu, 01 Jan 1970 00:00:30 +0000.\r\n"
        "There it has the number 0000000000001.\r\n"
        "The header of your message follows below.\r\n"
        "\r\n"
        "--=_goniec_0000000000002_0\r\n"
        "Content-Type: message/delivery-status\r\n"
        "\r\n"
        "Original-Envelope-Id: QQ+314\r\n"
        "Reporting-MTA: dns; mail.example.org\r\n"
        "Arrival-Date: Thu, 01 Jan 1970 00:00:30 +0000\r\n"
        "\r\n"
        "Original-Recipient: rfc822; bob+x@example.com\r\n"
        "Final-Recipient: rfc822; bob@example.com\r\n"
        "Action: failed\r\n"
        "Status: 5.1.1\r\n"
        "Remote-MTA: dns; mx.example.com (192.0.2.25)\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 <bob@example.com>: No such user\r\n"
        "Last-Attempt-Date: Thu, 01 Jan 1970 00:01:00 +0000\r\n"
        "Final-Log-ID: 0000000000001\r\n"
        "\r\n"
        "--=_goniec_0000000000002_0\r\n"
        "Content-Type: text/rfc822-headers\r\n"
        "\r\n"
        HEADER
        "\r\n"
        "--=_goniec_0000000000002_0--\r\n");
}

static void test_return(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct dsn dsn = dsn_of(&bob, 1);
    dsn.ret = DSN_RETURN_FULL;
    write_ok(&dsn, &text);
    assert_true(has(&text, "Content-Type: message/rfc822\r\n\r\n" HEADER "\r\nHello Bob\r\n\r\n--="));
    assert_true(has(&text, "A copy of your message follows below."));
    dsn.return_max = strlen(HEADER) + 10; /* one octet short of the body */
    write_ok(&dsn, &text);
    assert_true(has(&text, "Content-Type: text/rfc822-headers\r\n\r\n" HEADER "\r\n--="));
    dsn.return_max = 60; /* whole fields only */
    write_ok(&dsn, &text);
    assert_true(has(&text, "\r\n\r\nFrom: Anna <anna@example.org>\r\nTo: bob@example.com\r\n\r\n--="));
    dsn.return_max = 0;
    write_ok(&dsn, &text);
    assert_false(has(&text, "From: Anna"));
    dsn.header = SPAN_NONE;
    write_ok(&dsn, &text);
    assert_false(has(&text, "rfc822-headers"));
    assert_false(has(&text, "follows below"));
}

static void test_actions(void **state)
{
    static const struct { enum dsn_action action; const char *word, *subject, *sentence; } rows[] = {
        { DSN_DELAYED, "\r\nAction: delayed\r\n", "Subject: Your message to bob@example.com is delayed\r\n",
          "Your message has not been delivered yet to:\r\n" },
        { DSN_DELIVERED, "\r\nAction: delivered\r\n", "Subject: Your message to bob@example.com was delivered\r\n",
          "Your message was delivered to:\r\n" },
        { DSN_RELAYED, "\r\nAction: relayed\r\n", "Subject: Your message to bob@example.com was passed on\r\n",
          "by a server that sends no notes" },
        { DSN_EXPANDED, "\r\nAction: expanded\r\n", "Subject: Your message to bob@example.com was passed on\r\n",
          "to all those who stand behind" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
        struct dsn_recipient recipient = bob;
        recipient.action = rows[i].action;
        recipient.retry_until_wall_ms = 600000;
        struct dsn dsn = dsn_of(&recipient, 1);
        write_ok(&dsn, &text);
        assert_true(has(&text, rows[i].word) && has(&text, rows[i].subject) && has(&text, rows[i].sentence));
        bool delayed = rows[i].action == DSN_DELAYED;
        assert_int_equal(has(&text, "Will-Retry-Until: Thu, 01 Jan 1970 00:10:00 +0000\r\n"), delayed);
        assert_int_equal(has(&text, "trying until Thu, 01 Jan 1970 00:10:00 +0000, and tell you if it fails."), delayed);
    }
}

static void test_several(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct dsn_recipient recipients[3] = { bob, bob, bob };
    recipients[1].address = SPAN("eve@example.net");
    recipients[1].action = DSN_DELAYED;
    recipients[2].address = SPAN("joe@example.net");
    recipients[2].reply = 0;
    recipients[2].text = SPAN("No server could be reached for 5 days.");
    recipients[2].remote_host = SPAN_NONE;
    struct dsn dsn = dsn_of(recipients, 3);
    write_ok(&dsn, &text);
    assert_true(has(&text, "Subject: Your message and what became of it\r\n"));
    assert_true(has(&text, "    The reason: No server could be reached for 5 days.\r\n"));
    assert_true(has(&text, "Diagnostic-Code: X-Goniec; No server could be reached for 5 days.\r\n"));
    dsn.recipients = recipients + 2;
    dsn.recipient_count = 1;
    write_ok(&dsn, &text);
    assert_true(has(&text, "Remote-MTA: dns; [192.0.2.25]\r\n"));
    recipients[2].remote_address = SPAN_NONE;
    write_ok(&dsn, &text);
    assert_false(has(&text, "Remote-MTA"));
    /* The enhanced code went lost on the way here, or was never there. */
    recipients[2].reply = 550;
    recipients[2].text = SPAN("No such user");
    write_ok(&dsn, &text);
    assert_true(has(&text, "smtp; 550 5.1.1 No such user\r\n") && has(&text, "\r\n      550 5.1.1 No such user\r\n"));
    recipients[2].status = STATUS_CODE(5, 0, 0);
    write_ok(&dsn, &text);
    assert_true(has(&text, "smtp; 550 No such user\r\n"));
}

/* What another server said cannot become a field, a part or an octet over 127 where none may be. */
static void test_hostile(void **state)
{
    static const char words[] = "5.1.1 a\r\nBcc: eve@evil\r\n\r\n--=_goniec_0000000000002_0\r\nX \x01\x1B[2J\xFF\xC5\xBC\xC2\x85 end";
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct dsn_recipient recipient = bob;
    recipient.text = span_of(words, sizeof words - 1);
    recipient.remote_host = SPAN("mx\r\nX: y");
    recipient.original = SPAN("rfc822;a+0D+0ABcc:+20eve@evil");
    struct dsn dsn = dsn_of(&recipient, 1);
    dsn.envid = SPAN("a+0D+0ABcc:+20x");
    dsn.hostname = SPAN("mail.example.org");
    dsn.header = SPAN("Subject: =_goniec_0000000000002_0\r\n");
    write_ok(&dsn, &text);
    assert_false(has(&text, "\nBcc:"));
    assert_false(has(&text, "\nX: y"));
    assert_true(span_is_ascii(buf_span(&text)));
    assert_false(has(&text, "\x1B"));
    assert_true(has(&text, "boundary=\"=_goniec_0000000000002_1\"")); /* the first stood in the original */
    /* Endless words are cut, and no line is over the limit. */
    AUTO(buf_done) struct buf endless = BUF_EMPTY(1u << 20);
    for (unsigned i = 0; i < 100000; i++)
        buf_add(&endless, SPAN("xy"));
    recipient.text = buf_span(&endless);
    write_ok(&dsn, &text);
    assert_true(text.n < 8000);
    size_t line = 0;
    for (size_t i = 0; i < text.n; i++) {
        line = text.p[i] == '\n' ? 0 : line + 1;
        assert_true(line < 999 + 64);
    }
}

static void test_utf8(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1u << 20);
    struct dsn_recipient recipient = bob;
    recipient.address = SPAN("\xC5\xBC@b.pl");
    recipient.text = SPAN("5.1.1 Nie ma \xC5\xBC");
    recipient.original = SPAN("utf-8;\xC5\xBC@b.pl");
    struct dsn dsn = dsn_of(&recipient, 1);
    write_ok(&dsn, &text); /* to an ASCII sender: everything of ours is ASCII */
    assert_true(span_is_ascii(buf_span(&text)));
    assert_true(has(&text, "Final-Recipient: utf-8; \\x{17C}@b.pl\r\n"));
    assert_false(has(&text, "Original-Recipient"));
    assert_true(has(&text, "Content-Transfer-Encoding: quoted-printable\r\n"));
    assert_true(has(&text, "  =C5=BC@b.pl\r\n"));
    assert_true(has(&text, "Diagnostic-Code: smtp; 550 5.1.1 Nie ma ??\r\n"));
    dsn.to = SPAN("\xC5\xBC@example.org");
    write_ok(&dsn, &text);
    assert_true(has(&text, "To: <\xC5\xBC@example.org>\r\n"));
    assert_true(has(&text, "report-type=global-delivery-status;"));
    assert_true(has(&text, "Content-Type: message/global-delivery-status\r\n"));
    assert_true(has(&text, "Final-Recipient: utf-8; \xC5\xBC@b.pl\r\n"));
    assert_true(has(&text, "Original-Recipient: utf-8; \xC5\xBC@b.pl\r\n"));
    dsn.header = SPAN("Subject: \xC5\xBC\r\n");
    write_ok(&dsn, &text);
    assert_true(has(&text, "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n"));
}

static void test_no_room(void **state)
{
    struct dsn dsn = dsn_of(&bob, 1);
    for (size_t most = 0; most < 1500; most += 7) {
        bool utf8 = false;
        AUTO(buf_done) struct buf text = BUF_EMPTY(most);
        assert_int_equal(dsn_write(&dsn, &text, &utf8), STATUS_FULL);
        assert_int_equal(text.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),   cmocka_unit_test(test_return), cmocka_unit_test(test_actions),
        cmocka_unit_test(test_several), cmocka_unit_test(test_hostile), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
