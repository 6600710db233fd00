#include "play.h"
#include "queue/filter.h"
#include "queue/recover.h"

static const struct row {
    const char *filter;
    unsigned messages; /* bits of those that match */
} rows[] = {
    { "{\"all\": true}", 7 },
    { "{\"account\": \"anna\"}", 1 },
    { "{\"account\": \"B*\"}", 6 },
    { "{\"domain\": \"x.example\"}", 3 },
    { "{\"domain\": \"?.EXAMPLE\"}", 7 },
    { "{\"domain\": \"*.*.example\"}", 0 },
    { "{\"state\": \"held\"}", 4 },
    { "{\"state\": \"waiting\"}", 3 },
    { "{\"state\": \"waiting\", \"domain\": \"y.example\"}", 0 },
    { "{\"older_s\": 60}", 1 },
    { "{\"younger_s\": 60}", 6 },
    { "{\"site\": \"mx*\"}", 0 },
    { NULL, 0 },
};

static void test_rows(void **state)
{
    struct play *play = play_new();
    uint64_t ids[3] = { play_arrive(play, "anna", "0a@x.example") };
    play->now += TIME_HOUR_MS;
    ids[1] = play_arrive(play, "bob", "0a@x.example");
    ids[2] = play_arrive(play, "bert", "0a@y.example");
    uint32_t first = 0;
    struct queue_entry held = { .kind = QUEUE_ENTRY_HELD, .who = SPAN("root"), .count = 1, .indexes = &first };
    queue_journal(&play->queue, ids[2], &held);
    assert_int_equal(queue_message_find(&play->queue, ids[2])->living, 1);
    assert_int_equal(queue_entry_apply(&play->queue, queue_message_find(&play->queue, ids[2]), &held), 0);
    for (const struct row *row = rows; row->filter; row++) {
        struct filter filter;
        json_t *json = json_loads(row->filter, 0, NULL);
        assert_non_null(json);
        assert_null(filter_parse(&filter, json));
        unsigned found = 0;
        for (unsigned i = 0; i < 3; i++)
            if (filter_message(&filter, queue_message_find(&play->queue, ids[i]), play->now))
                found |= 1u << i;
        if (found != row->messages)
            fail_msg("%s: %u instead of %u", row->filter, found, row->messages);
        filter_done(&filter);
        json_decref(json);
    }
    play_free(play);
}

static void test_ids(void **state)
{
    struct play *play = play_new();
    uint64_t id = play_arrive(play, "anna", "0a@x.example"), other = play_arrive(play, "anna", "0a@x.example");
    char text[ID_TEXT_SIZE];
    struct filter filter;
    json_t *json = json_pack("{s:[s,s]}", "ids", id_text(id, text), "0000000000001");
    assert_null(filter_parse(&filter, json));
    assert_true(filter_message(&filter, queue_message_find(&play->queue, id), play->now));
    assert_false(filter_message(&filter, queue_message_find(&play->queue, other), play->now));
    filter_done(&filter);
    json_decref(json);
    play_free(play);
}

static void test_refused(void **state)
{
    static const char *const wrong[] = {
        "{}", "[]", "{\"ids\": []}", "{\"ids\": [\"x\"]}", "{\"ids\": 1}", "{\"colour\": \"red\"}", "{\"state\": \"sad\"}",
        "{\"older_s\": -1}", "{\"older_s\": \"1\"}", "{\"sender\": 1}", "{\"sender\": \"a\\u0000b\"}", "{\"all\": 1}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct filter filter;
        json_t *json = json_loads(wrong[i], JSON_ALLOW_NUL, NULL);
        assert_non_null(json);
        if (!filter_parse(&filter, json))
            fail_msg("%s was taken", wrong[i]);
        filter_done(&filter);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
