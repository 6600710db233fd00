#include "intake/intake.h"
#include "test.h"

#define FROM "From: Anna <anna@example.org>\r\n"
#define DATE "Date: Mon, 23 Nov 2026 14:20:07 +0000\r\n"
#define ID "Message-ID: <1@laptop>\r\n"
#define NEW_DATE "Date: Thu, 01 Jan 1970 00:00:01 +0000\r\n"
#define NEW_ID "Message-ID: <0000000000001.goniec@mail.example.org>\r\n"
#define TRACE                                                                                              \
    "Received: from laptop ([192.0.2.7])\r\n\tby mail.example.org (goniec) with ESMTPA id 0000000000001\r\n" \
    "\tfor <bob@example.com>;\r\n\tThu, 01 Jan 1970 00:00:01 +0000\r\n"

static struct intake_facts facts_of(bool submission)
{
    return (struct intake_facts){
        .hostname = SPAN("mail.example.org"), .helo = SPAN("laptop"), .client_address = SPAN("192.0.2.7"),
        .protocol = SPAN("ESMTPA"), .account = SPAN("anna@example.org"), .submission = submission,
        .ret = SPOOL_RET_HDRS, .envid = SPAN("QQ1"), .max_hops = 3, .id = 1, .now_wall_ms = 1000,
    };
}

static void begin(struct intake *intake, const char *message)
{
    intake_clear(intake);
    assert_int_equal(intake_sender(intake, SPAN("anna@example.org")), STATUS_OK);
    assert_int_equal(intake_recipient(intake, SPAN("bob@example.com"), SPAN("rfc822;bob@example.com"), NOTIFY_FAILURE), STATUS_OK);
    assert_int_equal(intake_take(intake, span_str(message)), STATUS_OK);
}

static void join(const struct intake *intake, struct buf *ret)
{
    size_t count = 0;
    const struct span *pieces = intake_pieces(intake, &count);
    buf_add(ret, buf_span(&intake->added));
    for (size_t i = 0; i < count; i++) {
        assert_true(pieces[i].n > 0);
        buf_add(ret, pieces[i]);
    }
}

