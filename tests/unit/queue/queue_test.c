#include "play.h"

static void test_one_message_goes(void **state)
{
    struct play *play = play_new();
    uint64_t id = play_arrive(play, "anna", "0bob@Example.NET");
    assert_int_equal(play->queue.by_place[QUEUE_RESOLVING], 1);
    play_delivery(play, 0, 10);
    assert_int_equal(play->resolve_count, 1);
    assert_string_equal(play->resolves[0].domain, "example.net");
    play_resolve_all(play, "mx.example.net");
    assert_int_equal(play->grant_count, 1);
    assert_int_equal(play->grants[0].id, id);
    assert_string_equal(play->grants[0].site, "mx.example.net");
    assert_int_equal(play->grants[0].attempt, 1);
    assert_int_equal(play->grants[0].connections, 20);
    play_deliver(play, &play->grants[0]);
    assert_null(queue_message_find(&play->queue, id));
    assert_int_equal(play->queue.recipients, 0);
    assert_int_equal(play->record_count, 1);
    assert_int_equal(play->records[0].kind, QUEUE_ENTRY_ENDED);
    struct queue_log_segment *segment = queue_segment_find(&play->queue, 1);
    segment->unread = true; /* there may be others in it */
    queue_segment_sealed(&play->queue, segment);
    assert_int_equal(play->empties, 0);
    segment->unread = false;
    queue_segment_sealed(&play->queue, segment);
    assert_int_equal(play->empties, 1);
    play_free(play);
}

/* Whom a limit keeps: nothing is tried and nobody is told before his time, and each goes at his own. */
static void test_who_waits_for_a_limit(void **state)
{
    static const uint32_t waits[] = { 0, 3600, 3600, 6 * 3600, 7 * 24 * 3600 };
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1000);
    for (unsigned i = 0; i < ARRAY_LEN(waits); i++)
        writer_recipient_put(&packed, &(struct writer_recipient){ 0, SPAN("a@x.example"), waits[i] });
    uint64_t id = play_id(play);
    struct queue_arrival arrival = { .id = id, .segment = 1, .offset = play->offset, .length = 64, .account = SPAN("anna"),
                                     .sender = SPAN("anna@example.org"), .recipient_count = ARRAY_LEN(waits),
                                     .recipients = buf_span(&packed) };
    int64_t begin = play->now;
    assert_int_equal(queue_arrived(&play->queue, begin, &arrival), STATUS_OK);
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 1);
    assert_int_equal(play->grants[0].count, 1);
    assert_int_equal(play->queue.by_place[QUEUE_DUE], 4);
    play_deliver(play, &play->grants[0]);
    play_until(play, begin + TIME_HOUR_MS - 1000);
    assert_int_equal(play->grant_count, 1);
    play_until(play, begin + TIME_HOUR_MS + 1000);
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 2);
    assert_int_equal(play->grants[1].count, 2);
    play_deliver(play, &play->grants[1]);
    play_until(play, begin + 5 * TIME_HOUR_MS);
    assert_int_equal(play->report_count, 0); /* no notice of a delay that was meant */
    play_until(play, begin + 6 * TIME_HOUR_MS + 1000);
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 3);
    play_deliver(play, &play->grants[2]);
    play_until(play, begin + 7 * TIME_DAY_MS + 1000); /* longer than anything is tried: it gets its attempt all the same */
    play_resolve_all(play, "mx");
    assert_int_equal(play->report_count, 0);
    assert_int_equal(play->grant_count, 4);
    play_deliver(play, &play->grants[3]);
    assert_null(queue_message_find(&play->queue, id));
    play_free(play);
}

static void test_domains_of_one_site_share_a_lease(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    assert_int_equal(play_arrive_as(play, play_id(play), "a", "s@x",
                                    (const char *const[]){ "0a@one.example", "0b@two.example", "0c@ONE.example", NULL }),
                     STATUS_OK);
    assert_int_equal(play->resolve_count, 2);
    play->queue.credit = 0; /* hold back until both are known */
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 0);
    play->queue.credit = 10;
    queue_pump(&play->queue);
    assert_int_equal(play->grant_count, 1);
    assert_int_equal(play->grants[0].count, 3);
    play_deliver(play, &play->grants[0]);
    assert_int_equal(play->queue.recipients, 0);
    play_free(play);
}

