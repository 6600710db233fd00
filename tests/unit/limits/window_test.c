/* The window beside an exact log of all that was counted. */
#include "limits/window.h"
#include "test.h"
#include <stdlib.h>

static const struct limits_allowance hour_300 = { 300, 0 };
enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };
static const int64_t begin = INT64_C(1795000000123); /* some day of 2026 */

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Counts what there is room for, as a caller does. */
static uint64_t take(struct limits_window *window, struct limits_allowance allowance, uint64_t n, int64_t now_ms)
{
    uint64_t granted = MIN(n, limits_window_room(window, allowance, now_ms));
    assert_true(limits_window_reserve(window));
    limits_window_add(window, allowance, granted, now_ms, true);
    return granted;
}

static void test_simple(void **state)
{
    struct limits_window window;
    limits_window_init(&window, HOUR);
    assert_int_equal(limits_window_room(&window, hour_300, begin), 300);
    assert_int_equal(take(&window, hour_300, 250, begin), 250);
    assert_int_equal(take(&window, hour_300, 100, begin + 10 * MINUTE), 50);
    assert_int_equal(take(&window, hour_300, 1, begin + 59 * MINUTE), 0);
    assert_int_equal(limits_window_count(&window, hour_300, begin + HOUR - 1), 300);
    int64_t clear = limits_window_clear(&window, hour_300, 1, begin + 59 * MINUTE);
    assert_in_range(clear, begin + HOUR, begin + HOUR + HOUR / 4096);
    assert_int_equal(limits_window_clear(&window, hour_300, 250, begin), clear);
    assert_int_equal(limits_window_room_at(&window, hour_300, clear - 1), 0);
    assert_int_equal(limits_window_room_at(&window, hour_300, clear), 250);
    assert_in_range(limits_window_clear(&window, hour_300, 251, begin), begin + 70 * MINUTE,
                    begin + 70 * MINUTE + HOUR / 4096);
    assert_int_equal(limits_window_clear(&window, hour_300, 301, begin), LIMITS_NEVER);
    assert_int_equal(limits_window_room(&window, hour_300, clear), 250);
    assert_int_equal(limits_window_count(&window, hour_300, begin + 3 * HOUR), 0);
    assert_true(limits_window_is_idle(&window, begin + 3 * HOUR));
    limits_window_done(&window);
    assert_int_equal(limits_window_octets(&window), 0);
}

/* An exact log: what lies in (from, now] counts. */
struct log {
    struct { int64_t at; uint64_t n; } events[20000];
    size_t n;
};

static uint64_t log_count(const struct log *log, int64_t from, int64_t to)
{
    uint64_t count = 0;
    for (size_t i = log->n; i-- && log->events[i].at > from;)
        count += log->events[i].at <= to ? log->events[i].n : 0;
    return count;
}

static int64_t pause_of(unsigned mood, uint32_t per_ms, uint64_t *seed)
{
    switch (mood) {
    case 0: return (int64_t)(draw(seed) % (per_ms / 100 + 1));   /* a crowd */
    case 1: return (int64_t)(draw(seed) % (per_ms / 10 + 1));    /* now and then */
    case 2: return per_ms / 300;                                 /* a steady stream, as much as is allowed */
    case 3: return draw(seed) % 50 ? 0 : per_ms * 9 / 10;        /* bursts, and at the edge of the window again */
    default: return draw(seed) % 20 ? 1 : (int64_t)(draw(seed) % (3 * (uint64_t)per_ms));
    }
}

/* Never less than what really came in the window; never more than what came in one that is 2 % longer. So no more than
 * the amount passes in any window of the stated length, and everything clears in time. */
