#include "play.h"
#include "queue/checkpoint.h"
#include "queue/recover.h"
#include "queue/schedule.h"

/* What stood on disk: the arrivals (in segments) and the journal, both in order. */
struct disk {
    struct {
        uint64_t id;
        const char *account, *sender;
        const char *const *recipients;
    } arrivals[64];
    size_t arrival_count;
};

static uint64_t disk_arrive(struct disk *disk, struct play *play, const char *account, const char *sender,
                            const char *const *recipients)
{
    uint64_t id = play_id(play);
    assert_int_equal(play_arrive_as(play, id, account, sender, recipients), STATUS_OK);
    disk->arrivals[disk->arrival_count].id = id;
    disk->arrivals[disk->arrival_count].account = account;
    disk->arrivals[disk->arrival_count].sender = sender;
    disk->arrivals[disk->arrival_count++].recipients = recipients;
    return id;
}

static void pack(const char *const *recipients, struct buf *packed, uint32_t *count)
{
    for (*count = 0; recipients[*count]; ++*count)
        writer_recipient_put(packed, &(struct writer_recipient){ (uint8_t)(recipients[*count][0] - '0'),
                                                                 span_str(recipients[*count] + 1) });
}

/* A new process finds the disk with the first `prefix` records of the journal. `base`: a checkpoint before them. */
static struct play *restart(const struct disk *disk, const struct play *before, size_t from, size_t prefix,
                            const struct play *base)
{
    struct play *play = play_new();
    play->now = before->now;
    struct queue_recovery recovery;
    assert_int_equal(queue_recover_begin(&recovery, &play->queue), STATUS_OK);
    if (base)
        for (size_t i = 0; i < base->record_count; i++)
            assert_int_equal(queue_recover_entry(&recovery, base->records[i].kind, base->records[i].id,
                                                 span_of(base->bytes.p + base->records[i].at, base->records[i].n)),
                             STATUS_OK);
    for (size_t i = from; i < prefix; i++)
        assert_int_equal(queue_recover_entry(&recovery, before->records[i].kind, before->records[i].id,
                                             span_of(before->bytes.p + before->records[i].at, before->records[i].n)),
                         STATUS_OK);
    uint32_t known = queue_segment_find(&play->queue, 1)->known;
    for (size_t i = 0; i < disk->arrival_count; i++) {
        AUTO(buf_done) struct buf packed = BUF_EMPTY(1u << 20);
        struct queue_arrival arrival = { .id = disk->arrivals[i].id, .segment = 1, .length = 64,
                                         .offset = (uint32_t)(4096 + 64 * i), .account = span_str(disk->arrivals[i].account),
                                         .sender = span_str(disk->arrivals[i].sender) };
        pack(disk->arrivals[i].recipients, &packed, &arrival.recipient_count);
        arrival.recipients = buf_span(&packed);
        if (known && arrival.offset <= known)
            continue;
        assert_int_equal(queue_recover_found(&recovery, &arrival), STATUS_OK);
    }
    queue_recover_end(&recovery, play->now);
    play->offset = before->offset;
    return play;
}

/* Which recipients (bit i of the message's) still live. */
static uint64_t living(const struct play *play, uint64_t id)
{
    uint64_t bits = 0;
    struct queue_message *message = queue_message_find(&play->queue, id);
    if (!message)
        return 0;
    for (struct queue_share *share = message->shares; share; share = share->next)
        for (uint32_t i = 0; i < share->count; i++)
            bits |= UINT64_C(1) << queue_share_rcpts(share)[i].index;
    return bits;
}

static void reports_done(struct play *play)
{
    for (size_t i = 0; i < play->report_count; i++)
        queue_reported(&play->queue, play->now, play->reports[i], STATUS_OK);
    play->report_count = 0;
}

static void outcomes(struct play *play, const struct play_grant *grant, const uint8_t *results)
{
    struct queue_lease *lease = queue_lease_find(&play->queue, grant->delivery, grant->lease);
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1u << 20);
    for (uint32_t i = 0; i < lease->count; i++)
        outcome_recipient_put(&packed, &(struct outcome_recipient){
            .index = lease->leased[i].index, .result = results[lease->leased[i].index], .code = 400,
            .text = SPAN("words") });
    struct lease_outcome outcome = { .lease = grant->lease, .recipient_count = lease->count,
                                     .recipients = buf_span(&packed) };
    assert_int_equal(queue_outcome(&play->queue, play->now, grant->delivery, &outcome), STATUS_OK);
}