static void test_result(void **state)
{
    static const struct { bool submission; const char *in, *out, *from; } rows[] = {
        /* Relay: the trace, nothing else, and no Return-Path. */
        { false, "A: b\r\n\r\nbody\r\n", TRACE "A: b\r\n\r\nbody\r\n", NULL },
        { false, "Return-Path: <x>\r\nA: b\r\nBcc: eve@x\r\n\r\n", TRACE "A: b\r\nBcc: eve@x\r\n\r\n", NULL },
        { false, "Return-Path: <x>\r\n\r\nb\r\n", TRACE "\r\nb\r\n", NULL },
        { false, "", TRACE "\r\n", NULL },
        { false, "\r\n", TRACE "\r\n", NULL },
        { false, "body\r\n", TRACE "\r\nbody\r\n", NULL },
        { false, "A: b\r\n", TRACE "A: b\r\n\r\n", NULL },
        { false, "A: b\r\nno field\r\nFrom: x\r\n\r\n", TRACE "A: b\r\n\r\nno field\r\nFrom: x\r\n\r\n", NULL },
        { false, "From: a@b\r\nFrom: c@d\r\n\r\n", TRACE "From: a@b\r\nFrom: c@d\r\n\r\n", NULL },
        /* Submission: all is there. */
        { true, FROM DATE ID "\r\nbody\r\n", TRACE FROM DATE ID "\r\nbody\r\n", "anna@example.org" },
        /* What is missing. */
        { true, FROM ID "\r\n", TRACE NEW_DATE FROM ID "\r\n", "anna@example.org" },
        { true, FROM DATE "\r\n", TRACE NEW_ID FROM DATE "\r\n", "anna@example.org" },
        { true, DATE ID "\r\n", TRACE "From: <anna@example.org>\r\n" DATE ID "\r\n", "anna@example.org" },
        { true, FROM "Date: \r\nMessage-ID:\r\n\t\r\n\r\nx", TRACE NEW_DATE NEW_ID FROM "\r\nx", "anna@example.org" },
        { true, "", TRACE NEW_DATE NEW_ID "From: <anna@example.org>\r\n\r\n", "anna@example.org" },
        /* What goes. */
        { true, FROM "Bcc: eve@x,\r\n joe@x\r\n" DATE "Return-Path: <y>\r\nresent-bcc: z\r\n" ID "\r\nx",
          TRACE FROM DATE ID "\r\nx", "anna@example.org" },
        { true, "Bcc: eve@x\r\n" FROM DATE ID "Bcc: y\r\n\r\nBcc: z\r\n", TRACE FROM DATE ID "\r\nBcc: z\r\n", "anna@example.org" },
        { true, "From anna Mon Nov 23\r\n" FROM DATE ID "\r\nx", TRACE FROM DATE ID "\r\nx", "anna@example.org" },
        { true, ">From anna\r\nBcc: x\r\n" FROM DATE ID "\r\nx", TRACE FROM DATE ID "\r\nx", "anna@example.org" },
        /* From: made good. */
        { true, DATE "From:\r\n" ID "\r\nx", TRACE "From: <anna@example.org>\r\n" DATE ID "\r\nx", "anna@example.org" },
        { true, DATE "From: root (Cron)\r\n" ID "\r\nx", TRACE "From: <root@example.org>\r\n" DATE ID "\r\nx", "root@example.org" },
        { true, "From: Cron Daemon <root>\r\n" DATE ID "\r\nx",
          TRACE "From: Cron Daemon <root@example.org>\r\n" DATE ID "\r\nx", "root@example.org" },
        { true, DATE ID "Bcc: x\r\nFrom: root\r\nBcc: y\r\n\r\nx", TRACE "From: <root@example.org>\r\n" DATE ID "\r\nx", "root@example.org" },
        { true, DATE ID "From: root\r\n", TRACE "From: <root@example.org>\r\n" DATE ID "\r\n", "root@example.org" },
        { true, "From: a@b, \"C\" <C@D>\r\n" DATE ID "\r\n", TRACE "From: a@b, \"C\" <C@D>\r\n" DATE ID "\r\n", "a@b C@d" },
    };
    struct intake intake;
    struct intake_facts facts;
    intake_init(&intake, 1u << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf out = BUF_EMPTY(1u << 20);
        AUTO(buf_done) struct buf from = BUF_EMPTY(1u << 20);
        begin(&intake, rows[i].in);
        facts = facts_of(rows[i].submission);
        if (intake_header(&intake, &facts) != STATUS_OK)
            fail_msg("row %zu: %s", i, intake.refusal.text);
        join(&intake, &out);
        assert_span(buf_span(&out), rows[i].out);
        assert_int_equal(intake.octets, out.n);
        for (uint32_t n = 0; n < intake_from_count(&intake); n++) {
            buf_add_str(&from, n ? " " : "");
            buf_add(&from, intake_from(&intake, n));
        }
        assert_span(buf_span(&from), rows[i].from ? rows[i].from : "");
    }
    intake_done(&intake);
}

static void test_refused(void **state)
{
    static const struct { const char *in; unsigned reply; const char *text; } rows[] = {
        { FROM FROM "\r\n", 554, "The message has 2 From fields" },
        { FROM "from : x@y\r\n\r\n", 554, "The message has 2 From fields" },
        { "From: a@b c@d\r\n\r\n", 554, "The From field cannot be read in one way only: write it as Name <address@domain>" },
        { "From: Doe, John <a@b>\r\n\r\n", 554, "The From field cannot be read in one way only: write it as Name <address@domain>" },
        { "From: \xC5\xBC@b\r\n\r\n", 554, "The address in the From field is not ASCII: the mail program has to say SMTPUTF8" },
        { "Received: a\r\nReceived: b\r\nReceived: c\r\nReceived: d\r\n" FROM "\r\n", 554,
          "The message passed 4 servers already: it goes round in circles" },
    };
    struct intake intake;
    struct intake_facts facts = facts_of(true);
    intake_init(&intake, 1u << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin(&intake, rows[i].in);
        assert_int_equal(intake_header(&intake, &facts), STATUS_DENIED);
        assert_int_equal(intake.refusal.reply, rows[i].reply);
        assert_string_equal(intake.refusal.text, rows[i].text);
    }
    intake_clear(&intake); /* nobody to name */
    facts.account = SPAN("anna");
    assert_int_equal(intake_header(&intake, &facts), STATUS_DENIED);
    assert_string_equal(intake.refusal.text, "The message has no From field");
    intake_done(&intake);
}

