#include "test.h"

static void test_cut(void **state)
{
    struct span rest = SPAN("a,,b"), piece;
    assert_true(span_cut(&rest, ',', &piece));
    assert_span(piece, "a");
    assert_true(span_cut(&rest, ',', &piece));
    assert_span(piece, "");
    assert_true(span_cut(&rest, ',', &piece));
    assert_span(piece, "b");
    assert_false(span_cut(&rest, ',', &piece));
}

static void test_numbers(void **state)
{
    static const struct { const char *text; uint64_t most; bool good; uint64_t value; } rows[] = {
        { "0", 10, true, 0 },
        { "10", 10, true, 10 },
        { "11", 10, false, 0 },
        { "007", 10, true, 7 },
        { "", 10, false, 0 },
        { "-1", 10, false, 0 },
        { "+1", 10, false, 0 },
        { "1 ", 10, false, 0 },
        { "5", 3, false, 0 },
        { "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
        { "18446744073709551616", UINT64_MAX, false, 0 },
        { "99999999999999999999", UINT64_MAX, false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t value = 0;
        assert_int_equal(span_u64(span_str(rows[i].text), rows[i].most, &value), rows[i].good);
        if (rows[i].good)
            assert_true(value == rows[i].value);
    }
}

static void test_utf8(void **state)
{
    static const struct { const char *text; bool good; } rows[] = {
        { "", true }, { "plain", true }, { "za\xC5\xBC\xC3\xB3\xC5\x82\xC4\x87", true },
        { "\xF0\x9F\x93\xAC", true }, { "\xC0\x80", false }, { "\xE0\x80\x80", false },
        { "\xED\xA0\x80", false }, { "\xF4\x90\x80\x80", false }, { "\xFF", false }, { "\xC5", false },
        { "\x80", false }, { "\xF5\x80\x80\x80", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(span_is_utf8(span_str(rows[i].text)), rows[i].good);
}

static void test_compare(void **state)
{
    assert_true(span_eq_case(SPAN("ExAmple"), SPAN("eXaMPLE")));
    assert_false(span_eq_case(SPAN("a@"), SPAN("a`")));
    assert_true(span_starts_case(SPAN("MAIL FROM"), SPAN("mail")));
    assert_true(span_ends_case(SPAN("a.Example.org"), SPAN(".example.ORG")));
    assert_true(span_cmp(SPAN("a"), SPAN("ab")) < 0);
    assert_int_equal(span_find(SPAN("abc"), 'x'), 3);
    assert_int_equal(span_rfind(SPAN("a@b@c"), '@'), 3);
    assert_int_equal(span_find_span(SPAN("abcabd"), SPAN("abd")), 3);
    assert_span(span_trim(SPAN(" \t x y \t")), "x y");
    assert_span(span_from(SPAN("abc"), 9), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cut), cmocka_unit_test(test_numbers),
                                        cmocka_unit_test(test_utf8), cmocka_unit_test(test_compare) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
