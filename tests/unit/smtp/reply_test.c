#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/reply.h"

static const struct {
    const char *in;
    enum status status;
    int code;
    struct status_code enhanced;
    const char *text;
} rows[] = {
    { "220 mx.example.org ESMTP\r\n", STATUS_OK, 220, { 0 }, "mx.example.org ESMTP" },
    { "250\r\n", STATUS_OK, 250, { 0 }, "" },
    { "250 \r\n", STATUS_OK, 250, { 0 }, "" },
    { "250 2.1.5 fine\r\n", STATUS_OK, 250, { 2, 1, 5 }, "fine" },
    { "550-5.1.1 No such user;\r\n550 5.1.1 see http://example.org\r\n", STATUS_OK, 550, { 5, 1, 1 },
      "No such user; see http://example.org" },
    { "550 4.1.1 at odds with itself\r\n", STATUS_OK, 550, { 0 }, "4.1.1 at odds with itself" },
    { "250 lone LF\n", STATUS_OK, 250, { 0 }, "lone LF" },
    { "250-one\n250 two\r\n", STATUS_OK, 250, { 0 }, "one two" },
    { "421 a\tb\x01" "c\x7f.\r\n", STATUS_OK, 421, { 0 }, "a b c ." },
    { "550 \xc4\x85\r\n", STATUS_OK, 550, { 0 }, "\xc4\x85" },
    { "550 caf\xe9 au lait\r\n", STATUS_OK, 550, { 0 }, "caf? au lait" },
    { "250-a\r\n251 b\r\n", STATUS_OK, 251, { 0 }, "a b" },
    { "250-a\r\n550 b\r\n", STATUS_SYNTAX, 0, { 0 }, NULL },
    { "250", STATUS_AGAIN, 0, { 0 }, NULL },
    { "250-a\r\n", STATUS_AGAIN, 0, { 0 }, NULL },
    { "", STATUS_AGAIN, 0, { 0 }, NULL },
    { "\r\n", STATUS_SYNTAX, 0, { 0 }, NULL },
    { "25\r\n", STATUS_SYNTAX, 0, { 0 }, NULL },
    { "2500 x\r\n", STATUS_SYNTAX, 0, { 0 }, NULL },
    { "150 x\r\n", STATUS_SYNTAX, 0, { 0 }, NULL },
    { "650 x\r\n", STATUS_SYNTAX, 0, { 0 }, NULL },
    { "250_x\r\n", STATUS_SYNTAX, 0, { 0 }, NULL },
    { "HTTP/1.1 400 Bad Request\r\n", STATUS_SYNTAX, 0, { 0 }, NULL },
};

static enum status feed_all(struct smtp_reply *reply, struct span in, size_t step)
{
    enum status status = STATUS_AGAIN;
    while (in.n) {
        struct span piece = span_head(in, step);
        in = span_from(in, piece.n);
        while (piece.n) {
            status = smtp_reply_feed(reply, &piece);
            if (status != STATUS_OK && status != STATUS_AGAIN)
                return status;
            if (status == STATUS_OK && reply->is_complete)
                return status;
        }
    }
    return STATUS_AGAIN;
}

static void replies_are_read_whole_and_octet_by_octet(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t step = 1; step < 40; step += 13) {
            struct smtp_reply reply;
            smtp_reply_init(&reply);
            enum status status = feed_all(&reply, span_str(rows[i].in), step);
            assert_int_equal(status, rows[i].status);
            if (status != STATUS_OK)
                continue;
            assert_int_equal(reply.code, rows[i].code);
            assert_memory_equal(&reply.enhanced, &rows[i].enhanced, sizeof reply.enhanced);
            assert_int_equal(reply.text_n, strlen(rows[i].text));
            assert_memory_equal(reply.text, rows[i].text, reply.text_n);
        }
    }
}

static void a_line_without_end_is_too_long(void **state)
{
    (void)state;
    struct smtp_reply reply;
    smtp_reply_init(&reply);
    static char flood[SMTP_REPLY_OCTETS_MAX + 10];
    memset(flood, 'x', sizeof flood);
    memcpy(flood, "250 ", 4);
    assert_int_equal(feed_all(&reply, span_of(flood, sizeof flood), 1000), STATUS_TOO_LONG);
}

static void a_long_line_is_cut(void **state)
{
    (void)state;
    struct smtp_reply reply;
    smtp_reply_init(&reply);
    static char line[5002];
    for (size_t i = 0; i + 2 < sizeof line; i += 2)
        memcpy(line + i, "\xc4\x85", 2);
    memcpy(line, "550 ", 4);
    memcpy(line + 5000, "\r\n", 2);
    assert_int_equal(feed_all(&reply, span_of(line, sizeof line), 777), STATUS_OK);
    assert_int_equal(reply.code, 550);
    assert_true(reply.text_n <= SMTP_REPLY_TEXT_MAX && reply.text_n > 1000);
    assert_true(span_is_utf8(smtp_reply_text(&reply)));
}

static void too_many_lines_are_too_long(void **state)
{
    (void)state;
    struct smtp_reply reply;
    smtp_reply_init(&reply);
    enum status status = STATUS_OK;
    for (unsigned i = 0; i <= SMTP_REPLY_LINES_MAX && status == STATUS_OK; i++) {
        struct span line = SPAN("250-again\r\n");
        status = smtp_reply_feed(&reply, &line);
    }
    assert_int_equal(status, STATUS_TOO_LONG);
    assert_true(reply.text_n <= SMTP_REPLY_TEXT_MAX);
}

static void replies_follow_each_other(void **state)
{
    (void)state;
    struct smtp_reply reply;
    smtp_reply_init(&reply);
    struct span in = SPAN("250-2.1.0 a\r\n250 2.1.0 b\r\n354 go\r\n");
    assert_int_equal(smtp_reply_feed(&reply, &in), STATUS_OK);
    assert_false(reply.is_complete);
    assert_true(span_eq(reply.words, SPAN("a")));
    assert_int_equal(smtp_reply_feed(&reply, &in), STATUS_OK);
    assert_true(reply.is_complete);
    assert_int_equal(smtp_reply_feed(&reply, &in), STATUS_OK);
    assert_int_equal(reply.code, 354);
    assert_int_equal(reply.enhanced.class, 0);
    assert_true(span_eq(smtp_reply_text(&reply), SPAN("go")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_whole_and_octet_by_octet),
        cmocka_unit_test(a_line_without_end_is_too_long),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(too_many_lines_are_too_long),
        cmocka_unit_test(replies_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
