#include "play.h"
#include <stdio.h>

/* The place in the order of grants at which that message was given out. */
static size_t turn_of(const struct play *play, uint64_t id)
{
    for (size_t i = 0; i < play->grant_count; i++)
        if (play->grants[i].id == id)
            return i;
    return SIZE_MAX;
}

static void deliver_all(struct play *play)
{
    for (size_t i = 0; i < play->grant_count; i++) {
        play_deliver(play, &play->grants[i]);
        assert_int_equal(queue_credit(&play->queue, play->now, 0, 1), STATUS_OK);
    }
}

static void test_a_letter_overtakes_a_newsletter_at_one_site(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 50);
    for (int i = 0; i < 100000; i++)
        play_arrive(play, "newsletter", "0r@x.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 20);
    uint64_t letter = play_arrive(play, "anna", "0friend@x.example");
    size_t before = play->grant_count;
    deliver_all(play);
    assert_in_range(turn_of(play, letter), before, before + 20);
    assert_int_equal(play->queue.recipients, 0);
    assert_int_equal(play->grant_count, 100001);
    play_free(play);
}

static void test_a_letter_overtakes_a_newsletter_to_many_sites(void **state)
{
    struct play *play = play_new();
    play->settings.domains_kept = 100000;
    play_delivery(play, 0, 10);
    char address[64];
    for (int i = 0; i < 4000; i++) {
        snprintf(address, sizeof address, "0r@d%d.example", i);
        play_arrive(play, "newsletter", address);
    }
    play_resolve_all(play, NULL);
    size_t before = play->grant_count;
    uint64_t letter = play_arrive(play, "anna", "0friend@x.example");
    play_resolve_all(play, NULL);
    assert_int_equal(play->grant_count, before);
    deliver_all(play);
    assert_in_range(turn_of(play, letter), before, before + 40);
    assert_int_equal(play->queue.recipients, 0);
    play_free(play);
}

/* Accounts that all have much to send get the same, counted in recipients. */
static void test_shares_are_equal(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 20);
    char address[64], account[8];
    for (int i = 0; i < 4000; i++) {
        snprintf(address, sizeof address, "0r@x.example");
        snprintf(account, sizeof account, "a%d", i % 4);
        play_arrive(play, account, address);
    }
    static char texts[90][32];
    const char *list[91] = { 0 };
    for (int i = 0; i < 90; i++) {
        snprintf(texts[i], sizeof texts[i], "0r%d@x.example", i);
        list[i] = texts[i];
    }
    for (int i = 0; i < 50; i++)
        assert_int_equal(play_arrive_as(play, play_id(play), "many", "s@x", list), STATUS_OK);
    play_resolve_all(play, "mx");
    uint32_t many = 0, others = 0;
    for (size_t i = 0; i < play->grant_count && others < 2000; i++) {
        uint32_t count = play->grants[i].count;
        if (count == 90)
            many += count;
        else
            others += count;
        play_deliver(play, &play->grants[i]);
        assert_int_equal(queue_credit(&play->queue, play->now, 0, 1), STATUS_OK);
    }
    assert_in_range(many, 360, 1000); /* about a quarter of what the other four had together */
    play_free(play);
}

