#include "supervisor/pause.h"
#include "test.h"

static void test_early_deaths_wait_longer_each_time(void **state)
{
    static const int64_t pauses_ms[] = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000 };
    unsigned failures = 0;
    for (unsigned i = 0; i < ARRAY_LEN(pauses_ms); i++)
        assert_int_equal(supervisor_pause_ms(&failures, i), pauses_ms[i]);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(supervisor_pause_ms(&failures, 0), SUPERVISOR_PAUSE_MAX_MS);
}

static void test_a_life_makes_good(void **state)
{
    unsigned failures = 0;
    supervisor_pause_ms(&failures, 0);
    supervisor_pause_ms(&failures, SUPERVISOR_SOON_MS - 1);
    assert_int_equal(supervisor_pause_ms(&failures, SUPERVISOR_SOON_MS), 0);
    assert_int_equal(supervisor_pause_ms(&failures, 0), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early_deaths_wait_longer_each_time),
        cmocka_unit_test(test_a_life_makes_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
