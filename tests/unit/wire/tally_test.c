#include "wire/tally.h"
#include "test.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECOND 1000

struct two {
    int fd;
    struct tally a, b, supervisor;
};

static void two_begin(struct two *two)
{
    assert_int_equal(tally_create(2, &two->fd), STATUS_OK);
    assert_int_equal(tally_map(two->fd, 2, 0, &two->a), STATUS_OK);
    assert_int_equal(tally_map(two->fd, 2, 1, &two->b), STATUS_OK);
    assert_int_equal(tally_map(two->fd, 2, 2, &two->supervisor), STATUS_OK);
}

static void two_end(struct two *two)
{
    tally_unmap(&two->a);
    tally_unmap(&two->b);
    tally_unmap(&two->supervisor);
    close(two->fd);
}

/* What comes to one process counts in the other, and what dies with it does not. */
static void test_shared(void **state)
{
    struct two two;
    two_begin(&two);
    uint64_t name = tally_name(&two.a, SPAN("\x01\x02\x03\x04")), other = tally_name(&two.a, SPAN("\x01\x02\x03\x05"));
    assert_true(name == tally_name(&two.b, SPAN("\x01\x02\x03\x04")));
    assert_true(name != other);
    tally_add(&two.a, TALLY_BY_ADDRESS, name);
    tally_add(&two.b, TALLY_BY_ADDRESS, name);
    tally_add(&two.b, TALLY_BY_ADDRESS, name);
    assert_int_equal(tally_sum(&two.a, TALLY_BY_ADDRESS, name), 3);
    assert_int_equal(tally_sum(&two.b, TALLY_BY_ADDRESS, name), 3);
    assert_int_equal(tally_sum(&two.a, TALLY_BY_NETWORK, name), 0);
    assert_int_equal(tally_sum(&two.a, TALLY_BY_ADDRESS, other), 0);
    tally_remove(&two.b, TALLY_BY_ADDRESS, name);
    assert_int_equal(tally_sum(&two.a, TALLY_BY_ADDRESS, name), 2);
    tally_set(&two.b, TALLY_SESSIONS, 7);
    tally_more(&two.b, TALLY_LATE, 3);
    tally_forget(&two.supervisor, 1);
    assert_int_equal(tally_sum(&two.a, TALLY_BY_ADDRESS, name), 1);
    assert_int_equal(tally_figure(&two.a, TALLY_SESSIONS), 0);
    assert_int_equal(tally_figure(&two.a, TALLY_LATE), 3);
    two_end(&two);
}

/* A number that somebody spoiled spoils nothing else. */
static void test_spoiled(void **state)
{
    struct two two;
    two_begin(&two);
    uint64_t name = tally_name(&two.a, SPAN("x"));
    tally_remove(&two.a, TALLY_BY_ADDRESS, name);
    assert_int_equal(tally_sum(&two.a, TALLY_BY_ADDRESS, name), 0);
    struct tally copy = two.a;
    memset((char *)copy.page + 8, 0xff, 1 << 20); /* all but the seed */
    assert_int_equal(tally_pass(&two.a, TALLY_BY_ADDRESS, name, 10, SECOND, 5000), 0);
    assert_int_equal(ftruncate(two.fd, 0), -1);
    assert_int_equal(ftruncate(two.fd, 1 << 26), -1);
    two_end(&two);
}

/* A flood of others hardly ever stands in anybody's way: with 20,000 addresses of one connection each, nobody reaches 10. */
static void test_crowd(void **state)
{
    struct tally tally;
    assert_int_equal(tally_alone(&tally), STATUS_OK);
    for (uint32_t i = 0; i < 20000; i++)
        tally_add(&tally, TALLY_BY_ADDRESS, tally_name(&tally, span_of((const char *)&i, 4)));
    for (uint32_t i = 0; i < 20000; i++)
        assert_in_range(tally_sum(&tally, TALLY_BY_ADDRESS, tally_name(&tally, span_of((const char *)&i, 4))), 1, 9);
    for (uint32_t i = 0; i < 20000; i++)
        tally_remove(&tally, TALLY_BY_ADDRESS, tally_name(&tally, span_of((const char *)&i, 4)));
    for (uint32_t i = 0; i < 20000; i++)
        assert_int_equal(tally_sum(&tally, TALLY_BY_ADDRESS, tally_name(&tally, span_of((const char *)&i, 4))), 0);
    tally_unmap(&tally);
}

static void test_pace(void **state)
{
    static const struct {
        int64_t after_ms; /* since the last row */
        unsigned tries, good;
        int64_t wait_ms;  /* told to those over it */
    } rows[] = {
        { 0, 10, 10, 0 },        /* all at once */
        { 0, 5, 0, 100 },        /* and no more; what is refused does not count */
        { 99, 1, 0, 1 },
        { 1, 2, 1, 100 },        /* one each tenth of a second */
        { 500, 9, 5, 100 },
        { 60000, 12, 10, 100 },  /* a pause gives no more than the whole */
    };
    struct two two;
    two_begin(&two);
    uint64_t name = tally_name(&two.a, SPAN("x"));
    int64_t now_ms = 123456789;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned good = 0;
        int64_t wait_ms = 0;
        now_ms += rows[i].after_ms;
        for (unsigned n = 0; n < rows[i].tries; n++) {
            int64_t wait = tally_pass(n % 2 ? &two.a : &two.b, TALLY_BY_ADDRESS, name, 10, SECOND, now_ms);
            good += wait == 0;
            wait_ms = wait ? wait : wait_ms;
        }
        assert_int_equal(good, rows[i].good);
        assert_int_equal(wait_ms, rows[i].wait_ms);
    }
    assert_int_equal(tally_pass(&two.a, TALLY_BY_NETWORK, name, 1, SECOND, now_ms), 0);
    two_end(&two);
}

static void test_words(void **state)
{
    AUTO(buf_done) struct buf buf = BUF_EMPTY(64);
    struct supervisor_tally back;
    static const struct { struct supervisor_tally tally; bool good; } rows[] = {
        { { 2, 1 }, true }, { { 2, 2 }, true }, { { 2, 3 }, false }, { { 0, 0 }, false },
        { { TALLY_PROCESSES_MAX + 1, 0 }, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_clear(&buf);
        supervisor_tally_put(&buf, &rows[i].tally);
        assert_int_equal(supervisor_tally_get(buf_span(&buf), &back), rows[i].good);
        assert_false(supervisor_tally_get(span_head(buf_span(&buf), buf.n - 1), &back));
    }
    for (unsigned i = 0; i < TALLY_FIGURES; i++)
        assert_string_not_equal(tally_figure_name((enum tally_figure)i), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_shared), cmocka_unit_test(test_spoiled), cmocka_unit_test(test_crowd),
                                        cmocka_unit_test(test_pace), cmocka_unit_test(test_words) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