/* A life with everything in it; returns the ids. */
static void live(struct disk *disk, struct play *play, uint64_t ids[3])
{
    static const char *const first[] = { "0a@x.example", "0b@x.example", "2c@x.example", "0d@x.example", "0e@y.example",
                                         NULL };
    static const char *const second[] = { "0a@x.example", NULL };
    static const uint8_t mixed[] = { OUTCOME_DELIVERED, OUTCOME_FAILED, OUTCOME_RELAYED, OUTCOME_DEFERRED,
                                     OUTCOME_DEFERRED };
    play_delivery(play, 0, 100);
    ids[0] = disk_arrive(disk, play, "anna", "anna@example.org", first);
    ids[1] = disk_arrive(disk, play, "bob", "bob@example.org", second);
    play_resolve_all(play, NULL);
    outcomes(play, &play->grants[0], mixed);
    outcomes(play, &play->grants[1], mixed);
    reports_done(play);
    play_deliver(play, &play->grants[2]);
    reports_done(play);
    play_until(play, play->now + 5 * TIME_MINUTE_MS);
    for (size_t i = 3; i < play->grant_count; i++)
        outcomes(play, &play->grants[i], mixed);
    ids[2] = disk_arrive(disk, play, "bob", "bob@example.org", second);
}

static void test_every_prefix_only_moves_back(void **state)
{
    struct disk disk = { 0 };
    struct play *play = play_new();
    uint64_t ids[3];
    live(&disk, play, ids);
    uint64_t before[3] = { 31, 1, 1 };
    for (size_t prefix = 0; prefix <= play->record_count; prefix++) {
        struct play *again = restart(&disk, play, 0, prefix, NULL);
        for (size_t i = 0; i < 3; i++) {
            uint64_t bits = living(again, ids[i]);
            assert_int_equal(bits & ~before[i], 0);              /* nobody comes back to life as the journal grows */
            assert_int_equal(living(play, ids[i]) & ~bits, 0);   /* and nobody who lives was forgotten */
            before[i] = bits;
        }
        for (size_t i = 0; i < again->report_count; i++) /* owed from before */
            queue_reported(&again->queue, again->now, again->reports[i], STATUS_OK);
        again->report_count = 0;
        play_free(again);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(before[i], living(play, ids[i]));
    play_free(play);
}

static void test_state_comes_back(void **state)
{
    struct disk disk = { 0 };
    struct play *play = play_new();
    uint64_t ids[3];
    live(&disk, play, ids);
    struct play *again = restart(&disk, play, 0, play->record_count, NULL);
    struct queue_share *share = queue_message_find(&again->queue, ids[0])->shares;
    struct queue_share *was = queue_message_find(&play->queue, ids[0])->shares;
    assert_int_equal(share->tries, was->tries);
    assert_int_equal(share->tries, 2);
    assert_int_equal(share->retry_ms, was->retry_ms);
    assert_true(span_eq(queue_reason_words(share->last).text, SPAN("words")));
    assert_int_equal(again->queue.recipients, play->queue.recipients);
    assert_int_equal(again->report_count, 0);
    play_free(again);
    play_free(play);
}

static void test_an_owed_report_is_made_again(void **state)
{
    struct disk disk = { 0 };
    struct play *play = play_new();
    static const char *const one[] = { "2c@x.example", NULL };
    play_delivery(play, 0, 100);
    uint64_t id = disk_arrive(&disk, play, "anna", "anna@example.org", one);
    play_resolve_all(play, NULL);
    play_outcome(play, &play->grants[0], OUTCOME_RELAYED, TROUBLE_NONE, 250, "ok");
    assert_int_equal(play->report_count, 1);
    struct play *again = restart(&disk, play, 0, play->record_count, NULL);
    assert_int_equal(again->report_count, 1);
    assert_int_equal(again->reports[0]->kind, QUEUE_REPORT_RELAYED);
    assert_int_equal(again->queue.by_place[QUEUE_REPORTING], 1); /* and never delivered again */
    reports_done(again);
    assert_int_equal(living(again, id), 0);
    play_free(again);
    play->report_count = 0;
    play_free(play);
}

static void entry(struct play *play, uint64_t id, enum queue_entry_kind kind, uint32_t index, const char *text)
{
    struct queue_entry entry = { .kind = kind, .who = SPAN("root"), .why = span_str(text), .route = span_str(text),
                                 .count = 1, .indexes = &index };
    queue_journal(&play->queue, id, &entry);
    assert_int_equal(queue_entry_apply(&play->queue, queue_message_find(&play->queue, id), &entry), 0);
}

static void test_what_an_operator_did(void **state)
{
    struct disk disk = { 0 };
    struct play *play = play_new();
    static const char *const four[] = { "0a@x.example", "0b@x.example", "0c@x.example", "0d@x.example", NULL };
    uint64_t id = disk_arrive(&disk, play, "anna", "anna@example.org", four);
    entry(play, id, QUEUE_ENTRY_HELD, 0, "looks odd");
    entry(play, id, QUEUE_ENTRY_HELD, 1, "looks odd");
    entry(play, id, QUEUE_ENTRY_RELEASED, 1, "");
    entry(play, id, QUEUE_ENTRY_DELETED, 2, "spam");
    entry(play, id, QUEUE_ENTRY_REROUTED, 3, "smtp://127.0.0.1:26");
    assert_int_equal(play->queue.by_place[QUEUE_HELD], 1);
    assert_int_equal(living(play, id), 11);
    struct play *again = restart(&disk, play, 0, play->record_count, NULL);
    assert_int_equal(living(again, id), 11);
    assert_int_equal(again->queue.by_place[QUEUE_HELD], 1);
    for (struct queue_share *share = queue_message_find(&again->queue, id)->shares; share; share = share->next) {
        if (share->place == QUEUE_HELD) {
            assert_int_equal(share->one.index, 0);
            assert_true(span_eq(queue_reason_words(share->held).host, SPAN("root")));
            assert_true(span_eq(queue_reason_words(share->held).text, SPAN("looks odd")));
        }
    }
    again->resolve_count = 0;
    play_delivery(again, 0, 10);
    assert_int_equal(again->resolve_count, 2);
    assert_true(strcmp(again->resolves[0].route, "smtp://127.0.0.1:26") == 0 ||
                strcmp(again->resolves[1].route, "smtp://127.0.0.1:26") == 0);
    play_free(again);
    play_free(play);
}

/* A checkpoint taken anywhere gives the same as the whole journal. */
static void checkpoint(const struct play *play, struct play *into)
{
    struct queue_log_segment *segment = queue_segment_find(&play->queue, 1);
    struct queue_entry place = { .kind = QUEUE_ENTRY_SEGMENT, .segment = 1, .epoch = 1, .known = segment->known };
    AUTO(buf_done) struct buf content = BUF_EMPTY(1u << 20);
    queue_entry_put(&content, &place);
    play_on_journal(into, QUEUE_ENTRY_SEGMENT, 1, buf_span(&content));
    for (LIST_EACH(link, &segment->messages)) {
        struct queue_message *message = CONTAINER(link, struct queue_message, in_segment);
        buf_clear(&content);
        assert_int_equal(queue_checkpoint_message_put(&content, message), STATUS_OK);
        play_on_journal(into, QUEUE_ENTRY_MESSAGE, message->id, buf_span(&content));
    }
}

static void test_checkpoints_stand_for_the_journal(void **state)
{
    struct disk disk = { 0 };
    struct play *play = play_new(), *kept = play_new();
    uint64_t ids[3];
    live(&disk, play, ids);
    queue_segment_find(&play->queue, 1)->known = play->offset - 64;
    checkpoint(play, kept);
    size_t at = play->record_count;
    play_until(play, play->now + TIME_HOUR_MS);
    static const uint8_t mixed[] = { OUTCOME_DELIVERED, 0, 0, OUTCOME_DELIVERED, OUTCOME_DEFERRED };
    play_resolve_all(play, NULL);
    for (size_t i = 0; i < play->grant_count; i++)
        if (queue_lease_find(&play->queue, 0, play->grants[i].lease))
            outcomes(play, &play->grants[i], mixed);
    static const char *const late[] = { "0z@x.example", NULL };
    uint64_t last = disk_arrive(&disk, play, "anna", "anna@example.org", late);
    /* The journal behind the checkpoint, and (as it is written while the journal goes on) some of it twice. */
    for (size_t from = at > 2 ? at - 2 : 0; from <= at; from++) {
        struct play *again = restart(&disk, play, from, play->record_count, kept);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(living(again, ids[i]), living(play, ids[i]));
        assert_int_equal(living(again, last), 1);
        assert_int_equal(again->queue.recipients, play->queue.recipients);
        play_free(again);
    }
    play_free(kept);
    play_free(play);
}

static void test_a_moved_record_is_found_where_it_is(void **state)
{
    struct disk disk = { 0 };
    struct play *play = play_new();
    static const char *const one[] = { "0a@x.example", NULL };
    uint64_t id = disk_arrive(&disk, play, "anna", "anna@example.org", one);
    assert_non_null(queue_segment_add(&play->queue, 2, 1, 1u << 20, 0));
    struct queue_entry moved = { .kind = QUEUE_ENTRY_MOVED, .segment = 2, .offset = 8192, .length = 64 };
    queue_journal(&play->queue, id, &moved);

    struct play *again = play_new();
    struct queue_recovery recovery;
    assert_non_null(queue_segment_add(&again->queue, 2, 1, 1u << 20, 0));
    assert_int_equal(queue_recover_begin(&recovery, &again->queue), STATUS_OK);
    assert_int_equal(queue_recover_entry(&recovery, play->records[0].kind, id,
                                         span_of(play->bytes.p, play->records[0].n)), STATUS_OK);
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1000);
    struct queue_arrival arrival = { .id = id, .segment = 1, .offset = 4096, .length = 64, .sender = SPAN("a@b") };
    pack(one, &packed, &arrival.recipient_count);
    arrival.recipients = buf_span(&packed);
    assert_int_equal(queue_recover_found(&recovery, &arrival), STATUS_OK);
    arrival.segment = 2; /* the copy */
    arrival.offset = 8192;
    assert_int_equal(queue_recover_found(&recovery, &arrival), STATUS_OK);
    queue_recover_end(&recovery, again->now);
    struct queue_message *message = queue_message_find(&again->queue, id);
    assert_int_equal(message->segment->number, 2);
    assert_int_equal(message->offset, 8192);
    assert_int_equal(again->queue.recipients, 1);
    play_free(again);
    play_free(play);
}