static void play(uint32_t per_ms, unsigned mood, uint64_t seed)
{
    static struct log log;
    struct limits_window window;
    int64_t now = begin + (int64_t)(draw(&seed) % per_ms), longer = per_ms + per_ms / 50;
    log.n = 0;
    limits_window_init(&window, per_ms);
    for (unsigned step = 0; step < 4000; step++) {
        now += pause_of(mood, per_ms, &seed);
        uint64_t count = limits_window_count(&window, hour_300, now);
        uint64_t least = log_count(&log, now - per_ms, now), most = log_count(&log, now - longer, now);
        if (count < least || count > most)
            fail_msg("window %u mood %u step %u: %llu is not %llu to %llu", per_ms, mood, step,
                     (unsigned long long)count, (unsigned long long)least, (unsigned long long)most);
        uint64_t granted = take(&window, hour_300, 1 + draw(&seed) % 20, now);
        if (granted) {
            log.events[log.n].at = now;
            log.events[log.n++].n = granted;
        } else { /* what it promises comes true, and not before */
            int64_t clear = limits_window_clear(&window, hour_300, 1, now);
            assert_true(clear > now && clear <= now + longer);
            assert_int_equal(limits_window_room_at(&window, hour_300, clear - 1), 0);
            assert_true(limits_window_room_at(&window, hour_300, clear) > 0);
        }
        assert_true(log_count(&log, now - per_ms, now) <= 300);
        assert_true(window.n <= LIMITS_WINDOW_ENTRIES && window.total <= 300);
    }
    assert_true(log.n > 200);
    limits_window_done(&window);
}

static void test_error_is_at_most_two_percent(void **state)
{
    static const uint32_t windows[] = { 1000, 5000, MINUTE, HOUR, 24 * HOUR, 31u * 24 * HOUR };
    for (size_t i = 0; i < ARRAY_LEN(windows); i++)
        for (unsigned mood = 0; mood < 5; mood++)
            for (uint64_t seed = 1; seed < 4; seed++)
                play(windows[i], mood, seed * 0x9E3779B97F4A7C15u + i);
}

/* A steady stream of what is allowed loses less than 2 %. */
static void test_steady(void **state)
{
    struct limits_window window;
    uint64_t passed = 0;
    limits_window_init(&window, HOUR);
    for (int64_t at = 0; at < 100 * (int64_t)HOUR; at += 1000)
        passed += take(&window, hour_300, 1, begin + at);
    assert_in_range(passed, 300 * 98, 300 * 100 + 1);
    limits_window_done(&window);
}

static void test_burst(void **state)
{
    struct limits_allowance allowance = { 300, 50 };
    struct limits_window window;
    limits_window_init(&window, HOUR);
    assert_int_equal(take(&window, allowance, 300, begin), 50);
    assert_int_equal(limits_window_clear(&window, allowance, 1, begin), begin + HOUR / 300);
    assert_int_equal(limits_window_clear(&window, allowance, 50, begin), begin + HOUR / 6);
    assert_int_equal(limits_window_clear(&window, allowance, 51, begin), LIMITS_NEVER);
    assert_int_equal(take(&window, allowance, 300, begin + HOUR / 300 - 1), 0);
    assert_int_equal(take(&window, allowance, 300, begin + HOUR / 300), 1);
    assert_int_equal(limits_window_room_at(&window, allowance, begin + 10 * MINUTE), 49);
    uint64_t passed = 51;
    for (int64_t at = HOUR / 300 + 1; at < HOUR; at += 500)
        passed += take(&window, allowance, 10, begin + at);
    assert_int_equal(passed, 300); /* the window holds as well */
    assert_false(limits_window_is_idle(&window, begin + HOUR));
    assert_true(limits_window_is_idle(&window, begin + 3 * HOUR));
    limits_window_done(&window);
}

