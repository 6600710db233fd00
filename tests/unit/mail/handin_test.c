#include "mail/handin.h"
#include "test.h"

static enum status gather(void *arg, const struct span address)
{
    struct buf *all = arg;
    buf_add(all, address);
    return buf_add_char(all, ' ');
}

static const struct row {
    const char *header;
    bool take;
    enum status status;
    const char *out;        /* NULL: as `header` */
    const char *recipients;
    const char *bad;
} rows[] = {
    { "From: a@b.org\r\nTo: c@d.org\r\n", true, STATUS_OK, NULL, "c@d.org " },
    { "From: a@b.org\r\nTo: c@d.org\r\n", false, STATUS_OK, NULL, "" },
    { "From: a@b.org\r\nTo: c@d.org, \"E, F\" <e@f.org>\r\nCC: g@h.org\r\nBcc: i@j.org\r\nSubject: x\r\n", true, STATUS_OK,
      "From: a@b.org\r\nTo: c@d.org, \"E, F\" <e@f.org>\r\nCC: g@h.org\r\nSubject: x\r\n", "c@d.org e@f.org g@h.org i@j.org " },
    /* every Bcc goes, folded or not, asked or not */
    { "Bcc: a@b.org,\r\n c@d.org,\r\n\te@f.org\r\nFrom: x@y.org\r\nbCC : g@h.org\r\nSubject: x\r\nBCC:\r\n", true, STATUS_OK,
      "From: x@y.org\r\nSubject: x\r\n", "a@b.org c@d.org e@f.org g@h.org " },
    { "Bcc: a@b.org,\r\n c@d.org\r\nFrom: x@y.org\r\n", false, STATUS_OK, "From: x@y.org\r\n", "" },
    /* sent again: only the Resent fields count */
    { "Resent-To: r@s.org\r\nResent-Bcc: t@u.org\r\nFrom: x@y.org\r\nTo: a@b.org\r\nBcc: c@d.org\r\n", true, STATUS_OK,
      "Resent-To: r@s.org\r\nFrom: x@y.org\r\nTo: a@b.org\r\n", "r@s.org t@u.org " },
    /* names without a domain */
    { "From: root (Cron Daemon)\r\nTo: root\r\n", true, STATUS_OK,
      "From: root@host.org (Cron Daemon)\r\nTo: root@host.org\r\n", "root@host.org " },
    { "From: Anna <anna>\r\nTo: bob,carl@x.org , \"d, e\" <dan>,eve (a, b)\r\nReply-To: <anna>\r\n", true, STATUS_OK,
      "From: Anna <anna@host.org>\r\nTo: bob@host.org,carl@x.org , \"d, e\" <dan@host.org>,eve@host.org (a, b)\r\n"
      "Reply-To: <anna@host.org>\r\n", "bob@host.org carl@x.org dan@host.org eve@host.org " },
    { "From: x@y.org\r\nTo: all: anna, bob@x.org;\r\n", true, STATUS_OK,
      "From: x@y.org\r\nTo: all: anna@host.org, bob@x.org;\r\n", "anna@host.org bob@x.org " },
    { "From: x@y.org\r\nTo: undisclosed-recipients:;\r\nBcc: a@b.org\r\n", true, STATUS_OK,
      "From: x@y.org\r\nTo: undisclosed-recipients:;\r\n", "a@b.org " },
    /* no From */
    { "To: a@b.org\r\n", true, STATUS_OK, "From: <me@host.org>\r\nTo: a@b.org\r\n", "a@b.org " },
    { "From: \r\nTo: a@b.org\r\n", false, STATUS_OK, "From: <me@host.org>\r\nTo: a@b.org\r\n", "" },
    { "", false, STATUS_OK, "From: <me@host.org>\r\n", "" },
    /* two of them are the server's to refuse */
    { "From: a@b.org\r\nFrom: c@d.org\r\n", false, STATUS_OK, NULL, "" },
    /* not to be guessed */
    { "From: x@y.org\r\nTo: <a@b.org> <c@d.org>\r\n", true, STATUS_SYNTAX, NULL, "", "To" },
    { "From: x@y.org\r\nCc: a@b.org; c@d.org\r\n", true, STATUS_SYNTAX, NULL, "", "Cc" },
    { "From: x@y.org\r\nTo: Anna Miller\r\n", true, STATUS_SYNTAX, NULL, "", "To" },
    { "From: x@y.org\r\nTo: Anna Miller\r\n", false, STATUS_OK, NULL, "" },
    { "From: x@y.org\r\nTo: \"anna@b.org\r\n", true, STATUS_SYNTAX, NULL, "", "To" },
    { "From: x@y.org\r\nTo: Z\xc3\xb3ja <z@b.org>\r\n", true, STATUS_OK, NULL, "z@b.org " },
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        AUTO(buf_done) struct buf out = BUF_EMPTY(100000), all = BUF_EMPTY(100000), want = BUF_EMPTY(100000);
        struct handin how = { .origin = SPAN("host.org"), .sender = SPAN("me@host.org"), .take_recipients = row->take,
                              .on_recipient = gather, .arg = &all };
        enum status status = handin_header(&how, span_str(row->header), &out);
        if (status != row->status || (row->bad && !span_eq(how.bad, span_str(row->bad))))
            fail_msg("row %zu: %s, %.*s", i, status_text(status), SPAN_ARGS(how.bad));
        if (status != STATUS_OK)
            continue;
        buf_printf(&want, "%s\r\n", row->out ? row->out : row->header);
        if (strcmp(buf_cstr(&out), buf_cstr(&want)) != 0 || strcmp(buf_cstr(&all), row->recipients) != 0)
            fail_msg("row %zu:\n%s\nto %s", i, buf_cstr(&out), buf_cstr(&all));
    }
}