/* With a clock that went back, all writers may give ids of one millisecond, each counting for itself. */
static void test_ids_of_each_writer(void **state)
{
    static const char *const one[] = { "0a@x.example", NULL };
    struct play *play = play_new();
    struct queue_recovery recovery;
    assert_int_equal(queue_recover_begin(&recovery, &play->queue), STATUS_OK);
    struct id_source own = { .writer = 0 }, other = { .writer = 2 };
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1000);
    struct queue_arrival arrival = { .segment = 1, .length = 64, .sender = SPAN("a@b") };
    pack(one, &packed, &arrival.recipient_count);
    arrival.recipients = buf_span(&packed);
    for (uint32_t i = 0; i < 5; i++) {
        arrival.id = id_next(i < 3 ? &own : &other, 1800000000000);
        arrival.offset = 4096 * (i + 1);
        assert_int_equal(queue_recover_found(&recovery, &arrival), STATUS_OK);
    }
    queue_recover_end(&recovery, play->now);
    assert_true(recovery.last_ids[0] == own.last && recovery.last_ids[2] == other.last && recovery.last_ids[1] == 0);
    play_free(play);
}

/* Also when no message is left that has them. */
static void test_a_checkpoint_knows_the_ids_that_are_over(void **state)
{
    struct play *play = play_new();
    struct queue_recovery recovery;
    struct id_source own = { .writer = 0 }, other = { .writer = 2 };
    uint64_t last = id_next(&own, 1800000000000), others = id_next(&other, 1700000000000);
    assert_int_equal(queue_recover_begin(&recovery, &play->queue), STATUS_OK);
    assert_int_equal(queue_recover_entry(&recovery, QUEUE_ENTRY_WRITER, last, SPAN_NONE), STATUS_OK);
    assert_int_equal(queue_recover_entry(&recovery, QUEUE_ENTRY_WRITER, others, SPAN_NONE), STATUS_OK);
    assert_int_equal(queue_recover_entry(&recovery, QUEUE_ENTRY_WRITER, last + 1, SPAN("x")), STATUS_DAMAGED);
    queue_recover_end(&recovery, play->now);
    assert_true(recovery.last_ids[0] == last && recovery.last_ids[2] == others && recovery.last_ids[1] == 0);
    assert_int_equal(play->queue.messages.n, 0);
    play_free(play);
}