static void test_connections_are_bounded(void **state)
{
    struct play *play = play_new();
    play->settings.connections_per_site = 5;
    play_delivery(play, 0, 1000);
    for (int i = 0; i < 100; i++)
        play_arrive(play, i % 2 ? "a" : "b", "0r@x.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 5);
    play_deliver(play, &play->grants[0]);
    assert_int_equal(play->grant_count, 6);
    play_free(play);
}

static void test_a_dead_site_pauses_and_recovers_step_by_step(void **state)
{
    struct play *play = play_new();
    play->settings.connections_per_site = 4;
    play_delivery(play, 0, 10000);
    for (int i = 0; i < 40; i++)
        play_arrive(play, "a", "0r@x.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 4);
    for (size_t i = 0; i < 4; i++)
        play_outcome(play, &play->grants[i], OUTCOME_DEFERRED, TROUBLE_CONNECT, 0, "connection refused");
    assert_int_equal(play->grant_count, 4);
    play_until(play, play->now + TIME_MINUTE_MS - 1);
    assert_int_equal(play->grant_count, 4);
    play_until(play, play->now + 1);
    assert_int_equal(play->grant_count, 5); /* one goes first */
    play_outcome(play, &play->grants[4], OUTCOME_DEFERRED, TROUBLE_CONNECT, 0, "connection refused");
    play_until(play, play->now + 2 * TIME_MINUTE_MS - 1);
    assert_int_equal(play->grant_count, 5); /* the pause has grown */
    play_until(play, play->now + 1);
    assert_int_equal(play->grant_count, 6);
    play_deliver(play, &play->grants[5]);
    assert_int_equal(play->grant_count, 8); /* two now */
    play_deliver(play, &play->grants[6]);
    play_deliver(play, &play->grants[7]);
    assert_int_equal(play->grant_count, 12); /* four again */
    for (size_t i = 8; i < play->grant_count; i++)
        play_deliver(play, &play->grants[i]);
    play_until(play, play->now + TIME_HOUR_MS);
    for (size_t i = 42; i < play->grant_count; i++)
        play_deliver(play, &play->grants[i]);
    play_free(play);
}

static void test_waiting_for_a_dead_site_expires(void **state)
{
    struct play *play = play_new();
    play->settings.connections_per_site = 1;
    play->settings.delay_notice_ms = 0;
    play_delivery(play, 0, 10000);
    for (int i = 0; i < 5; i++)
        play_arrive(play, "a", "0r@x.example");
    play_resolve_all(play, "mx");
    size_t seen = 0;
    while (play->now < START_MS + 6 * TIME_DAY_MS) {
        play_resolve_all(play, "mx");
        for (; seen < play->grant_count; seen++)
            play_outcome(play, &play->grants[seen], OUTCOME_DEFERRED, TROUBLE_CONNECT, 0, "no route to host");
        play_until(play, play->now + 15 * TIME_MINUTE_MS);
    }
    assert_int_equal(play->report_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(play->reports[i]->expired);
        struct queue_words words = queue_reason_words(play->reports[i]->told[0].reason);
        assert_true(span_eq(words.text, SPAN("no route to host")));
        queue_reported(&play->queue, play->now, play->reports[i], STATUS_OK);
    }
    assert_int_equal(play->queue.recipients, 0);
    play->report_count = 0;
    play_free(play);
}

static void test_busy_slows_down(void **state)
{
    struct play *play = play_new();
    play->settings.connections_per_site = 8;
    play_delivery(play, 0, 10000);
    for (int i = 0; i < 200; i++)
        play_arrive(play, "a", "0r@x.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 8);
    size_t i = 0;
    for (; i < 8; i++)
        play_outcome(play, &play->grants[i], OUTCOME_DEFERRED, TROUBLE_BUSY, 421, "too many connections");
    size_t out = play->grant_count - i;
    assert_in_range(out, 4, 8);
    for (int round = 0; round < 60 && i < play->grant_count; round++, i++)
        play_outcome(play, &play->grants[i], OUTCOME_DEFERRED, TROUBLE_BUSY, 421, "too many connections");
    assert_int_equal(i, play->grant_count); /* nothing is out: it has its pause */
    assert_true(play->grant_count < 60);
    play_free(play);
}

static void test_home_first_then_the_others(void **state)
{
    struct play *play = play_new();
    play->settings.connections_per_site = 10;
    play_delivery(play, 0, 100);
    play_delivery(play, 1, 100);
    for (int i = 0; i < 30; i++)
        play_arrive(play, "a", "0r@x.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 10);
    unsigned home = play->grants[0].delivery, n = 0;
    for (size_t i = 0; i < 10; i++)
        n += play->grants[i].delivery == home;
    assert_int_equal(n, 5);
    assert_int_equal(play->grants[0].connections, 5);
    play_free(play);
}

/* Nothing grows faster than the number of messages: twice as many take about twice as long. */
static int64_t run_of(int messages)
{
    struct play *play = play_new();
    play_delivery(play, 0, 200);
    char address[64], account[32];
    int64_t begin = time_mono_us();
    for (int i = 0; i < messages; i++) {
        snprintf(address, sizeof address, "0r@d%d.example", i % 500);
        snprintf(account, sizeof account, "account%d", i % 50);
        play_arrive(play, account, address);
        play_resolve_all(play, NULL);
    }
    for (size_t i = 0; i < play->grant_count; i++) {
        play_deliver(play, &play->grants[i]);
        assert_int_equal(queue_credit(&play->queue, play->now, 0, 1), STATUS_OK);
    }
    int64_t end = time_mono_us();
    assert_int_equal(play->queue.recipients, 0);
    play_free(play);
    return end - begin;
}

static void test_a_hundred_thousand_in_linear_time(void **state)
{
    int64_t small = run_of(25000), large = run_of(100000);
    print_message("25,000: %lld us, 100,000: %lld us\n", (long long)small, (long long)large);
    assert_true(large < small * 12 + 200000);
}

static void test_memory_of_a_waiting_message(void **state)
{
    size_t octets = sizeof(struct queue_message) + sizeof(struct queue_share) + 2 * (8 + 8);
    print_message("message %zu, share %zu: %zu octets with their places in the tables\n", sizeof(struct queue_message),
                  sizeof(struct queue_share), octets);
    assert_true(octets <= 250);
}

/* The memory of a full queue does not stay when it is empty, and the queue goes on. */
static void test_an_empty_queue_gives_back(void **state)
{
    struct play *play = play_new();
    assert_false(queue_give_back(&play->queue));
    play_delivery(play, 0, 100000);
    for (unsigned i = 0; i < 100000; i++)
        play_arrive(play, "anna", "0x@x.example");
    play_resolve_all(play, "mx");
    assert_false(queue_give_back(&play->queue));
    deliver_all(play);
    assert_int_equal(play->queue.messages.n, 0);
    assert_true(queue_give_back(&play->queue));
    assert_int_equal(play->queue.message_slab.octets + play->queue.share_slab.octets, 0);
    assert_false(queue_give_back(&play->queue));
    size_t before = play->grant_count;
    play_arrive(play, "anna", "0x@x.example");
    assert_int_equal(play->grant_count, before + 1);
    play_deliver(play, &play->grants[before]);
    assert_int_equal(play->queue.messages.n, 0);
    play_free(play);
}

/* A crowd of new domains is not asked about at once. */
static void test_questions_are_bounded(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    for (unsigned i = 0; i < QUEUE_ASKS_MAX + 100; i++) {
        char recipient[64];
        snprintf(recipient, sizeof recipient, "0x@d%u.example", i);
        play_arrive(play, "anna", recipient);
    }
    assert_int_equal(play->resolve_count, QUEUE_ASKS_MAX);
    play_resolve_all(play, "mx:one");
    assert_int_equal(play->queue.by_place[QUEUE_RESOLVING], 0);
    assert_int_equal(play->queue.deliveries[0].asks, 0);
    play_free(play);
}

static void arrive_at(struct play *play, const char *name, unsigned sites, unsigned each)
{
    char recipient[64];
    for (unsigned i = 0; i < sites * each; i++) {
        snprintf(recipient, sizeof recipient, "0r@%s%u.example", name, i % sites);
        play_arrive(play, "a", recipient);
    }
    play_resolve_all(play, NULL);
}

/* Servers that say nothing never have all leases, however many they are. */
static void test_silent_sites_leave_room_for_others(void **state)
{
    struct play *play = play_new();
    play->settings.first_connections = 2;
    play_delivery(play, 0, 400);
    arrive_at(play, "good", 1, 1);
    play_deliver(play, &play->grants[0]);
    assert_int_equal(queue_credit(&play->queue, play->now, 0, 1), STATUS_OK);

    arrive_at(play, "silent", 1000, 3);
    assert_int_equal(play->grant_count, 1 + 300); /* three quarters, two at each site */
    assert_int_equal(play->queue.out_of_class[QUEUE_SITE_NEW], 300);
    arrive_at(play, "good", 1, 50);
    size_t i = 301;
    for (; i < play->grant_count; i++)
        play_deliver(play, &play->grants[i]);
    assert_int_equal(i, 301 + 50);

    play_until(play, play->now + QUEUE_SLOW_MS);
    assert_int_equal(play->queue.out_of_class[QUEUE_SITE_NEW], 0);
    assert_int_equal(play->queue.out_of_class[QUEUE_SITE_SLOW], 300);
    assert_int_equal(queue_credit(&play->queue, play->now, 0, 50), STATUS_OK);
    assert_int_equal(play->grant_count, i); /* the others wait although there are leases */
    for (size_t k = 1; k < 201; k++)
        play_outcome(play, &play->grants[k], OUTCOME_DEFERRED, TROUBLE_CONNECT, 0, "no answer");
    assert_int_equal(queue_credit(&play->queue, play->now, 0, 200), STATUS_OK);
    assert_int_equal(play->queue.out_of_class[QUEUE_SITE_SLOW], 100);
    assert_int_equal(play->queue.out_of_class[QUEUE_SITE_NEW], 200); /* now some of them go */
    play_free(play);
}

/* The two connections to a new site are one in each of two processes: nothing waits behind the first message. */
static void test_a_new_site_uses_the_connections_of_all(void **state)
{
    struct play *play = play_new();
    play->settings.first_connections = 2;
    play->settings.messages_ahead = 4;
    play->queue.delivery_count = 2;
    play_delivery(play, 0, 100);
    play_delivery(play, 1, 100);
    arrive_at(play, "x", 1, 5);
    assert_int_equal(play->grant_count, 2);
    assert_int_not_equal(play->grants[0].delivery, play->grants[1].delivery);
    play_deliver(play, &play->grants[1]);
    assert_int_equal(play->grant_count, 5); /* it is known to be quick: messages in store for both connections */
    play_free(play);
}

/* To a server that has become silent two more are tried beside what it has, then two more, until it has as many as
 * connections: one large message does not hold up the small ones behind it. */
static void test_a_silent_site_gets_little_more(void **state)
{
    struct play *play = play_new();
    play->settings.connections_per_site = 10;
    play->settings.messages_ahead = 4;
    play_delivery(play, 0, 1000);
    arrive_at(play, "x", 1, 1);
    play_deliver(play, &play->grants[0]);
    arrive_at(play, "x", 1, 5);
    assert_int_equal(play->grant_count, 6);
    play_until(play, play->now + QUEUE_SLOW_MS);
    arrive_at(play, "x", 1, 100);
    assert_int_equal(play->grant_count, 6 + 2);
    play_until(play, play->now + QUEUE_SLOW_MS);
    assert_int_equal(play->grant_count, 6 + 2 + 2);
    play_until(play, play->now + 10 * QUEUE_SLOW_MS);
    assert_int_equal(play->grant_count, 1 + 10);
    play_deliver(play, &play->grants[1]);
    assert_int_equal(play->grant_count, 1 + 10 + 1); /* slow, but it works: as many as it has connections */
    size_t done = 2;
    for (; done < 11; done++)
        play_deliver(play, &play->grants[done]);
    assert_int_equal(play->grant_count, 11 + 10); /* that took long: nothing in store yet */
    for (; done < 50; done++)
        play_deliver(play, &play->grants[done]);
    assert_int_equal(play->grant_count, 50 + 40); /* it is quick again */
    play_free(play);
}

/* A server with twenty connections of ours, in each of which a message takes so long: a letter that comes while
 * `newsletter` waits there. How many of the newsletter are begun before it. */
static size_t begun_before_a_letter(struct play *play, int64_t message_ms, uint32_t connections)
{
    size_t done = 0;
    uint64_t letter = 0;
    for (; done < 1000 || turn_of(play, letter) == SIZE_MAX; done++) {
        if (done == 1000)
            letter = play_arrive(play, "anna", "0friend@x.example");
        play_until(play, play->now + message_ms / connections);
        play_deliver(play, &play->grants[done]);
        assert_int_equal(queue_credit(&play->queue, play->now, 0, 1), STATUS_OK);
    }
    size_t turn = turn_of(play, letter), on_their_way = 1000 + connections;
    return turn > on_their_way ? turn - on_their_way : 0;
}

static void test_a_letter_waits_for_few_turns_where_messages_take_long(void **state)
{
    for (int64_t message_ms = 100; message_ms <= 10000; message_ms *= 10) {
        struct play *play = play_new();
        play->settings.messages_ahead = 4;
        play->settings.delay_notice_ms = 0;
        play_delivery(play, 0, 1000);
        for (int i = 0; i < 100000; i++)
            play_arrive(play, "newsletter", "0r@x.example");
        play_resolve_all(play, "mx");
        assert_in_range(begun_before_a_letter(play, message_ms, 20), 0, 5);
        play_free(play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_letter_overtakes_a_newsletter_at_one_site),
        cmocka_unit_test(test_a_letter_overtakes_a_newsletter_to_many_sites),
        cmocka_unit_test(test_a_letter_waits_for_few_turns_where_messages_take_long),
        cmocka_unit_test(test_shares_are_equal),
        cmocka_unit_test(test_connections_are_bounded),
        cmocka_unit_test(test_a_dead_site_pauses_and_recovers_step_by_step),
        cmocka_unit_test(test_waiting_for_a_dead_site_expires),
        cmocka_unit_test(test_busy_slows_down),
        cmocka_unit_test(test_home_first_then_the_others),
        cmocka_unit_test(test_a_hundred_thousand_in_linear_time),
        cmocka_unit_test(test_memory_of_a_waiting_message),
        cmocka_unit_test(test_questions_are_bounded),
        cmocka_unit_test(test_an_empty_queue_gives_back),
        cmocka_unit_test(test_silent_sites_leave_room_for_others),
        cmocka_unit_test(test_a_new_site_uses_the_connections_of_all),
        cmocka_unit_test(test_a_silent_site_gets_little_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