static void test_undo(void **state)
{
    struct limits_allowance allowance = { 300, 100 };
    struct limits_window window;
    limits_window_init(&window, HOUR);
    take(&window, allowance, 40, begin);
    take(&window, allowance, 30, begin + 20 * MINUTE);
    limits_window_undo(&window, allowance, 10, begin, begin + 20 * MINUTE);
    assert_int_equal(limits_window_count(&window, allowance, begin + 20 * MINUTE), 60);
    assert_int_equal(limits_window_count_at(&window, begin + 70 * MINUTE), 30);
    limits_window_undo(&window, allowance, 30, begin + 20 * MINUTE, begin + 20 * MINUTE);
    assert_int_equal(limits_window_count(&window, allowance, begin + 20 * MINUTE), 30);
    limits_window_undo(&window, allowance, 1000, begin - 2 * (int64_t)HOUR, begin + 20 * MINUTE); /* long gone */
    assert_int_equal(limits_window_count(&window, allowance, begin + 20 * MINUTE), 30);
    limits_window_undo(&window, allowance, 1000, begin, begin + 20 * MINUTE); /* more than there is */
    assert_true(limits_window_is_idle(&window, begin + 30 * MINUTE));
    /* A burst, too, is given back. */
    assert_int_equal(take(&window, allowance, 100, begin + 3 * HOUR), 100);
    limits_window_undo(&window, allowance, 100, begin + 3 * HOUR, begin + 3 * HOUR);
    assert_int_equal(take(&window, allowance, 100, begin + 3 * HOUR), 100);
    limits_window_done(&window);
}

/* The clock should not go back or jump; where it does, nothing is forgiven and nothing lasts for ever. */
static void test_clock(void **state)
{
    struct limits_window window;
    limits_window_init(&window, HOUR);
    take(&window, hour_300, 300, begin);
    assert_int_equal(take(&window, hour_300, 1, begin - 5 * (int64_t)HOUR), 0);
    assert_int_equal(take(&window, hour_300, 1, begin + 10 * MINUTE), 0);
    assert_int_equal(take(&window, hour_300, 300, begin + 1000 * (int64_t)HOUR), 300); /* forwards: over long ago */
    assert_int_equal(take(&window, hour_300, 1, begin + 1000 * (int64_t)HOUR + 59 * MINUTE), 0);
    assert_int_equal(take(&window, hour_300, 1, begin), 0);
    assert_int_equal(take(&window, hour_300, 1, begin + 1001 * (int64_t)HOUR + MINUTE), 1);
    limits_window_done(&window);
}

/* Where there is no memory for entries, what comes is counted all the same, and for longer. */
static void test_no_memory(void **state)
{
    struct limits_window window;
    limits_window_init(&window, HOUR);
    assert_true(limits_window_reserve(&window));
    for (unsigned i = 0; i < 30; i++) {
        bool made = limits_window_add(&window, hour_300, 10, begin + i * MINUTE, false);
        assert_int_equal(made, i < 4); /* two entries, each of which takes 69 seconds */
    }
    assert_int_equal(limits_window_count(&window, hour_300, begin + 59 * MINUTE), 300);
    assert_int_equal(limits_window_count(&window, hour_300, begin + 62 * MINUTE), 280);
    assert_int_equal(limits_window_count(&window, hour_300, begin + 88 * MINUTE), 280);
    assert_int_equal(limits_window_count(&window, hour_300, begin + 91 * MINUTE), 0);
    limits_window_done(&window);
}

static void test_large(void **state)
{
    struct limits_allowance allowance = { UINT64_C(1) << 43, 0 };
    struct limits_window window;
    limits_window_init(&window, HOUR);
    assert_true(take(&window, allowance, UINT64_C(1) << 43, begin) == UINT64_C(1) << 43);
    assert_int_equal(limits_window_room(&window, allowance, begin + MINUTE), 0);
    for (unsigned i = 0; i < 10; i++) /* what is only watched may be more than an entry holds */
        limits_window_add(&window, allowance, UINT64_MAX, begin + 2 * MINUTE, true);
    assert_true(window.total == LIMITS_COUNT_MOST + (UINT64_C(1) << 43));
    limits_window_done(&window);
}

static void test_entries(void **state)
{
    struct limits_window window;
    int64_t at;
    uint64_t count;
    limits_window_init(&window, HOUR);
    take(&window, hour_300, 5, begin);
    take(&window, hour_300, 7, begin + 30 * MINUTE);
    assert_int_equal(window.n, 2);
    limits_window_entry(&window, 0, &at, &count);
    assert_in_range(at, begin, begin + HOUR / 4096);
    assert_int_equal(count, 5);
    limits_window_entry(&window, 1, &at, &count);
    assert_true(at == begin + 30 * MINUTE); /* never later than now */
    assert_int_equal(count, 7);
    limits_window_done(&window);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_error_is_at_most_two_percent),
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