static void test_limits(void **state)
{
    AUTO(buf_done) struct buf many = BUF_EMPTY(4u << 20);
    struct intake intake;
    struct intake_facts facts = facts_of(true);
    intake_init(&intake, 4u << 20);
    for (unsigned i = 0; i < INTAKE_PIECES_MAX; i++)
        buf_add(&many, SPAN("X: y\r\nBcc: z\r\n"));
    buf_add(&many, SPAN(FROM "\r\n"));
    begin(&intake, buf_cstr(&many));
    assert_int_equal(intake_header(&intake, &facts), STATUS_DENIED);
    buf_clear(&many);
    buf_add(&many, SPAN("From: a@b"));
    for (unsigned i = 0; i < INTAKE_FROM_MAX; i++)
        buf_add(&many, SPAN(", a@b"));
    buf_add(&many, SPAN("\r\n\r\n"));
    begin(&intake, buf_cstr(&many));
    assert_int_equal(intake_header(&intake, &facts), STATUS_DENIED);
    assert_string_equal(intake.refusal.text, "The From field has too many addresses");
    buf_clear(&many);
    for (unsigned i = 0; i < 200000; i++)
        buf_add(&many, SPAN("X: yyyy\r\n"));
    begin(&intake, buf_cstr(&many));
    assert_int_equal(intake_header(&intake, &facts), STATUS_TOO_LONG);
    assert_int_equal(intake.refusal.reply, 552);
    intake_done(&intake);
}

static void test_report(void **state)
{
    AUTO(buf_done) struct buf out = BUF_EMPTY(4096);
    struct intake intake;
    struct intake_facts facts = { .hostname = SPAN("m"), .is_report = true, .id = 1 };
    intake_init(&intake, 1u << 20);
    assert_int_equal(intake_sender(&intake, SPAN_NONE), STATUS_OK);
    assert_int_equal(intake_recipient(&intake, SPAN("anna@example.org"), SPAN_NONE, NOTIFY_NEVER), STATUS_OK);
    assert_int_equal(intake_take(&intake, SPAN("From: <postmaster@m>\r\n\r\nx\r\n")), STATUS_OK);
    assert_int_equal(intake_header(&intake, &facts), STATUS_OK);
    join(&intake, &out);
    assert_span(buf_span(&out), "From: <postmaster@m>\r\n\r\nx\r\n");
    assert_int_equal(intake_compose(&intake, &facts), STATUS_OK);
    assert_int_equal(intake.flags, SPOOL_REPORT);
    intake_done(&intake);
}

static uint32_t facts_flags(const char *message)
{
    struct intake intake;
    struct intake_facts facts = facts_of(false);
    intake_init(&intake, 1u << 20);
    begin(&intake, message);
    assert_int_equal(intake_header(&intake, &facts), STATUS_OK);
    uint32_t flags = intake.flags;
    intake_done(&intake);
    return flags;
}

static void test_flags(void **state)
{
    char line[1100];
    assert_int_equal(facts_flags("A: b\r\n\r\nx.\r\n"), 0);
    assert_int_equal(facts_flags("A: b\r\n\r\nx\r\n.y\r\n"), SPOOL_LEADING_DOTS);
    assert_int_equal(facts_flags("A: b\r\n\r\n.y\r\n"), SPOOL_LEADING_DOTS);
    assert_int_equal(facts_flags(".y\r\n"), SPOOL_LEADING_DOTS);
    assert_int_equal(facts_flags("A: b\r\n\r\n\xC5\xBC\r\n"), SPOOL_8BIT);
    assert_int_equal(facts_flags("A: \xC5\xBC\r\n\r\n"), SPOOL_8BIT);
    memset(line, 'x', sizeof line);
    strcpy(line + 998, "\r\n");
    assert_int_equal(facts_flags(line), 0);
    line[998] = 'x';
    strcpy(line + 999, "\r\n");
    assert_int_equal(facts_flags(line), SPOOL_LONG_LINES);
}

/* A big message: its beginning is read here, the rest only looked at, however it is cut. */
static void test_big(void **state)
{
    static const char rest[] = "line\r\n.dot\r\n";
    struct intake_facts facts = facts_of(true);
    for (size_t cut = 0; cut <= sizeof rest - 1; cut++) {
        struct intake intake;
        intake_init(&intake, 20);
        assert_int_equal(intake_sender(&intake, SPAN("anna@example.org")), STATUS_OK);
        assert_int_equal(intake_take(&intake, SPAN("From: a@b\r\n")), STATUS_OK);
        assert_int_equal(intake_take(&intake, SPAN("Bcc: x\r\n\r\nbody")), STATUS_FULL);
        assert_int_equal(intake_header(&intake, &facts), STATUS_OK);
        assert_int_equal(intake.flags & SPOOL_LEADING_DOTS, 0);
        uint64_t before = intake.octets;
        intake_scan(&intake, span_of(rest, cut));
        intake_scan(&intake, span_of(rest + cut, sizeof rest - 1 - cut));
        assert_int_equal(intake.octets, before + sizeof rest - 1);
        assert_int_equal(intake.flags, SPOOL_LEADING_DOTS);
        intake_done(&intake);
    }
    static const char *const open[] = { "A: b\r\nB: cccccccccccccccccccccccc", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "A: b\r\nB: c\r\nC: ddddddddd\r\n" };
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        struct intake intake;
        intake_init(&intake, 20);
        assert_int_equal(intake_take(&intake, span_str(open[i])), STATUS_FULL);
        assert_int_equal(intake_header(&intake, &facts), STATUS_TOO_LONG);
        intake_done(&intake);
    }
}