static void test_transactions_are_bounded(void **state)
{
    struct play *play = play_new();
    play->settings.recipients_per_transaction = 100;
    play_delivery(play, 0, 10);
    static char texts[250][32];
    const char *list[251] = { 0 };
    for (int i = 0; i < 250; i++) {
        snprintf(texts[i], sizeof texts[i], "0r%d@example.net", i);
        list[i] = texts[i];
    }
    assert_int_equal(play_arrive_as(play, play_id(play), "a", "s@x", list), STATUS_OK);
    play_resolve_all(play, NULL);
    assert_int_equal(play->grant_count, 3);
    assert_int_equal(play->grants[0].count + play->grants[1].count + play->grants[2].count, 250);
    assert_int_equal(play->grants[0].count, 100);
    assert_int_equal(play->grants[1].first, 100);
    for (int i = 0; i < 3; i++)
        play_deliver(play, &play->grants[i]);
    assert_int_equal(play->queue.recipients, 0);
    play_free(play);
}

static void test_retries_grow_and_expire(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 1000);
    play_arrive(play, "anna", "0bob@example.net");
    play_resolve_all(play, "mx");
    const int64_t minutes[] = { 5, 10, 20, 40, 80, 160, 240, 240 };
    for (size_t i = 0; i < ARRAY_LEN(minutes); i++) {
        assert_int_equal(play->grant_count, i + 1);
        assert_int_equal(play->grants[i].attempt, i + 1);
        play_outcome(play, &play->grants[i], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
        int64_t due = play->now + minutes[i] * TIME_MINUTE_MS;
        play_until(play, due - 1);
        play_resolve_all(play, "mx");
        assert_int_equal(play->grant_count, i + 1);
        play_until(play, due);
        play_resolve_all(play, "mx"); /* the answer is an hour old */
    }
    play_outcome(play, &play->grants[play->grant_count - 1], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    size_t before = play->report_count;
    assert_int_equal(before, 1); /* the delay notice */
    play_until(play, START_MS + 5 * TIME_DAY_MS - 1);
    for (size_t round = 0; play->resolve_count; round++) {
        play_resolve_all(play, "mx");
        play_outcome(play, &play->grants[play->grant_count - 1], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    }
    play_until(play, START_MS + 5 * TIME_DAY_MS);
    assert_int_equal(play->report_count, before + 1);
    struct queue_report *report = play->reports[before];
    assert_int_equal(report->kind, QUEUE_REPORT_FAILED);
    assert_true(report->expired);
    assert_int_equal(report->count, 1);
    struct queue_words words = queue_reason_words(report->told[0].reason);
    assert_int_equal(words.code, 450);
    assert_true(span_eq(words.text, SPAN("later")));
    assert_int_equal(play->queue.recipients, 1); /* not over before the report is stored */
    queue_reported(&play->queue, play->now, report, STATUS_OK);
    play->reports[before] = NULL;
    assert_int_equal(play->queue.recipients, 0);
    play_free(play);
}

static void test_delay_notice_once_where_allowed(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 1000);
    assert_int_equal(play_arrive_as(play, play_id(play), "a", "s@x",
                                    (const char *const[]){ "0a@x.example", "1never@x.example", "4fail@x.example",
                                                           "8delay@y.example", NULL }), STATUS_OK);
    size_t seen = 0;
    for (int i = 0; i < 40; i++) {
        play_resolve_all(play, NULL);
        for (; seen < play->grant_count; seen++)
            play_outcome(play, &play->grants[seen], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
        play_until(play, play->now + 20 * TIME_MINUTE_MS);
    }
    assert_int_equal(play->report_count, 1);
    assert_int_equal(play->reports[0]->kind, QUEUE_REPORT_DELAYED);
    assert_int_equal(play->reports[0]->count, 2);
    assert_int_equal(play->reports[0]->told[0].index, 0);
    assert_int_equal(play->reports[0]->told[1].index, 3);
    play_free(play);
}

/* Failures of one message at many sites are one report, when the last of them has answered. */
static void test_one_report_for_many_sites(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    assert_int_equal(play_arrive_as(play, play_id(play), "a", "s@x",
                                    (const char *const[]){ "0a@x.example", "0b@y.example", "0c@z.example", NULL }), STATUS_OK);
    play_resolve_all(play, NULL);
    assert_int_equal(play->grant_count, 3);
    play_outcome(play, &play->grants[0], OUTCOME_FAILED, TROUBLE_NONE, 550, "no such user");
    play_until(play, play->now + 10 * TIME_SECOND_MS);
    play_outcome(play, &play->grants[1], OUTCOME_FAILED, TROUBLE_NONE, 551, "not here");
    assert_int_equal(play->report_count, 0);
    assert_int_equal(play->queue.by_place[QUEUE_REPORTING], 2);
    play_deliver(play, &play->grants[2]);
    assert_int_equal(play->report_count, 1);
    assert_int_equal(play->reports[0]->count, 2);
    assert_int_equal(play->reports[0]->told[1].index, 1);
    assert_int_equal(queue_reason_words(play->reports[0]->told[1].reason).code, 551);
    queue_reported(&play->queue, play->now, play->reports[0], STATUS_OK);
    play->reports[0] = NULL;
    assert_int_equal(play->queue.recipients, 0);
    play_free(play);
}

/* But a sender does not wait for ever, nor for what was put off. */
static void test_a_report_does_not_wait_for_ever(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    for (int i = 0; i < 2; i++)
        assert_int_equal(play_arrive_as(play, play_id(play), "a", "s@x",
                                        (const char *const[]){ "0a@x.example", "0b@y.example", NULL }), STATUS_OK);
    play_resolve_all(play, NULL);
    for (size_t i = 0; i < 4; i++)
        if (span_eq(span_str(play->grants[i].site), SPAN("x.example")))
            play_outcome(play, &play->grants[i], OUTCOME_FAILED, TROUBLE_NONE, 550, "no such user");
    assert_int_equal(play->report_count, 0);
    for (size_t i = 0; i < 4; i++)
        if (span_eq(span_str(play->grants[i].site), SPAN("y.example")) && play->grants[i].id == play->grants[0].id)
            play_outcome(play, &play->grants[i], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    assert_int_equal(play->report_count, 1);
    play_until(play, play->now + 59 * TIME_SECOND_MS);
    assert_int_equal(play->report_count, 1);
    play_until(play, play->now + 3 * TIME_SECOND_MS);
    assert_int_equal(play->report_count, 2);
    play_free(play);
}

/* As if there had been no memory for the question: the clock brings it again. */
static void test_a_question_without_memory(void **state)
{
    struct play *play = play_new();
    play_arrive(play, "", "a@x.example");
    play_arrive(play, "", "b@y.example");
    assert_int_equal(play->resolve_count, 0);
    play->queue.deliveries[0].here = true;
    play->queue.delivery_count = 1;
    play->queue.ask_again_ms = play->now + 10000;
    assert_int_equal(queue_next_ms(&play->queue), play->now + 10000);
    play_until(play, play->now + 10000);
    assert_int_equal(play->resolve_count, 2);
    assert_true(queue_next_ms(&play->queue) > play->now);
    play_free(play);
}

static void test_failure_and_notify(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    uint64_t id = play_id(play);
    assert_int_equal(play_arrive_as(play, id, "a", "s@x",
                                    (const char *const[]){ "0a@x.example", "1never@x.example", "2success@x.example",
                                                           "4fail@x.example", NULL }), STATUS_OK);
    play_resolve_all(play, "mx");
    play_outcome(play, &play->grants[0], OUTCOME_FAILED, TROUBLE_NONE, 550, "no such user");
    assert_int_equal(play->report_count, 1);
    struct queue_report *report = play->reports[0];
    assert_int_equal(report->count, 2); /* one report for all of the lease */
    assert_int_equal(report->told[0].index, 0);
    assert_int_equal(report->told[1].index, 3);
    assert_int_equal(play->queue.recipients, 2);
    assert_int_equal(play->queue.by_place[QUEUE_REPORTING], 2);
    queue_reported(&play->queue, play->now, report, STATUS_IO); /* the disk is full: again later */
    play_until(play, play->now + 10000);
    assert_int_equal(play->report_count, 2);
    assert_ptr_equal(play->reports[1], report);
    queue_reported(&play->queue, play->now, report, STATUS_OK);
    assert_null(queue_message_find(&play->queue, id));
    play->report_count = 0;
    play_free(play);
}

static void test_success_reports(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    uint64_t id = play_id(play);
    assert_int_equal(play_arrive_as(play, id, "a", "s@x",
                                    (const char *const[]){ "2yes@x.example", "0no@x.example", NULL }), STATUS_OK);
    play_resolve_all(play, "mx");
    play_outcome(play, &play->grants[0], OUTCOME_RELAYED, TROUBLE_NONE, 250, "queued");
    assert_int_equal(play->report_count, 1);
    assert_int_equal(play->reports[0]->kind, QUEUE_REPORT_RELAYED);
    assert_int_equal(play->reports[0]->count, 1);
    assert_int_equal(play->records[0].kind, QUEUE_ENTRY_OWED);
    assert_int_equal(play->records[1].kind, QUEUE_ENTRY_ENDED);
    queue_reported(&play->queue, play->now, play->reports[0], STATUS_OK);
    assert_null(queue_message_find(&play->queue, id));
    play->report_count = 0;
    play_free(play);
}

static void test_no_bounce_of_a_bounce(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    assert_int_equal(play_arrive_as(play, play_id(play), "", "", (const char *const[]){ "0a@x.example", NULL }), STATUS_OK);
    play_resolve_all(play, "mx");
    play_outcome(play, &play->grants[0], OUTCOME_FAILED, TROUBLE_NONE, 550, "no");
    assert_int_equal(play->report_count, 0);
    assert_int_equal(play->queue.recipients, 0);

    play->queue.postmaster = SPAN("postmaster@x.example");
    assert_int_equal(play_arrive_as(play, play_id(play), "", "", (const char *const[]){ "0a@x.example", NULL }), STATUS_OK);
    play_outcome(play, &play->grants[1], OUTCOME_FAILED, TROUBLE_NONE, 550, "no");
    assert_int_equal(play->report_count, 1);
    assert_true(play->reports[0]->to_postmaster);
    queue_reported(&play->queue, play->now, play->reports[0], STATUS_OK);
    assert_int_equal(play_arrive_as(play, play_id(play), "", "",
                                    (const char *const[]){ "0postmaster@x.example", NULL }), STATUS_OK);
    play_outcome(play, &play->grants[2], OUTCOME_FAILED, TROUBLE_NONE, 550, "no");
    assert_int_equal(play->report_count, 1); /* and never round in circles */
    assert_int_equal(play->queue.recipients, 0);
    play->report_count = 0;
    play_free(play);
}

static void test_mixed_outcome_splits(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    uint64_t id = play_id(play);
    assert_int_equal(play_arrive_as(play, id, "a", "s@x",
                                    (const char *const[]){ "0a@x.example", "0b@x.example", "0c@x.example", NULL }),
                     STATUS_OK);
    play_resolve_all(play, "mx");
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1000);
    const uint8_t results[] = { OUTCOME_DEFERRED, OUTCOME_FAILED, OUTCOME_DELIVERED };
    for (uint32_t i = 0; i < 3; i++)
        outcome_recipient_put(&packed, &(struct outcome_recipient){ .index = i, .result = results[i], .code = 400,
                                                                    .text = SPAN("words") });
    struct lease_outcome outcome = { .lease = play->grants[0].lease, .recipient_count = 3,
                                     .recipients = buf_span(&packed) };
    assert_int_equal(queue_outcome(&play->queue, play->now, 0, &outcome), STATUS_OK);
    assert_int_equal(play->queue.by_place[QUEUE_DUE], 1);
    assert_int_equal(play->queue.by_place[QUEUE_REPORTING], 1);
    assert_int_equal(play->queue.recipients, 2);
    assert_int_equal(play->report_count, 1);
    queue_reported(&play->queue, play->now, play->reports[0], STATUS_OK);
    play_until(play, play->now + 5 * TIME_MINUTE_MS);
    assert_int_equal(play->grant_count, 2);
    assert_int_equal(play->grants[1].count, 1);
    assert_int_equal(play->grants[1].first, 0);
    assert_int_equal(play->grants[1].attempt, 2);
    play->report_count = 0;
    play_free(play);
}

static void test_hostile_outcomes(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    play_delivery(play, 1, 10);
    uint64_t id = play_arrive(play, "a", "0a@x.example");
    play_resolve_all(play, "mx");
    struct play_grant grant = play->grants[0];
    struct lease_outcome outcome = { .lease = 12345 };
    assert_int_equal(queue_outcome(&play->queue, play->now, grant.delivery, &outcome), STATUS_NOT_FOUND);
    outcome.lease = grant.lease;
    assert_int_equal(queue_outcome(&play->queue, play->now, !grant.delivery, &outcome), STATUS_NOT_FOUND);
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1000);
    outcome_recipient_put(&packed, &(struct outcome_recipient){ .index = 7, .result = OUTCOME_DELIVERED });
    outcome.recipient_count = 1;
    outcome.recipients = buf_span(&packed);
    assert_int_equal(queue_outcome(&play->queue, play->now, grant.delivery, &outcome), STATUS_DAMAGED);
    assert_non_null(queue_message_find(&play->queue, id)); /* what was not said clearly did not happen */
    assert_int_equal(play->queue.by_place[QUEUE_DUE], 1);
    assert_int_equal(queue_outcome(&play->queue, play->now, grant.delivery, &outcome), STATUS_NOT_FOUND);
    assert_int_equal(queue_credit(&play->queue, play->now, 0, UINT32_MAX), STATUS_DAMAGED);
    assert_int_equal(queue_credit(&play->queue, play->now, 9, 1), STATUS_NOT_FOUND);
    play_free(play);
}

static void test_hostile_arrivals(void **state)
{
    struct play *play = play_new();
    uint64_t id = play_arrive(play, "a", "0a@x.example");
    const char *const one[] = { "0a@x.example", NULL };
    assert_int_equal(play_arrive_as(play, id, "a", "s@x", one), STATUS_EXISTS);
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1000);
    writer_recipient_put(&packed, &(struct writer_recipient){ 0, SPAN("a@b") });
    struct queue_arrival good = { .id = 5, .segment = 1, .offset = 0, .length = 64, .recipient_count = 1,
                                  .recipients = buf_span(&packed) };
    struct queue_arrival bad = good;
    bad.segment = 2;
    assert_int_equal(queue_arrived(&play->queue, play->now, &bad), STATUS_NOT_FOUND);
    bad = good;
    bad.recipient_count = 2;
    assert_int_equal(queue_arrived(&play->queue, play->now, &bad), STATUS_DAMAGED);
    bad = good;
    bad.offset = UINT32_MAX;
    assert_int_equal(queue_arrived(&play->queue, play->now, &bad), STATUS_DAMAGED);
    bad = good;
    bad.length = UINT32_MAX;
    assert_int_equal(queue_arrived(&play->queue, play->now, &bad), STATUS_DAMAGED);
    bad = good;
    bad.id = 0;
    assert_int_equal(queue_arrived(&play->queue, play->now, &bad), STATUS_DAMAGED);
    assert_int_equal(play->queue.recipients, 1);
    assert_int_equal(queue_arrived(&play->queue, play->now, &good), STATUS_OK);
    play_free(play);
}

