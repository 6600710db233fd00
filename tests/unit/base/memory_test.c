#include "base/memory.h"
#include "test.h"

static void test_group(void **state)
{
    static const struct { const char *text, *group; bool is_v1; } rows[] = {
        { "0::/system.slice/goniec.service\n", "/system.slice/goniec.service", false },
        { "0::/", "/", false },
        { "9:name=systemd:/a\n4:cpu,memory:/b:c\n0::/d\n", "/b:c", true },
        { "9:pids:/a\n0::/d\n", "/d", false },
        { "9:memoryx:/a\n", "", false },
        { "memory", "", false },
        { "0:", "", false },
        { "", "", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool is_v1 = true;
        assert_span(memory_group(span_str(rows[i].text), &is_v1), rows[i].group);
        assert_int_equal(is_v1, rows[i].is_v1);
    }
}

/* Whatever it is, a test could run in it. */
static void test_allowed(void **state) { assert_true(memory_allowed() == 0 || memory_allowed() > 1 << 20); }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_group), cmocka_unit_test(test_allowed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
