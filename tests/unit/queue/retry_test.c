/* When what was put off is tried again: later each time, and never all at once. */
#include "play.h"
#include "queue/retry.h"

#define CROWD 12000u
#define BUCKETS 12u

static const struct queue_settings settings = {
    .first_retry_ms = 5 * TIME_MINUTE_MS, .longest_retry_ms = 4 * TIME_HOUR_MS, .retry_growth = 2, .jitter = 20,
    .site_pause_ms = TIME_MINUTE_MS, .longest_site_pause_ms = 15 * TIME_MINUTE_MS,
};

typedef int64_t interval(const struct queue_settings *settings, unsigned times, uint64_t random);

/* A crowd that failed in one moment comes back evenly over the whole time that the jitter allows. */
static void comes_back_spread(interval *after, unsigned times, int64_t middle_ms)
{
    struct queue queue = { .random = 7 };
    int64_t least = middle_ms * 8 / 10, most = middle_ms * 12 / 10;
    unsigned buckets[BUCKETS + 1] = { 0 };
    for (unsigned i = 0; i < CROWD; i++) {
        int64_t ms = after(&settings, times, queue_random(&queue));
        assert_in_range(ms, least, most);
        buckets[(ms - least) * BUCKETS / (most - least + 1)]++;
    }
    for (unsigned i = 0; i < BUCKETS; i++)
        assert_in_range(buckets[i], CROWD / BUCKETS * 85 / 100, CROWD / BUCKETS * 115 / 100);
}

static void test_retries_are_spread(void **state)
{
    comes_back_spread(queue_retry_after_ms, 1, 5 * TIME_MINUTE_MS);
    comes_back_spread(queue_retry_after_ms, 2, 10 * TIME_MINUTE_MS);
    comes_back_spread(queue_retry_after_ms, 60000, 4 * TIME_HOUR_MS); /* even those that grow no further */
}

static void test_pauses_are_spread(void **state)
{
    comes_back_spread(queue_pause_ms, 1, TIME_MINUTE_MS);
    comes_back_spread(queue_pause_ms, 3, 4 * TIME_MINUTE_MS);
    comes_back_spread(queue_pause_ms, 100, 15 * TIME_MINUTE_MS);
}

/* A restart reads what was chosen before: nothing is put together by it. */
static void test_a_restart_keeps_the_spread(void **state)
{
    struct play *play = play_new();
    play->settings.jitter = 20;
    play_delivery(play, 0, 1000);
    for (unsigned i = 0; i < 500; i++) {
        char recipient[64];
        snprintf(recipient, sizeof recipient, "0x@d%u.example", i);
        play_arrive(play, "anna", recipient);
    }
    play_resolve_all(play, NULL);
    for (size_t i = 0; i < 500; i++)
        play_outcome(play, &play->grants[i], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    int64_t first = INT64_MAX, last = 0;
    for (size_t i = 0; i < play->record_count; i++) {
        struct queue_entry entry;
        struct span content = span_of(play->bytes.p + play->records[i].at, play->records[i].n);
        assert_true(queue_entry_get(play->records[i].kind, content, &entry));
        assert_int_equal(entry.kind, QUEUE_ENTRY_DEFERRED);
        first = MIN(first, entry.retry_ms);
        last = MAX(last, entry.retry_ms);
    }
    assert_in_range(first - play->now, 240 * TIME_SECOND_MS, 250 * TIME_SECOND_MS);
    assert_in_range(last - play->now, 350 * TIME_SECOND_MS, 360 * TIME_SECOND_MS);
    play_free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retries_are_spread),
        cmocka_unit_test(test_pauses_are_spread),
        cmocka_unit_test(test_a_restart_keeps_the_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