static void test_lost_leases_wait_again(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    uint64_t id = play_arrive(play, "a", "0a@x.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->queue.by_place[QUEUE_LEASED], 1);
    play_arrive(play, "a", "0a@y.example"); /* asked of the one that dies */
    queue_delivery_gone(&play->queue, play->now, 0);
    assert_int_equal(play->queue.by_place[QUEUE_LEASED], 0);
    assert_int_equal(play->queue.by_place[QUEUE_DUE], 1);
    assert_int_equal(play->queue.credit, 0);
    play->resolve_count = 0;
    play_until(play, play->now + 2000);
    assert_int_equal(play->grant_count, 1);
    play_delivery(play, 1, 10);
    assert_int_equal(play->grant_count, 2);
    assert_int_equal(play->grants[1].id, id);
    assert_int_equal(play->grants[1].delivery, 1);
    assert_int_equal(play->resolve_count, 1);
    assert_string_equal(play->resolves[0].domain, "y.example");
    assert_int_equal(play->resolves[0].delivery, 1);
    play_free(play);
}

static void test_unroutable(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    play_arrive(play, "a", "0a@none.example");
    struct lease_resolved no = { .token = play->resolves[0].token, .result = RESOLVE_DEFERRED, .text = SPAN("SERVFAIL") };
    assert_int_equal(queue_resolved(&play->queue, play->now, 0, &no), STATUS_OK);
    assert_int_equal(play->queue.by_place[QUEUE_DUE], 1);
    play_until(play, play->now + 5 * TIME_MINUTE_MS);
    assert_int_equal(play->resolve_count, 2);
    no = (struct lease_resolved){ .token = play->resolves[1].token, .result = RESOLVE_FAILED, .code = 550,
                                  .enhanced = { 5, 1, 2 }, .text = SPAN("no such domain") };
    assert_int_equal(queue_resolved(&play->queue, play->now, 0, &no), STATUS_OK);
    assert_int_equal(queue_resolved(&play->queue, play->now, 0, &no), STATUS_NOT_FOUND);
    assert_int_equal(play->report_count, 1);
    queue_reported(&play->queue, play->now, play->reports[0], STATUS_OK);
    assert_int_equal(play->queue.recipients, 0);
    play->report_count = 0;
    play_free(play);
}

static void test_routes_are_asked_again_after_a_change(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    play_arrive(play, "a", "0a@x.example");
    play_resolve_all(play, "old");
    play_outcome(play, &play->grants[0], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    queue_settings_changed(&play->queue, play->now);
    play_until(play, play->now + 5 * TIME_MINUTE_MS);
    assert_int_equal(play->grant_count, 1);
    play_resolve_all(play, "new");
    assert_int_equal(play->grant_count, 2);
    assert_string_equal(play->grants[1].site, "new");
    play_free(play);
}

static void hold(struct play *play, uint64_t lease, uint64_t id, uint32_t attempt, uint32_t count)
{
    static struct lease_held held;
    held = (struct lease_held){ .lease = LEASE_HELD_BIT | lease, .id = id, .attempt = attempt, .site = SPAN("mx"),
                                .recipient_count = count };
    for (uint32_t i = 0; i < count; i++)
        held.recipients[i] = count - 1 - i;
    assert_int_equal(queue_held(&play->queue, play->now, 0, &held), STATUS_OK);
}

static void tell_held(struct play *play, uint64_t lease, uint8_t result, uint32_t count)
{
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1u << 20);
    for (uint32_t i = 0; i < count; i++)
        outcome_recipient_put(&packed, &(struct outcome_recipient){ .index = i, .result = result, .text = SPAN("so") });
    struct lease_outcome outcome = { .lease = LEASE_HELD_BIT | lease, .recipient_count = count, .recipients = buf_span(&packed) };
    assert_int_equal(queue_outcome(&play->queue, play->now, 0, &outcome), STATUS_OK);
}

/* What a delivery process is sending since before the start is not granted a second time. */
static void test_leases_outlive_the_queue(void **state)
{
    struct play *play = play_new();
    queue_gather(&play->queue);
    uint64_t id = play_id(play);
    assert_int_equal(play_arrive_as(play, id, "a", "s@x", (const char *const[]){ "0a@one.example", "0b@one.example",
                                                                                 "0c@one.example", NULL }), STATUS_OK);
    queue_delivery_here(&play->queue, play->now, 0);
    hold(play, 7, id, 1, 2);
    assert_int_equal(play->queue.by_place[QUEUE_LEASED], 2);
    assert_int_equal(queue_credit(&play->queue, play->now, 0, 10), STATUS_OK);
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 0);
    queue_gathered(&play->queue, play->now);
    assert_int_equal(play->grant_count, 1);
    assert_int_equal(play->grants[0].count, 1);
    assert_int_equal(play->grants[0].first, 2);
    tell_held(play, 7, OUTCOME_DELIVERED, 2);
    assert_int_equal(play->queue.recipients, 1);
    tell_held(play, 7, OUTCOME_DELIVERED, 2); /* nobody's lease any more */
    play_deliver(play, &play->grants[0]);
    assert_int_equal(play->queue.recipients, 0);
    hold(play, 8, id, 1, 2); /* told of a message that has ended */
    tell_held(play, 8, OUTCOME_DELIVERED, 2);
    play_free(play);
}

