#include "directory/remember.h"
#include "test.h"
#include <sodium.h>

static void test_fits_only_the_same(void **state)
{
    struct remember *remember = remember_new(16, 1000);
    struct remember_name name = remember_name(remember, SPAN("anna"), SPAN("$y$1"), SPAN("secret"));
    assert_false(remember_has(remember, &name, 0));
    remember_add(remember, &name, 0);
    assert_true(remember_has(remember, &name, 0));
    static const struct span others[][3] = {
        { SPAN("bob"), SPAN("$y$1"), SPAN("secret") },    { SPAN("anna"), SPAN("$y$2"), SPAN("secret") },
        { SPAN("anna"), SPAN("$y$1"), SPAN("secret ") },  { SPAN("anna"), SPAN("$y$1s"), SPAN("ecret") },
        { SPAN("anna$"), SPAN("y$1"), SPAN("secret") },   { SPAN(""), SPAN("anna$y$1"), SPAN("secret") },
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct remember_name other = remember_name(remember, others[i][0], others[i][1], others[i][2]);
        assert_false(remember_has(remember, &other, 0));
    }
    remember_free(remember);
}

static void test_forgets(void **state)
{
    struct remember *remember = remember_new(16, 1000);
    struct remember_name name = remember_name(remember, SPAN("anna"), SPAN("$y$1"), SPAN("secret"));
    remember_add(remember, &name, 5000);
    assert_true(remember_has(remember, &name, 5999));
    assert_false(remember_has(remember, &name, 6000));
    remember_add(remember, &name, 7000);
    assert_true(remember_has(remember, &name, 7500));
    remember_set_life(remember, 0); /* switched off by a reload */
    assert_false(remember_has(remember, &name, 7500));
    remember_free(remember);
}

static void test_is_bounded(void **state)
{
    struct remember *remember = remember_new(16, 1000);
    struct remember_name last = { 0 };
    for (unsigned i = 0; i < 1000; i++) {
        last = remember_name(remember, span_of(&i, sizeof i), SPAN("s"), SPAN("p"));
        remember_add(remember, &last, (int64_t)i);
    }
    assert_true(remember_has(remember, &last, 999)); /* the newest always has a place */
    remember_free(remember);
}

/* Another process, another key: what one remembers tells nothing about another. */
static void test_is_keyed(void **state)
{
    struct remember *one = remember_new(16, 1000), *two = remember_new(16, 1000);
    struct remember_name a = remember_name(one, SPAN("anna"), SPAN("s"), SPAN("p"));
    struct remember_name b = remember_name(two, SPAN("anna"), SPAN("s"), SPAN("p"));
    assert_memory_not_equal(&a, &b, sizeof a);
    remember_free(one);
    remember_free(two);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_fits_only_the_same), cmocka_unit_test(test_forgets),
                                        cmocka_unit_test(test_is_bounded), cmocka_unit_test(test_is_keyed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
