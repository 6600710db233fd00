#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "smtp/dots.h"

static const struct {
    const char *in, *out;
} rows[] = {
    { "", ".\r\n" },
    { ".", "..\r\n.\r\n" },
    { "a\r\n", "a\r\n.\r\n" },
    { "a", "a\r\n.\r\n" },
    { "a\r", "a\r\r\n.\r\n" },
    { "a\n", "a\n\r\n.\r\n" },
    { ".a\r\n..b\r\nc.d\r\n.\r\n", "..a\r\n...b\r\nc.d\r\n..\r\n.\r\n" },
    { "a\n.\r\nMAIL FROM:<x>\r\n", "a\n..\r\nMAIL FROM:<x>\r\n.\r\n" },
    { "\r\n.", "\r\n..\r\n.\r\n" },
};

static void dots_are_doubled_however_the_body_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t step = 1; step < 8; step++) {
            AUTO(buf_done) struct buf out = BUF_EMPTY(1000);
            struct smtp_dots dots;
            smtp_dots_init(&dots);
            struct span in = span_str(rows[i].in);
            while (in.n) {
                assert_int_equal(smtp_dots_add(&dots, span_head(in, step), &out), STATUS_OK);
                in = span_from(in, step);
            }
            buf_add(&out, smtp_dots_end(&dots));
            assert_string_equal(buf_cstr(&out), rows[i].out);
        }
    }
}

static void a_body_without_dots_is_told_by_its_end(void **state)
{
    (void)state;
    struct smtp_dots dots;
    smtp_dots_init(&dots);
    smtp_dots_skip(&dots, SPAN("abc\r"));
    assert_true(span_eq(smtp_dots_end(&dots), SPAN("\r\n.\r\n")));
    smtp_dots_skip(&dots, SPAN("\n"));
    assert_true(span_eq(smtp_dots_end(&dots), SPAN(".\r\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dots_are_doubled_however_the_body_is_cut),
        cmocka_unit_test(a_body_without_dots_is_told_by_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
