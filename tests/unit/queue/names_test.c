#include "play.h"

static size_t longest_chain(const struct map *map)
{
    size_t most = 0;
    for (size_t i = 0; i < map->room; i++) {
        size_t n = 0;
        for (const struct map_node *node = map->buckets[i]; node; node = node->next)
            n++;
        most = MAX(most, n);
    }
    return most;
}

/* Thousands of hosts say the same: each is found without looking at the others. */
static void test_reasons_of_many_hosts(void **state)
{
    struct play *play = play_new();
    const struct queue_reason *reasons[4096];
    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++) {
        char host[64];
        snprintf(host, sizeof host, "mx%u.example.net", i);
        struct queue_words words = { .code = 451, .host = span_str(host), .address = SPAN("192.0.2.1:25"),
                                     .text = SPAN("try again later") };
        reasons[i] = queue_reason_ref(&play->queue, &words);
        assert_non_null(reasons[i]);
        assert_ptr_equal(queue_reason_ref(&play->queue, &words), reasons[i]);
    }
    assert_int_equal(play->queue.reasons.n, ARRAY_LEN(reasons));
    assert_true(longest_chain(&play->queue.reasons) < 32);
    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++) {
        queue_reason_unref(&play->queue, reasons[i]);
        queue_reason_unref(&play->queue, reasons[i]);
    }
    assert_int_equal(play->queue.reasons.n, 0);
    play_free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons_of_many_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
