#include "smtpd/files.h"
#include "test.h"

/* What is asked for so many connections is enough for them, and something always stays for the mail itself. */
static void test_shares(void **state)
{
    static const unsigned long counts[] = { 1, 2, 3, 100, 1000, 10000, 1000000 };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        unsigned long limit = smtpd_files_for(counts[i]);
        struct smtpd_files files = smtpd_files_of(limit);
        assert_true(files.connections >= counts[i]);
        assert_true(files.bodies >= 1);
        assert_true(files.connections + files.bodies < limit);
    }
}

static void test_odd_limits(void **state)
{
    static const unsigned long limits[] = { 0, 1, 64, 65, ~0ul };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct smtpd_files files = smtpd_files_of(limits[i]);
        assert_true(files.connections >= 1 && files.bodies >= 1);
    }
    assert_true(smtpd_files_of(1024).connections < 1024 - 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_shares), cmocka_unit_test(test_odd_limits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
