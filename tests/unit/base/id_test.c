#include "base/id.h"
#include "test.h"

#define NOON INT64_C(1795435200000)

static void test_grows(void **state)
{
    struct id_source source = { .writer = 3 };
    uint64_t last = 0;
    for (int i = 0; i < 100000; i++) { /* more than one millisecond holds; the clock even goes back */
        uint64_t id = id_next(&source, NOON - i / 1000);
        assert_true(id > last);
        last = id;
    }
    assert_true(id_time_wall_ms(last) >= NOON);
    assert_true(id_time_wall_ms(last) < NOON + 10);
}

static void test_writers_differ(void **state)
{
    struct id_source a = { .writer = 1 }, b = { .writer = 2 };
    for (int i = 0; i < 1000; i++)
        assert_true(id_next(&a, NOON) != id_next(&b, NOON));
}

static void test_text(void **state)
{
    char text[ID_TEXT_SIZE];
    uint64_t ids[] = { 0, 1, 31, 32, UINT64_MAX, 0x0123456789ABCDEFu }, back = 0;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        id_text(ids[i], text);
        assert_int_equal(strlen(text), ID_TEXT_SIZE - 1);
        assert_true(id_parse(span_str(text), &back));
        assert_true(back == ids[i]);
    }
    assert_true(id_parse(SPAN("00000000000z1"), &back));
    assert_true(back == 31 * 32 + 1);
    assert_false(id_parse(SPAN("G000000000000"), &back)); /* over 64 bits */
    assert_false(id_parse(SPAN("000000000000"), &back));
    assert_false(id_parse(SPAN("00000000000I0"), &back));
    assert_false(id_parse(SPAN("00000000000\0" "0"), &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_grows), cmocka_unit_test(test_writers_differ),
                                        cmocka_unit_test(test_text) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
