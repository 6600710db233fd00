#include "limits/clock.h"
#include "test.h"

/* Only the monotonic clock moves it, and only forwards. */
static void test_clock(void **state)
{
    struct limits_clock clock = limits_clock_at(1795440000000, 5000);
    assert_true(limits_clock_now(&clock, 5000) == 1795440000000);
    assert_true(limits_clock_now(&clock, 65000) == 1795440060000);
    assert_true(limits_clock_now(&clock, 0) == 1795440000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_clock) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
