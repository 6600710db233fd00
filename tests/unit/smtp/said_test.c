#include "smtp/said.h"
#include "mail/xtext.h"
#include "test.h"

static const struct row {
    const char *args;
    enum status status;
    const char *command, *script; /* still encoded */
} rows[] = {
    { "",                                           STATUS_OK,     "", "" },
    { "command=sendmail",                           STATUS_OK,     "sendmail", "" },
    { "COMMAND=sendmail+20-t  script=/srv/a.php",   STATUS_OK,     "sendmail+20-t", "/srv/a.php" },
    { "command=a command=b",                        STATUS_OK,     "b", "" },
    { "later=x script=y",                           STATUS_OK,     "", "y" }, /* of a newer program */
    { "script=",                                    STATUS_OK,     "", "" },
    { "script",                                     STATUS_SYNTAX, NULL, NULL },
    { "script=a=b",                                 STATUS_SYNTAX, NULL, NULL },
    { "script=a+2",                                 STATUS_SYNTAX, NULL, NULL },
    { "script=\xc4\x85",                            STATUS_SYNTAX, NULL, NULL },
};

static void test_get(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span said[SMTP_SAID_COUNT];
        enum status status = smtp_said_get(span_str(rows[i].args), said);
        if (status != rows[i].status)
            fail_msg("%s: %s", rows[i].args, status_text(status));
        if (status != STATUS_OK)
            continue;
        assert_true(span_eq(said[SMTP_SAID_COMMAND], span_str(rows[i].command)));
        assert_true(span_eq(said[SMTP_SAID_SCRIPT], span_str(rows[i].script)));
    }
}

/* What is put comes back: the whole, or its beginning; and all of them fit into a command line. */
static void test_put(void **state)
{
    char long_value[2000];
    AUTO(buf_done) struct buf line = BUF_EMPTY(2048 - sizeof "XLOCAL\r\n"), back = BUF_EMPTY(2000);
    struct span said[SMTP_SAID_COUNT];
    for (size_t i = 0; i < sizeof long_value; i++)
        long_value[i] = (char)i;
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++)
        smtp_said_put(&line, (enum smtp_said)i, span_of(long_value, sizeof long_value));
    assert_false(line.failed);
    assert_int_equal(smtp_said_get(buf_span(&line), said), STATUS_OK);
    for (unsigned i = 0; i < SMTP_SAID_COUNT; i++) {
        buf_clear(&back);
        assert_int_equal(xtext_decode(said[i], &back), STATUS_OK);
        assert_true(back.n >= SMTP_SAID_MAX / 3 && memcmp(back.p, long_value, back.n) == 0);
    }
}

static const struct reply {
    const char *text;
    enum status status;
    const char *origin, *sender;
} replies[] = {
    { "origin=example.org sender=shop@example.org", STATUS_OK,     "example.org", "shop@example.org" },
    { "origin=example.org",                         STATUS_OK,     "example.org", "" },
    { "hello origin=a sender=b@c more=d",           STATUS_OK,     "a", "b@c" },
    { "sender=b@c",                                 STATUS_SYNTAX, NULL, NULL },
    { "origin=",                                    STATUS_SYNTAX, NULL, NULL },
    { "Ok",                                         STATUS_SYNTAX, NULL, NULL },
    { "origin=a\tb",                                STATUS_SYNTAX, NULL, NULL },
};

static void test_reply(void **state)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1024);
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct smtp_told told;
        if (smtp_told_get(span_str(replies[i].text), &told) != replies[i].status)
            fail_msg("%s", replies[i].text);
        if (replies[i].status != STATUS_OK)
            continue;
        assert_true(span_eq(told.origin, span_str(replies[i].origin)) && span_eq(told.sender, span_str(replies[i].sender)));
    }
    smtp_told_put(&text, &(struct smtp_told){ SPAN("a"), SPAN("b@a") });
    assert_string_equal(buf_cstr(&text), "origin=a sender=b@a");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_get), cmocka_unit_test(test_put), cmocka_unit_test(test_reply) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
