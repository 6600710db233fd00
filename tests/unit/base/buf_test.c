#include "base/buf.h"
#include "test.h"
#include <unistd.h>

static void test_ceiling(void **state)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(10);
    assert_int_equal(buf_add(&buf, SPAN("0123456789")), STATUS_OK);
    assert_int_equal(buf_add_char(&buf, 'x'), STATUS_FULL);
    assert_true(buf.failed);
    assert_span(buf_span(&buf), "0123456789");
    buf_drop(&buf, 4);
    assert_span(buf_span(&buf), "456789");
    assert_int_equal(buf_add_str(&buf, "ab"), STATUS_OK);
    assert_span(buf_span(&buf), "456789ab");
    buf_clear(&buf);
    assert_false(buf.failed);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), STATUS_FULL);
}

static void test_printf(void **state)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(16);
    assert_int_equal(buf_printf(&buf, "%d-%s", 42, "abc"), STATUS_OK);
    assert_int_equal(buf_printf(&buf, "%s", "this is too long for it"), STATUS_FULL);
    assert_span(buf_span(&buf), "42-abc");
    assert_string_equal(buf_cstr(&buf), "42-abc");
}

static void test_take_and_fill(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "hello", 5), 5);
    close(ends[1]);
    AUTO(buf_done) struct buf buf = BUF_EMPTY(100);
    assert_int_equal(buf_fill(&buf, ends[0]), STATUS_OK);
    close(ends[0]);
    AUTO(buf_done) struct buf taken = buf_take(&buf);
    assert_span(buf_span(&taken), "hello");
    assert_int_equal(buf.n, 0);
    assert_null(buf.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ceiling), cmocka_unit_test(test_printf),
                                        cmocka_unit_test(test_take_and_fill) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
