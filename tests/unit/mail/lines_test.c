#include "mail/lines.h"
#include "test.h"

static const struct row {
    const char *in;
    size_t n;
    bool dot_ends;
    const char *out;
    bool ended;
} rows[] = {
#define ROW(in, dot, out, ended) { in, sizeof(in) - 1, dot, out, ended }
    ROW("", true, "", false),
    ROW("a\nb\n", true, "a\r\nb\r\n", false),
    ROW("a\r\nb\r\n", true, "a\r\nb\r\n", false),
    ROW("a\r\r\nb", true, "a\r\nb\r\n", false),
    ROW("a\rb\r", true, "a\r\nb\r\n", false),
    ROW("\n\n", true, "\r\n\r\n", false),
    ROW("\r\n\r\n", true, "\r\n\r\n", false),
    ROW("a\0b\n", true, "ab\r\n", false),
    ROW("\0\n", true, "\r\n", false),
    ROW("a\n.\nb\n", true, "a\r\n", true),
    ROW("a\n.\r\nb\n", true, "a\r\n", true),
    ROW("a\n.", true, "a\r\n", true),
    ROW("a\n.\nb\n", false, "a\r\n.\r\nb\r\n", false),
    ROW(".\n", false, ".\r\n", false),
    ROW("..\n", true, "..\r\n", false),
    ROW(".a\n.\0\nb", true, ".a\r\n", true),
    ROW("a.\n", true, "a.\r\n", false),
    ROW(".", true, "", true),
    ROW(".b", true, ".b\r\n", false),
};

static void feed(const struct row *row, size_t piece)
{
    struct lines lines = { .dot_ends = row->dot_ends };
    AUTO(buf_done) struct buf out = BUF_EMPTY(1000);
    for (size_t i = 0; i < row->n; i += piece)
        assert_int_equal(lines_add(&lines, span_of(row->in + i, MIN(piece, row->n - i)), &out), STATUS_OK);
    assert_int_equal(lines_end(&lines, &out), STATUS_OK);
    if (!span_eq(buf_span(&out), span_str(row->out)) || lines.ended != row->ended)
        fail_msg("row %zu by %zu: \"%s\"", (size_t)(row - rows), piece, buf_cstr(&out));
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t piece = 1; piece < 9; piece++)
            feed(&rows[i], piece);
}

static void test_full(void **state)
{
    struct lines lines = { .dot_ends = true };
    AUTO(buf_done) struct buf out = BUF_EMPTY(3);
    assert_int_equal(lines_add(&lines, SPAN("abcdef\n"), &out), STATUS_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_full) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
