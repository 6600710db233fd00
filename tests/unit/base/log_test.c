#include "base/log.h"
#include "test.h"
#include <unistd.h>

static void test_strings(void **state)
{
    static const struct { struct span text; const char *json; } rows[] = {
        { SPAN("plain"), "\"plain\"" },
        { SPAN("a\"b\\c"), "\"a\\\"b\\\\c\"" },
        { SPAN("line\r\nnext\t\0\x7F"), "\"line\\r\\nnext\\t\\u0000\\u007f\"" },
        { SPAN("\xC5\xBC\xC3\xB3\xC5\x82w"), "\"\xC5\xBC\xC3\xB3\xC5\x82w\"" },
        { SPAN("bad \xFF\xC5"), "\"bad \\ufffd\\ufffd\"" },
        { SPAN(""), "\"\"" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_done) struct buf buf = BUF_EMPTY(1000);
        json_add_string(&buf, rows[i].text);
        assert_span(buf_span(&buf), rows[i].json);
    }
}

static void test_line(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct log log;
    log_init(&log, ends[1], "test", LOG_INFO);
    log_debug(&log, "unseen");
    log_info(&log, "accepted", LOG_ID(1), LOG_SIZE(42), LOG_STR("sender", "a@b"), LOG_BOOL("tls", true));
    log_done(&log);
    close(ends[1]);
    AUTO(buf_done) struct buf line = BUF_EMPTY(10000);
    assert_int_equal(buf_fill(&line, ends[0]), STATUS_OK);
    close(ends[0]);
    struct span got = buf_span(&line);
    assert_true(span_find_span(got, SPAN("\"event\":\"accepted\",\"id\":\"0000000000001\",\"octets\":42,"
                                         "\"sender\":\"a@b\",\"tls\":true}\n")) < got.n);
    assert_int_equal(span_find(got, '\n'), got.n - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_strings), cmocka_unit_test(test_line) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
