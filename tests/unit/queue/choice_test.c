#include "play.h"
#include "queue/choice.h"

static const char *domain_of(unsigned i) { return i % 10 == 7 ? "0a@seven.example" : "0a@other.example"; }

/* `count` messages in `segments` segments, in no order at all; returns their ids in order. */
static uint64_t *fill(struct play *play, unsigned count, uint32_t segments)
{
    uint64_t *ids = calloc(count, sizeof *ids);
    play->queue.recovering = true; /* they rest where they are */
    for (uint32_t i = 2; i <= segments; i++)
        assert_non_null(queue_segment_add(&play->queue, i, 1, 1u << 30, 1));
    for (unsigned i = 0; i < count; i++)
        ids[i] = ((uint64_t)(START_MS - INT64_C(1704067200000)) << 23) + i + 1;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (unsigned)((uint64_t)i * 7919 % count);
        AUTO(buf_done) struct buf packed = BUF_EMPTY(1024);
        writer_recipient_put(&packed, &(struct writer_recipient){ 0, span_str(domain_of(at) + 1) });
        struct queue_arrival arrival = { .id = ids[at], .segment = 1 + at * segments / count, .offset = play->offset,
                                         .length = 64, .recipient_count = 1, .recipients = buf_span(&packed) };
        struct queue_message *message;
        play->offset += 64;
        assert_int_equal(queue_message_add(&play->queue, &arrival, &message), STATUS_OK);
    }
    return ids;
}

/* How many of `ids` from `first` on, every `step`th, come out, in this order; and how many turns that took. */
static unsigned take_all(struct choice *choice, const uint64_t *ids, unsigned first, unsigned step, unsigned *turns)
{
    unsigned n = 0;
    uint64_t id;
    enum status status;
    *turns = 0;
    while ((status = choice_next(choice, &id)) != STATUS_NOT_FOUND) {
        if (status == STATUS_AGAIN) {
            ++*turns;
            continue;
        }
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(id, ids[first + n++ * step]);
    }
    return n;
}

static void test_all_in_order(void **state)
{
    static const unsigned counts[] = { 1, 63, 64, 65, 4096, 20000 };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        for (uint64_t limit = 0; limit <= 10; limit += 10) {
            struct play *play = play_new();
            struct filter all = { 0 };
            struct choice choice;
            unsigned turns;
            uint64_t *ids = fill(play, counts[i], 9);
            choice_begin(&choice, &play->queue, &all, 0, limit, play->now);
            assert_int_equal(take_all(&choice, ids, 0, 1, &turns), counts[i]);
            choice_done(&choice);
            choice_begin(&choice, &play->queue, &all, ids[counts[i] / 2], limit, play->now);
            assert_int_equal(take_all(&choice, ids, counts[i] / 2 + 1, 1, &turns), counts[i] - counts[i] / 2 - 1);
            choice_done(&choice);
            free(ids);
            play_free(play);
        }
}

/* The oldest lie in the first segment: the others are not looked at. */
static void test_the_first_few(void **state)
{
    struct play *play = play_new();
    struct filter all = { 0 };
    struct choice choice;
    uint64_t id, *ids = fill(play, 20000, 20);
    unsigned looks = 0;
    choice_begin(&choice, &play->queue, &all, 0, 10, play->now);
    for (unsigned i = 0; i < 10; i++) {
        enum status status;
        while ((status = choice_next(&choice, &id)) == STATUS_AGAIN)
            looks++;
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(id, ids[i]);
    }
    assert_true(looks <= 2);
    choice_done(&choice);
    free(ids);
    play_free(play);
}

static void test_filters(void **state)
{
    struct play *play = play_new();
    struct filter seven = { .domain = "seven.*" };
    struct choice choice;
    unsigned turns;
    uint64_t *ids = fill(play, 10000, 5);
    choice_begin(&choice, &play->queue, &seven, 0, 0, play->now);
    assert_int_equal(take_all(&choice, ids, 7, 10, &turns), 1000);
    choice_done(&choice);
    struct filter given = { .ids = ids, .id_count = 5 };
    choice_begin(&choice, &play->queue, &given, ids[1], 0, play->now);
    assert_int_equal(take_all(&choice, ids, 2, 1, &turns), 3);
    choice_done(&choice);
    free(ids);
    play_free(play);
}

/* What goes while it is chosen is left to the caller, what comes is not chosen. */
static void test_the_queue_goes_on(void **state)
{
    struct play *play = play_new();
    struct filter all = { 0 };
    struct choice choice;
    uint64_t id, *ids = fill(play, 10000, 5);
    unsigned n = 0;
    enum status status;
    choice_begin(&choice, &play->queue, &all, 0, 0, play->now);
    while ((status = choice_next(&choice, &id)) != STATUS_NOT_FOUND) {
        if (status != STATUS_OK)
            continue;
        n++;
        queue_message_forget(&play->queue, queue_message_find(&play->queue, id));
        play_arrive(play, "anna", "0new@new.example");
        play->ids += 20000;
    }
    assert_int_equal(n, 10000);
    assert_int_equal(play->queue.messages.n, 10000);
    choice_done(&choice);
    free(ids);
    play_free(play);
}

static void test_nothing(void **state)
{
    struct play *play = play_new();
    struct filter all = { 0 };
    struct choice choice;
    unsigned turns;
    choice_begin(&choice, &play->queue, &all, 0, 0, play->now);
    assert_int_equal(take_all(&choice, NULL, 0, 1, &turns), 0);
    choice_done(&choice);
    choice_done(&choice);
    play_free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_in_order), cmocka_unit_test(test_the_first_few), cmocka_unit_test(test_filters),
        cmocka_unit_test(test_the_queue_goes_on), cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