/* Nothing goes out of which nobody could write down what became of it. */
static void test_no_lease_without_a_journal(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    play_arrive(play, "a", "0a@one.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 1);
    queue_stall(&play->queue, play->now, true);
    play_arrive(play, "a", "0b@one.example");
    play_arrive(play, "b", "0c@one.example");
    play_resolve_all(play, "mx");
    play_deliver(play, &play->grants[0]);
    assert_int_equal(play->grant_count, 1);
    queue_stall(&play->queue, play->now, false);
    assert_int_equal(play->grant_count, 3);
    play_free(play);
}

/* An attempt that the journal knows of is told again: it does not count twice. */
static void test_outcomes_told_again_change_nothing(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    uint64_t id = play_arrive(play, "a", "0a@one.example");
    play_resolve_all(play, "mx");
    play_outcome(play, &play->grants[0], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    size_t records = play->record_count;
    hold(play, 1, id, 1, 1);
    tell_held(play, 1, OUTCOME_DEFERRED, 1);
    assert_int_equal(play->record_count, records);
    assert_int_equal(play->queue.by_place[QUEUE_DUE], 1);
    hold(play, 2, id, 2, 1); /* a second attempt that the journal does not know of */
    tell_held(play, 2, OUTCOME_DEFERRED, 1);
    assert_int_equal(play->record_count, records + 1);
    hold(play, 3, id, 3, 1);
    queue_delivery_gone(&play->queue, play->now, 0); /* it dies now, too */
    assert_int_equal(play->queue.by_place[QUEUE_DUE], 1);
    play_free(play);
}

static void test_returned_leases_go_to_others(void **state)
{
    struct play *play = play_new();
    play_delivery(play, 0, 10);
    play_arrive(play, "a", "0a@one.example");
    play_resolve_all(play, "mx");
    assert_int_equal(play->grant_count, 1);
    queue_delivery_leaving(&play->queue, 0);
    assert_int_equal(queue_returned(&play->queue, play->now, 0, play->grants[0].lease), STATUS_OK);
    assert_int_equal(queue_returned(&play->queue, play->now, 0, play->grants[0].lease), STATUS_NOT_FOUND);
    assert_int_equal(play->grant_count, 1);
    queue_delivery_gone(&play->queue, play->now, 0);
    assert_int_equal(play->queue.counts.lost_leases, 0);
    play_delivery(play, 1, 10);
    assert_int_equal(play->grant_count, 2);
    assert_int_equal(play->grants[1].attempt, 1);
    play_deliver(play, &play->grants[1]);
    play_free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_message_goes),
        cmocka_unit_test(test_who_waits_for_a_limit),
        cmocka_unit_test(test_domains_of_one_site_share_a_lease),
        cmocka_unit_test(test_transactions_are_bounded),
        cmocka_unit_test(test_retries_grow_and_expire),
        cmocka_unit_test(test_delay_notice_once_where_allowed),
        cmocka_unit_test(test_a_question_without_memory),
        cmocka_unit_test(test_failure_and_notify),
        cmocka_unit_test(test_one_report_for_many_sites),
        cmocka_unit_test(test_a_report_does_not_wait_for_ever),
        cmocka_unit_test(test_success_reports),
        cmocka_unit_test(test_no_bounce_of_a_bounce),
        cmocka_unit_test(test_mixed_outcome_splits),
        cmocka_unit_test(test_hostile_outcomes),
        cmocka_unit_test(test_hostile_arrivals),
        cmocka_unit_test(test_lost_leases_wait_again),
        cmocka_unit_test(test_unroutable),
        cmocka_unit_test(test_routes_are_asked_again_after_a_change),
        cmocka_unit_test(test_leases_outlive_the_queue),
        cmocka_unit_test(test_no_lease_without_a_journal),
        cmocka_unit_test(test_outcomes_told_again_change_nothing),
        cmocka_unit_test(test_returned_leases_go_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
