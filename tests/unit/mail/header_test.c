#include "mail/header.h"
#include "base/buf.h"
#include "test.h"

static void test_measure(void **state)
{
    static const struct { const char *in; size_t header, body; } rows[] = {
        { "A: b\r\n\r\nbody", 6, 8 },
        { "A: b\r\nC: d\r\n e\r\n\tf\r\n\r\n", 20, 22 },
        { "\r\nbody", 0, 2 },
        { "", 0, 0 },
        { "body", 0, 0 },
        { "body\r\n", 0, 0 },
        { "A: b\r\nbody\r\nB: c\r\n\r\n", 6, 6 },
        { "A: b", 0, 0 },
        { "A: b\r\n", 6, 6 },
        { "A: b\r\n c", 6, 6 },
        { " A: b\r\n\r\n", 0, 0 },
        { "A : b\r\n\r\n", 7, 9 },
        { "A B: c\r\n\r\n", 0, 0 },
        { ": c\r\n\r\n", 0, 0 },
        { "A\xC5: c\r\n\r\n", 0, 0 },
        { "From anna Mon\r\nA: b\r\n\r\n", 0, 0 },
        { "A: b\nC: d\r\n\r\n", 11, 13 },
        { "A: b\n\r\n\r\n", 7, 9 },
        { "A: b\r\n \r\nC: d\r\n\r\n", 15, 17 },
        { "A:\r\n\r\n", 4, 6 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t header = 99, body = 99;
        assert_int_equal(header_measure(span_str(rows[i].in), HEADER_MAX, &header, &body), STATUS_OK);
        if (header != rows[i].header || body != rows[i].body)
            fail_msg("row %zu: %zu and %zu, not %zu and %zu", i, header, body, rows[i].header, rows[i].body);
    }
}

static void test_limits(void **state)
{
    size_t header, body;
    AUTO(buf_done) struct buf many = BUF_EMPTY(1u << 20);
    assert_int_equal(header_measure(SPAN("A: b\r\nC: d\r\n\r\n"), 12, &header, &body), STATUS_OK);
    assert_int_equal(header_measure(SPAN("A: b\r\nC: d\r\n\r\n"), 11, &header, &body), STATUS_TOO_LONG);
    for (unsigned i = 0; i < HEADER_FIELDS_MAX; i++)
        buf_add(&many, SPAN("A:\r\n"));
    assert_int_equal(header_measure(buf_span(&many), HEADER_MAX, &header, &body), STATUS_OK);
    buf_add(&many, SPAN("A:\r\n"));
    assert_int_equal(header_measure(buf_span(&many), HEADER_MAX, &header, &body), STATUS_TOO_LONG);
}

static void test_fields(void **state)
{
    struct span header = SPAN("Subject: one\r\n two\r\nFROM :a@b\r\nX:\r\n");
    struct header_field field;
    char text[32];
    unsigned count = 9;
    assert_true(header_find(header, SPAN("from"), &field, &count));
    assert_int_equal(count, 1);
    assert_span(field.name, "FROM");
    assert_span(field.value, "a@b");
    assert_true(header_next(&header, &field));
    assert_span(field.all, "Subject: one\r\n two\r\n");
    assert_span(field.value, " one\r\n two");
    assert_span(header_unfold(field.value, text, sizeof text), "one two");
    assert_span(header_unfold(SPAN(" a\tb\x01\x7F"), text, sizeof text), "a b");
    assert_span(header_unfold(SPAN(" abcdef"), text, 3), "abc");
    assert_true(header_next(&header, &field) && header_next(&header, &field));
    assert_span(field.value, "");
    assert_false(header_next(&header, &field));
    assert_false(header_find(SPAN(""), SPAN("From"), &field, &count));
    assert_int_equal(count, 0);
}

static enum status collect(void *arg, const struct address *address)
{
    buf_add(arg, address->text);
    return buf_add_char(arg, '|');
}

static void test_addresses(void **state)
{
    enum { U = ADDRESS_UTF8, L = ADDRESS_LOCAL };
    static const struct { const char *in; unsigned allow; enum status status; const char *addresses; } rows[] = {
        { "a@b", 0, STATUS_OK, "a@b|" },
        { " Anna <a@B>", 0, STATUS_OK, "a@b|" },
        { "\"Doe, John\" <a@b>, c@d", 0, STATUS_OK, "a@b|c@d|" },
        { "John Q. Public <a@b>", 0, STATUS_OK, "a@b|" },
        { ".J. <a@b>", 0, STATUS_OK, "a@b|" },
        { "a@b (a comment (nested) \\) @ <>,)", 0, STATUS_OK, "a@b|" },
        { "(x) a (y) @ (z) b . c (w)", 0, STATUS_OK, "a@b.c|" },
        { "a . b@c", 0, STATUS_OK, "a.b@c|" },
        { "<a@b>", 0, STATUS_OK, "a@b|" },
        { "<@x,@y:a@b>", 0, STATUS_OK, "a@b|" },
        { "\"an na\"@b", 0, STATUS_OK, "\"an na\"@b|" },
        { "\"anna\"@b", 0, STATUS_OK, "anna@b|" },
        { "\"a@x\" <a@b>", 0, STATUS_OK, "a@b|" },
        { "a@[192.0.2.1]", 0, STATUS_OK, "a@[192.0.2.1]|" },
        { "=?utf-8?Q?M=C3=BCller,_Anna?= <a@b>", 0, STATUS_OK, "a@b|" },
        { "=?utf-8?Q?a(b?= <a@b>", 0, STATUS_OK, "a@b|" },
        { "=?utf-8?Q?x@y,?= <a@b>", 0, STATUS_OK, "=?utf-8?Q?x@y|a@b|" }, /* both are asked about */
        { "=?utf-8?Q?<x@y>?= <a@b>", 0, STATUS_SYNTAX, NULL },
        { "Za\xC5\xBC\xC3\xB3\xC5\x82\xC4\x87 <a@b>", 0, STATUS_OK, "a@b|" },
        { "M\xFCller <a@b>", 0, STATUS_OK, "a@b|" },
        { "Team: a@b, Anna <c@d>;", 0, STATUS_OK, "a@b|c@d|" },
        { "undisclosed-recipients:;", 0, STATUS_OK, "" },
        { "x:;, a@b", 0, STATUS_OK, "a@b|" },
        { ", a@b,, c@d,", 0, STATUS_OK, "a@b|c@d|" },
        { "", 0, STATUS_OK, "" },
        { "a@b,\r\n\tc@d", 0, STATUS_OK, "a@b|c@d|" },
        { "\"x\r\n y\" <a@b>", 0, STATUS_OK, "a@b|" },
        { "a@b <a@b>", 0, STATUS_OK, "a@b|" },
        { "A@B <a@b>", 0, STATUS_OK, "a@b|" },
        { "c@d <a@b>", 0, STATUS_SYNTAX, NULL },
        { "<a@b> <c@d>", 0, STATUS_SYNTAX, NULL },
        { "<a@b> c@d", 0, STATUS_SYNTAX, NULL },
        { "<a@b> x", 0, STATUS_SYNTAX, NULL },
        { "a@b c@d", 0, STATUS_SYNTAX, NULL },
        { "a@b c", 0, STATUS_SYNTAX, NULL },
        { "a@b@c", 0, STATUS_SYNTAX, NULL },
        { "a@b; c@d", 0, STATUS_SYNTAX, NULL },
        { "x: y: a@b;", 0, STATUS_SYNTAX, NULL },
        { "x: a@b", 0, STATUS_SYNTAX, NULL },
        { "x:a@b; c@d", 0, STATUS_SYNTAX, NULL },
        { "Anna", 0, STATUS_SYNTAX, NULL },
        { "Doe, John <a@b>", 0, STATUS_SYNTAX, NULL },
        { "root (Cron)", L, STATUS_OK, "root|" },
        { "Cron <root>", L, STATUS_OK, "root|" },
        { "a@", 0, STATUS_SYNTAX, NULL },
        { "@b", 0, STATUS_SYNTAX, NULL },
        { "a@b.", 0, STATUS_SYNTAX, NULL },
        { "a@b..c", 0, STATUS_SYNTAX, NULL },
        { "a..b@c", 0, STATUS_SYNTAX, NULL },
        { "<>", 0, STATUS_SYNTAX, NULL },
        { "<>", ADDRESS_NULL, STATUS_OK, "|" },
        { "<a@b", 0, STATUS_SYNTAX, NULL },
        { "a@b>", 0, STATUS_SYNTAX, NULL },
        { "<<a@b>>", 0, STATUS_SYNTAX, NULL },
        { "\"Anna <a@b>", 0, STATUS_SYNTAX, NULL },
        { "Anna (x <a@b>", 0, STATUS_SYNTAX, NULL },
        { "Anna\\ <a@b>", 0, STATUS_SYNTAX, NULL },
        { "[x] <a@b>", 0, STATUS_SYNTAX, NULL },
        { "a@[1.2.3.4] x", 0, STATUS_SYNTAX, NULL },
        { "a@[1.2.3.4].b", 0, STATUS_SYNTAX, NULL },
        { "a\x01@b", 0, STATUS_SYNTAX, NULL },
        { "\xC5\xBC@b", 0, STATUS_DENIED, NULL },
        { "\xC5\xBC@b", U, STATUS_OK, "\xC5\xBC@b|" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf found = BUF_EMPTY(4096);
        enum status status = header_addresses(span_str(rows[i].in), rows[i].allow, collect, &found);
        if (status != rows[i].status)
            fail_msg("%s: %s, not %s", rows[i].in, status_text(status), status_text(rows[i].status));
        if (status == STATUS_OK)
            assert_span(buf_span(&found), rows[i].addresses);
    }
}

static enum status refuse(void *arg, const struct address *address) { return STATUS_DENIED; }
static enum status count_one(void *arg, const struct address *address)
{
    ++*(size_t *)arg;
    return STATUS_OK;
}

/* Depth and number cost nothing but their octets. */
static void test_addresses_bounded(void **state)
{
    AUTO(buf_done) struct buf value = BUF_EMPTY(4u << 20);
    size_t count = 0;
    for (unsigned i = 0; i < 200000; i++)
        buf_add_char(&value, '(');
    assert_int_equal(header_addresses(buf_span(&value), 0, count_one, &count), STATUS_SYNTAX);
    buf_clear(&value);
    for (unsigned i = 0; i < HEADER_ADDRESSES_MAX; i++)
        buf_add(&value, SPAN("a@b,"));
    assert_int_equal(header_addresses(buf_span(&value), 0, count_one, &count), STATUS_OK);
    assert_int_equal(count, HEADER_ADDRESSES_MAX);
    buf_add(&value, SPAN("a@b,"));
    assert_int_equal(header_addresses(buf_span(&value), 0, count_one, &count), STATUS_TOO_LONG);
    assert_int_equal(header_addresses(SPAN("a@b"), 0, refuse, NULL), STATUS_DENIED);
    buf_clear(&value);
    for (unsigned i = 0; i < 3000; i++)
        buf_add(&value, SPAN("word "));
    buf_add(&value, SPAN("<a@b>"));
    count = 0;
    assert_int_equal(header_addresses(buf_span(&value), 0, count_one, &count), STATUS_OK);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measure),   cmocka_unit_test(test_limits),           cmocka_unit_test(test_fields),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_addresses_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