static void test_garbage_in_the_journal(void **state)
{
    struct play *play = play_new();
    struct queue_recovery recovery;
    assert_int_equal(queue_recover_begin(&recovery, &play->queue), STATUS_OK);
    char octets[64];
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        for (size_t at = 0; at < sizeof octets; at++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            octets[at] = (char)(seed >> 59 ? 0 : seed >> 33);
        }
        enum status status = queue_recover_entry(&recovery, (uint8_t)(16 + i % 13), 1 + (uint64_t)i % 5,
                                                 span_of(octets, (size_t)(seed >> 40) % sizeof octets));
        assert_true(status == STATUS_OK || status == STATUS_DAMAGED);
    }
    queue_recover_end(&recovery, play->now);
    assert_int_equal(play->queue.recipients, 0);
    play_free(play);
}

/* Its time ran out while the house was shut: one more attempt, then its sender is told. */
static void test_late_mail_has_a_last_attempt(void **state)
{
    static const char *const one[] = { "0a@x.example", NULL };
    struct disk disk = { 0 };
    struct play *play = play_new();
    play_delivery(play, 0, 100);
    uint64_t id = disk_arrive(&disk, play, "anna", "anna@example.org", one);
    play_resolve_all(play, NULL);
    play_outcome(play, &play->grants[0], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    play->now += 6 * TIME_DAY_MS;
    struct play *after = restart(&disk, play, 0, play->record_count, NULL);
    play_until(after, after->now + 1);
    assert_int_equal(after->report_count, 0);
    play_delivery(after, 0, 100);
    play_resolve_all(after, NULL);
    assert_int_equal(after->grant_count, 1);
    assert_int_equal(after->grants[0].attempt, 2);
    play_outcome(after, &after->grants[0], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    play_until(after, after->now + 1);
    assert_int_equal(after->report_count, 1);
    assert_true(after->reports[0]->expired);
    reports_done(after);
    assert_null(queue_message_find(&after->queue, id));
    play_free(after);
    play_free(play);
}

/* What waits was told a time by a clock that has been set back since. */
static void test_a_clock_set_back(void **state)
{
    static const char *const one[] = { "0a@x.example", NULL };
    struct disk disk = { 0 };
    struct play *play = play_new();
    play->now += 30 * TIME_DAY_MS;
    play_delivery(play, 0, 100);
    disk_arrive(&disk, play, "anna", "anna@example.org", one);
    play_resolve_all(play, NULL);
    play_outcome(play, &play->grants[0], OUTCOME_DEFERRED, TROUBLE_NONE, 450, "later");
    play->now -= 30 * TIME_DAY_MS;
    struct play *after = restart(&disk, play, 0, play->record_count, NULL);
    play_delivery(after, 0, 100);
    play_until(after, after->now + after->queue.settings->longest_retry_ms * 2);
    play_resolve_all(after, NULL);
    assert_int_equal(after->grant_count, 1);
    play_free(after);
    play_free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_prefix_only_moves_back),
        cmocka_unit_test(test_state_comes_back),
        cmocka_unit_test(test_an_owed_report_is_made_again),
        cmocka_unit_test(test_what_an_operator_did),
        cmocka_unit_test(test_checkpoints_stand_for_the_journal),
        cmocka_unit_test(test_a_moved_record_is_found_where_it_is),
        cmocka_unit_test(test_ids_of_each_writer), cmocka_unit_test(test_a_checkpoint_knows_the_ids_that_are_over), cmocka_unit_test(test_garbage_in_the_journal),
        cmocka_unit_test(test_late_mail_has_a_last_attempt), cmocka_unit_test(test_a_clock_set_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