static const struct name {
    const char *name, *from;
} names[] = {
    { "Anna Nowak", "From: Anna Nowak <me@host.org>\r\n\r\n" },
    { "Shop, Ltd.", "From: \"Shop, Ltd.\" <me@host.org>\r\n\r\n" },
    { "a\"b\\c", "From: \"a\\\"b\\\\c\" <me@host.org>\r\n\r\n" },
    { "x\r\nBcc: evil@x.org", "From: \"xBcc: evil@x.org\" <me@host.org>\r\n\r\n" },
    { "Za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87", "From: =?UTF-8?Q?Za=C5=BC=C3=B3=C5=82=C4=87?= <me@host.org>\r\n\r\n" },
    { "", "From: <me@host.org>\r\n\r\n" },
};

static void test_names(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(buf_done) struct buf out = BUF_EMPTY(10000), all = BUF_EMPTY(1000);
        struct handin how = { .origin = SPAN("host.org"), .sender = SPAN("me@host.org"), .name = span_str(names[i].name),
                              .on_recipient = gather, .arg = &all };
        assert_int_equal(handin_header(&how, SPAN_NONE, &out), STATUS_OK);
        assert_string_equal(buf_cstr(&out), names[i].from);
    }
}

static void test_words(void **state)
{
    static const struct {
        const char *word;
        enum status status;
        const char *recipients;
    } words[] = {
        { "root", STATUS_OK, "root@host.org " },
        { "a@b.org,c@d.org root", STATUS_SYNTAX, "" },
        { "a@b.org, root", STATUS_OK, "a@b.org root@host.org " },
        { "Anna <a@b.org>", STATUS_OK, "a@b.org " },
        { "", STATUS_OK, "" },
        { "a@b@c", STATUS_SYNTAX, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        AUTO(buf_done) struct buf all = BUF_EMPTY(1000);
        struct handin how = { .origin = SPAN("host.org"), .on_recipient = gather, .arg = &all };
        assert_int_equal(handin_words(&how, span_str(words[i].word)), words[i].status);
        if (words[i].status == STATUS_OK)
            assert_string_equal(buf_cstr(&all), words[i].recipients);
    }
}

static void test_mailbox_line(void **state)
{
    assert_int_equal(handin_mailbox_line(SPAN("From anna Mon\r\nTo: x\r\n")), 15);
    assert_int_equal(handin_mailbox_line(SPAN("From: anna\r\n")), 0);
    assert_int_equal(handin_mailbox_line(SPAN("From anna")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_names), cmocka_unit_test(test_words),
                                        cmocka_unit_test(test_mailbox_line) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