static void test_envelope(void **state)
{
    struct intake intake;
    struct intake_facts facts = facts_of(true);
    struct spool_envelope envelope = { 0 };
    intake_init(&intake, 1u << 20);
    for (unsigned round = 1; round < 40; round++) {
        begin(&intake, FROM DATE ID "\r\nbody\r\n");
        for (unsigned i = 1; i < round; i++) {
            char text[32];
            int n = snprintf(text, sizeof text, "r%u@example.com", i);
            assert_int_equal(intake_recipient(&intake, span_of(text, (size_t)n), SPAN_NONE, 0), STATUS_OK);
        }
        assert_int_equal(intake_header(&intake, &facts), STATUS_OK);
        assert_int_equal(intake_compose(&intake, &facts), STATUS_OK);
        assert_int_equal(spool_envelope_decode(buf_span(&intake.envelope), &envelope), STATUS_OK);
        assert_int_equal(envelope.recipient_count, round);
        assert_span(envelope.sender, "anna@example.org");
        assert_span(envelope.account, "anna@example.org");
        assert_span(envelope.envid, "QQ1");
        assert_int_equal(envelope.ret, SPOOL_RET_HDRS);
        assert_int_equal(envelope.flags, SPOOL_SUBMISSION);
        struct spool_recipient first = spool_envelope_recipient(&envelope, 0);
        assert_span(first.address, "bob@example.com");
        assert_span(first.orcpt, "rfc822;bob@example.com");
        assert_int_equal(first.notify, SPOOL_NOTIFY_FAILURE);

        AUTO(buf_done) struct buf words = BUF_EMPTY(1u << 20);
        struct writer_enqueue enqueue = { 0 };
        intake_announce(&intake, &words);
        assert_true(writer_enqueue_get(buf_span(&words), &enqueue));
        assert_int_equal(enqueue.recipient_count, round);
        assert_int_equal(enqueue.octets, intake.octets);
        assert_int_equal(enqueue.flags, ENQUEUE_RET_HEADERS | ENQUEUE_SUBMISSION);
        assert_span(enqueue.account, "anna@example.org");
    }
    intake_done(&intake);
}

/* Named twice, delivered once, with what was asked for first; letters of the local part count. */
static void test_twice(void **state)
{
    struct intake intake;
    char text[32];
    intake_init(&intake, 1u << 20);
    for (unsigned round = 0; round < 3; round++) {
        begin(&intake, FROM "\r\n");
        for (unsigned i = 0; i < 20000; i++) {
            int n = snprintf(text, sizeof text, "r%u@example.com", i % 5000);
            assert_int_equal(intake_recipient(&intake, span_of(text, (size_t)n), SPAN_NONE, 0), STATUS_OK);
        }
        assert_int_equal(intake_recipient(&intake, SPAN("bob@example.com"), SPAN("rfc822;x@y"), NOTIFY_NEVER), STATUS_OK);
        assert_int_equal(intake_recipient(&intake, SPAN("Bob@example.com"), SPAN_NONE, 0), STATUS_OK);
        assert_int_equal(intake.recipient_count, 5002);
        assert_span(intake_recipient_of(&intake, 0), "bob@example.com");
        assert_span(intake_recipient_of(&intake, 5000), "r4999@example.com");
        assert_span(intake_recipient_of(&intake, 5001), "Bob@example.com");
        struct intake_facts facts = facts_of(true);
        struct spool_envelope envelope = { 0 };
        assert_int_equal(intake_header(&intake, &facts), STATUS_OK);
        assert_int_equal(intake_compose(&intake, &facts), STATUS_OK);
        assert_int_equal(spool_envelope_decode(buf_span(&intake.envelope), &envelope), STATUS_OK);
        struct spool_recipient first = spool_envelope_recipient(&envelope, 0);
        assert_span(first.orcpt, "rfc822;bob@example.com");
        assert_int_equal(first.notify, SPOOL_NOTIFY_FAILURE);
    }
    intake_done(&intake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result), cmocka_unit_test(test_refused), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_report), cmocka_unit_test(test_flags),   cmocka_unit_test(test_big),
        cmocka_unit_test(test_envelope), cmocka_unit_test(test_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
