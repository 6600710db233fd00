#include "score/score.h"
#include "score/score_priv.h"
#include "test.h"

#define NOW INT64_C(1795440000000)

static struct score_event event_at(int64_t ms, uint32_t recipients, uint32_t strangers)
{
    return (struct score_event){ .wall_ms = NOW + ms, .messages = 1, .recipients = recipients, .strangers = strangers };
}

static void test_ceiling(void **state)
{
    struct score_table *table = score_table_new(100);
    struct score_verdict verdict;
    struct score_event event = event_at(0, 1, 0);
    for (uint64_t id = 0; id < 1000; id++) {
        assert_int_equal(score_count(table, id, &event, &verdict), STATUS_OK);
        assert_int_equal(score_count(table, 0, &event, &verdict), STATUS_OK); /* he writes all the time */
    }
    assert_int_equal(score_table_count(table), 100);
    assert_int_equal(score_look(table, 0, NOW, &verdict), STATUS_OK);
    assert_int_equal(score_look(table, 900, NOW, &verdict), STATUS_NOT_FOUND);
    assert_int_equal(score_look(table, 901, NOW, &verdict), STATUS_OK);
    score_forget(table, 0);
    assert_int_equal(score_look(table, 0, NOW, &verdict), STATUS_NOT_FOUND);
    assert_int_equal(score_accept(table, 0, NOW), STATUS_NOT_FOUND);
    score_table_free(table);
}

/* The score is the sum of what it says. */
static void test_sum(void **state)
{
    struct score_table *table = score_table_new(1);
    struct score_verdict verdict;
    for (unsigned i = 0; i < 2000; i++) {
        struct score_event event = event_at(i * 1000, 1 + i % 50, i % 20);
        event.network = i % 30 + 1;
        event.failures = i % 3;
        event.text = 77;
        assert_int_equal(score_count(table, 1, &event, &verdict), STATUS_OK);
        unsigned sum = 0;
        for (unsigned part = 0; part < SCORE_PART_COUNT; part++)
            sum += verdict.reasons[part].points;
        assert_int_equal(sum, verdict.score);
    }
    assert_true(verdict.step >= SCORE_WATCH);
    score_table_free(table);
}

/* Who looked and found it good is not asked again for the same. */
static void test_accept(void **state)
{
    struct score_table *table = score_table_new(1);
    struct score_verdict verdict;
    for (unsigned i = 0; i < 1000; i++) {
        struct score_event event = event_at(i * 1000, 1, 1);
        event.text = 77;
        assert_int_equal(score_count(table, 1, &event, &verdict), STATUS_OK);
    }
    assert_true(verdict.step >= SCORE_WATCH);
    assert_int_equal(score_accept(table, 1, NOW + 1000 * 1000), STATUS_OK);
    assert_int_equal(score_look(table, 1, NOW + 1000 * 1000, &verdict), STATUS_OK);
    assert_int_equal(verdict.step, SCORE_CALM);
    score_table_free(table);
}

/* Clocks that jump, numbers that are as great as can be. */
static void test_strange(void **state)
{
    struct score_table *table = score_table_new(3);
    struct score_verdict verdict;
    static const int64_t times[] = { 0, -NOW, INT64_MAX - NOW, 0, INT64_MIN + NOW, 5 };
    for (unsigned round = 0; round < 50; round++)
        for (size_t i = 0; i < ARRAY_LEN(times); i++) {
            struct score_event event = { .wall_ms = NOW + times[i], .messages = UINT32_MAX, .recipients = UINT32_MAX,
                                         .strangers = UINT32_MAX, .failures = UINT32_MAX, .network = round + 1, .text = round };
            assert_int_equal(score_count(table, round % 5, &event, &verdict), STATUS_OK);
        }
    score_table_free(table);
}

static void test_networks(void **state)
{
    uint32_t a = score_network(SPAN("\xc0\x00\x02\x01"));
    assert_true(a);
    assert_int_equal(a, score_network(SPAN("\xc0\x00\x02\xfe")));
    assert_int_not_equal(a, score_network(SPAN("\xc0\x00\x03\x01")));
    assert_int_equal(a, score_network(SPAN("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07")));
    assert_int_equal(score_network(SPAN("\x20\x01\x0d\xb8\0\x01\0\x05\0\0\0\0\0\0\0\x01")),
                     score_network(SPAN("\x20\x01\x0d\xb8\0\x01\0\x06\0\0\0\0\0\0\0\x02")));
    assert_int_equal(score_network(SPAN("abc")), 0);
}

/* Counts are kept as logarithms: an eighth of a doubling, nine percent, at most. */
static void test_codes(void **state)
{
    for (double n = 0; n < 1e9; n = n * 1.3 + 1) {
        double back = score_decode_count(score_code(n));
        assert_true(back >= (n + 1) / 1.05 - 1 && back <= (n + 1) * 1.05 - 1);
    }
    assert_int_equal(score_code(1e30), 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ceiling), cmocka_unit_test(test_sum), cmocka_unit_test(test_accept),
        cmocka_unit_test(test_strange), cmocka_unit_test(test_networks), cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
