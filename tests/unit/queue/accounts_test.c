#include "play.h"
#include "queue/accounts.h"

static void stay(struct play *play, const char *const *accounts)
{
    queue_stay_begin(&play->queue);
    for (; *accounts; accounts++)
        assert_int_equal(queue_stay_add(&play->queue, span_str(*accounts), SPAN("unpaid")), STATUS_OK);
    queue_stay_end(&play->queue, play->now);
}

#define STAY(play, ...) stay(play, (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

static void test_mail_of_a_suspended_account_stays(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 1000);
    STAY(play, "bad");
    for (int i = 0; i < 10; i++)
        play_arrive(play, "bad", "0r@x.example");
    play_arrive(play, "good", "0r@x.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 1);
    assert_int_equal(play->queue.by_place[QUEUE_SUSPENDED], 10);
    play_deliver(play, &play->grants[0]);
    play_until(play, play->now + 30 * TIME_DAY_MS); /* nothing is given up meanwhile */
    assert_int_equal(play->queue.by_place[QUEUE_SUSPENDED], 10);
    assert_int_equal(play->report_count, 0);
    STAY(play);
    assert_int_equal(play->queue.by_place[QUEUE_SUSPENDED], 0);
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 11);
    for (size_t i = 1; i < 11; i++)
        play_deliver(play, &play->grants[i]);
    assert_int_equal(play->queue.recipients, 0);
    assert_int_equal(play->report_count, 0);
    play_free(play);
}

/* What is in a lane, in all the places where it can be, steps out when its turn comes; what is out is sent. */
static void test_suspended_while_it_waits(void **state)
{
    struct play *play = play_new();
    play->settings.connections_per_site = 3;
    play_delivery(play, 0, 1000);
    for (int i = 0; i < 10; i++)
        play_arrive(play, "bad", "0r@x.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 3);
    play_arrive(play, "bad", "0r@later.example"); /* its site is being asked for */
    STAY(play, "other", "bad");
    for (int i = 0; i < 3; i++)
        play_arrive(play, "good", "0r@x.example");
    play_resolve_all(play, "mx");
    for (size_t i = 0; i < 3; i++)
        play_deliver(play, &play->grants[i]);
    assert_int_equal(play->grant_count, 6);
    for (size_t i = 3; i < 6; i++) {
        assert_true(play->grants[i].id != play->grants[0].id);
        play_outcome(play, &play->grants[i], OUTCOME_DEFERRED, TROUBLE_NONE, 451, "later");
    }
    assert_int_equal(play->grant_count, 6);
    assert_int_equal(play->queue.by_place[QUEUE_SUSPENDED], 8);
    STAY(play, "other"); /* he was never here */
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 9);
    for (size_t i = 6; i < play->grant_count; i++)
        play_deliver(play, &play->grants[i]);
    assert_int_equal(play->grant_count, 14);
    assert_int_equal(play->queue.recipients, 3);
    play_free(play);
}

/* A lease that came back untouched, a time that came: they stay as well. */
static void test_suspended_while_it_is_out(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 1000);
    play_arrive(play, "bad", "0a@x.example");
    play_arrive(play, "bad", "0b@x.example");
    play_resolve_all(play, "mx");
    STAY(play, "bad");
    assert_int_equal(queue_returned(&play->queue, play->now, 0, play->grants[0].lease), STATUS_OK);
    play_outcome(play, &play->grants[1], OUTCOME_DEFERRED, TROUBLE_NONE, 451, "later");
    assert_int_equal(play->queue.by_place[QUEUE_SUSPENDED], 1);
    play_until(play, play->now + TIME_HOUR_MS);
    assert_int_equal(play->queue.by_place[QUEUE_SUSPENDED], 2);
    assert_int_equal(play->grant_count, 2);
    STAY(play);
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 4);
    play_free(play); /* with leases out, and */
    play = play_new();
    STAY(play, "bad");
    play_arrive(play, "bad", "0a@x.example");
    play_free(play); /* with mail that stays */
}

static const struct queue_account *news(struct play *play, const char *name)
{
    const struct queue_account *account = queue_account_news(&play->queue);
    assert_non_null(account);
    assert_true(span_eq(queue_account_name(account), span_str(name)));
    return account;
}

static void test_levels(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 1000);
    play_arrive(play, "anna", "0a@x.example");
    play_arrive(play, "anna", "0b@x.example");
    play_arrive(play, "", "0c@x.example"); /* relayed */
    assert_int_equal(play_arrive_as(play, play_id(play), "bob", "", (const char *const[]){ "0d@x.example", NULL }), STATUS_OK);
    const struct queue_account *anna = news(play, "anna");
    assert_true(queue_account_is_news(anna));
    assert_int_equal(anna->waiting, 2);
    assert_int_equal(anna->octets, 128);
    queue_account_told(&play->queue, queue_account_news(&play->queue));
    assert_null(queue_account_news(&play->queue));
    play_resolve_all(play, "mx");
    play_deliver(play, &play->grants[0]);
    play_outcome(play, &play->grants[1], OUTCOME_FAILED, TROUBLE_NONE, 550, "nobody");
    assert_int_equal(news(play, "anna")->failures, 1);
    assert_int_equal(news(play, "anna")->waiting, 1); /* its report is not stored yet */
    queue_reported(&play->queue, play->now, play->reports[0], STATUS_OK);
    play->report_count = 0;
    assert_int_equal(news(play, "anna")->waiting, 0); /* kept until it is told */
    assert_int_equal(news(play, "anna")->octets, 0);
    queue_account_told(&play->queue, queue_account_news(&play->queue));
    assert_null(queue_account_find(&play->queue, SPAN("anna")));
    play_arrive(play, "anna", "0b@x.example");
    play_free(play);
}

static void test_whoever_is_new_hears_all(void **state)
{
    struct play *play = play_new();
    play_arrive(play, "anna", "0a@x.example");
    play_arrive(play, "bob", "0a@x.example");
    while (queue_account_news(&play->queue))
        queue_account_told(&play->queue, queue_account_news(&play->queue));
    queue_accounts_tell_all(&play->queue);
    unsigned n = 0;
    for (struct queue_account *account; (account = queue_account_news(&play->queue)); n++) {
        assert_true(queue_account_is_news(account));
        queue_account_told(&play->queue, account);
    }
    assert_int_equal(n, 2);
    play_free(play);
}

static void test_bodies_count(void **state)
{
    struct play *play = play_new();
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1024);
    writer_recipient_put(&packed, &(struct writer_recipient){ 0, SPAN("a@x.example") });
    struct queue_arrival arrival = { .id = play_id(play), .body = 7, .octets = (5u << 20) + 1, .segment = 1, .offset = 8192, .length = 64,
                                     .account = SPAN("anna"), .sender = SPAN("anna@x"), .recipient_count = 1,
                                     .recipients = buf_span(&packed) };
    assert_int_equal(queue_arrived(&play->queue, play->now, &arrival), STATUS_OK);
    assert_int_equal(news(play, "anna")->octets, 64 + (6u << 20));
    queue_message_forget(&play->queue, queue_message_find(&play->queue, arrival.id));
    assert_int_equal(news(play, "anna")->octets, 0);
    assert_false(queue_account_is_news(news(play, "anna")));
    play_free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_of_a_suspended_account_stays),
        cmocka_unit_test(test_suspended_while_it_waits),
        cmocka_unit_test(test_suspended_while_it_is_out),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_whoever_is_new_hears_all),
        cmocka_unit_test(test_bodies_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
