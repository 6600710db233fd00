#include "score/score.h"
#include "score/score_priv.h"
#include "test.h"

#define NOW INT64_C(1795440000000)

static struct score_table *house(void)
{
    struct score_table *table = score_table_new(50);
    struct score_verdict verdict;
    for (uint32_t i = 0; i < 500; i++) {
        struct score_event event = { NOW + i * INT64_C(600000), 1, 1 + i % 9, i % 5, i % 7 == 0, i % 11, "PL", i | 1 };
        assert_int_equal(score_count(table, i % 50, &event, &verdict), STATUS_OK);
    }
    return table;
}

static void write_all(const struct score_table *table, size_t slice, struct buf *ret)
{
    size_t from = 0;
    for (bool more = true; more;) {
        AUTO(buf_done) struct buf piece = BUF_EMPTY(slice);
        more = score_encode(table, &from, &piece);
        assert_int_equal(buf_add(ret, buf_span(&piece)), STATUS_OK);
    }
}

static void test_there_and_back(void **state)
{
    AUTO(buf_done) struct buf octets = BUF_EMPTY(1 << 20), again = BUF_EMPTY(1 << 20);
    struct score_table *table = house(), *other = score_table_new(50);
    write_all(table, 3000, &octets);
    assert_int_equal(score_decode(other, buf_span(&octets)), STATUS_OK);
    assert_int_equal(score_table_count(other), 50);
    write_all(other, 1 << 20, &again);
    assert_true(span_eq(buf_span(&octets), buf_span(&again)));
    score_table_free(table);
    score_table_free(other);
}

/* Wherever an octet is wrong, one sender is missing and no other. */
static void test_damage(void **state)
{
    AUTO(buf_done) struct buf octets = BUF_EMPTY(1 << 20);
    struct score_table *table = house();
    write_all(table, 1 << 20, &octets);
    for (size_t at = 0; at < octets.n; at += 97) {
        struct score_table *other = score_table_new(50);
        octets.p[at] ^= 0x20;
        assert_int_equal(score_decode(other, buf_span(&octets)), STATUS_DAMAGED);
        assert_int_equal(score_table_count(other), 49);
        octets.p[at] ^= 0x20;
        score_table_free(other);
    }
    struct score_table *other = score_table_new(50);
    assert_int_equal(score_decode(other, span_head(buf_span(&octets), octets.n - 1)), STATUS_DAMAGED);
    assert_int_equal(score_table_count(other), 49);
    score_table_free(other);
    score_table_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_damage) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
