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

/* Servers that give every message words of its own fill no memory; what many share is kept. */
static void test_words_of_their_own_are_bounded(void **state)
{
    struct play *play = play_new();
    char text[QUEUE_TEXT_MAX + 1];
    struct queue_words common = { .code = 452, .text = SPAN("mailbox full") };
    const struct queue_reason *shared[3];
    for (unsigned i = 0; i < ARRAY_LEN(shared); i++)
        shared[i] = queue_reason_keep(&play->queue, queue_reason_ref(&play->queue, &common));
    unsigned many = QUEUE_REASONS_OCTETS / 500, bare = 0;
    const struct queue_reason **reasons = calloc(many, sizeof *reasons);
    for (unsigned i = 0; i < many; i++) {
        snprintf(text, sizeof text, "%0900u", i);
        struct queue_words words = { .code = 451, .enhanced = { 4, 7, 1 }, .text = span_str(text) };
        reasons[i] = queue_reason_keep(&play->queue, queue_reason_ref(&play->queue, &words));
        words = queue_reason_words(reasons[i]);
        assert_int_equal(words.code, 451);
        assert_int_equal(words.enhanced[1], 7);
        bare += words.text.n < 100;
    }
    assert_true(bare > many / 4 && bare < many);
    assert_true(play->queue.reason_octets < QUEUE_REASONS_OCTETS + 2000);
    assert_ptr_equal(queue_reason_keep(&play->queue, queue_reason_ref(&play->queue, &common)), shared[0]);
    for (unsigned i = 0; i < many; i++)
        queue_reason_unref(&play->queue, reasons[i]);
    for (unsigned i = 0; i < ARRAY_LEN(shared) + 1; i++)
        queue_reason_unref(&play->queue, shared[0]);
    assert_int_equal(play->queue.reasons.n, 0);
    assert_int_equal(play->queue.reason_octets, 0);
    free(reasons);
    play_free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons_of_many_hosts), cmocka_unit_test(test_words_of_their_own_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
