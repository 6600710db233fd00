/* tests/unit/queue/play.h -- a world around the queue's core: its clock, its delivery processes, its journal. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/time.h"
#include "queue/entry.h"
#include "queue/lease.h"
#include "queue/queue.h"
#include "queue/settle.h"

#define START_MS INT64_C(1800000000000)

struct play_grant {
    uint64_t lease, id;
    unsigned delivery;
    uint32_t count, first, attempt, connections;
    uint32_t indexes[8];
    char site[64], domain[64], route[64];
};
struct play_resolve {
    unsigned delivery;
    uint64_t token;
    char domain[64], route[64];
};
struct play_record {
    uint8_t kind;
    uint64_t id;
    size_t at, n; /* in `bytes` */
};

struct play {
    struct queue queue;
    struct queue_settings settings;
    struct log log;
    int64_t now;
    uint64_t ids;
    struct play_grant *grants;
    size_t grant_count, grant_room;
    struct play_resolve resolves[4096];
    size_t resolve_count;
    struct play_record *records;
    size_t record_count, record_room;
    struct buf bytes;
    struct queue_report *reports[64];
    size_t report_count;
    unsigned empties, bodies;
    uint32_t offset;
};

static void play_on_resolve(void *arg, unsigned delivery, const struct lease_resolve *resolve)
{
    struct play *play = arg;
    struct play_resolve *at = &play->resolves[play->resolve_count++ % ARRAY_LEN(play->resolves)];
    at->delivery = delivery;
    at->token = resolve->token;
    snprintf(at->domain, sizeof at->domain, "%.*s", SPAN_ARGS(resolve->domain));
    snprintf(at->route, sizeof at->route, "%.*s", SPAN_ARGS(resolve->route));
}

static void play_on_grant(void *arg, unsigned delivery, const struct lease_grant *grant, struct queue_log_segment *segment)
{
    struct play *play = arg;
    assert_int_equal(segment->number, grant->segment);
    if (play->grant_count == play->grant_room) {
        play->grant_room = play->grant_room ? play->grant_room * 2 : 64;
        play->grants = realloc(play->grants, play->grant_room * sizeof *play->grants);
    }
    struct play_grant *at = &play->grants[play->grant_count++];
    *at = (struct play_grant){ .lease = grant->lease, .id = grant->id, .delivery = delivery,
                               .count = grant->recipient_count, .first = grant->recipients[0],
                               .attempt = grant->attempt, .connections = grant->connections };
    for (uint32_t i = 0; i < MIN(grant->recipient_count, 8); i++)
        at->indexes[i] = grant->recipients[i];
    snprintf(at->site, sizeof at->site, "%.*s", SPAN_ARGS(grant->site));
    snprintf(at->domain, sizeof at->domain, "%.*s", SPAN_ARGS(grant->domain));
    snprintf(at->route, sizeof at->route, "%.*s", SPAN_ARGS(grant->route));
}

static void play_on_journal(void *arg, uint8_t kind, uint64_t id, struct span content)
{
    struct play *play = arg;
    if (play->record_count == play->record_room) {
        play->record_room = play->record_room ? play->record_room * 2 : 64;
        play->records = realloc(play->records, play->record_room * sizeof *play->records);
    }
    play->records[play->record_count++] = (struct play_record){ kind, id, play->bytes.n, content.n };
    buf_add(&play->bytes, content);
}

static void play_on_report(void *arg, struct queue_report *report)
{
    struct play *play = arg;
    assert_true(play->report_count < ARRAY_LEN(play->reports));
    play->reports[play->report_count++] = report;
}

static void play_on_empty(void *arg, struct queue_log_segment *segment)
{
    ((struct play *)arg)->empties++;
}

static void play_on_body(void *arg, uint64_t body)
{
    ((struct play *)arg)->bodies++;
}

static const struct queue_acts play_acts = { play_on_resolve, play_on_grant, play_on_journal, play_on_report,
                                             play_on_empty, play_on_body };

static UNUSED struct play *play_new(void)
{
    struct play *play = calloc(1, sizeof *play);
    play->settings = (struct queue_settings){
        .first_retry_ms = 5 * TIME_MINUTE_MS, .longest_retry_ms = 4 * TIME_HOUR_MS, .retry_growth = 2, .jitter = 0,
        .expire_ms = 5 * TIME_DAY_MS, .delay_notice_ms = 4 * TIME_HOUR_MS, .recipients_per_transaction = 100,
        .connections_per_site = 20, .first_connections = 10000, .messages_ahead = 1, .site_pause_ms = TIME_MINUTE_MS,
        .longest_site_pause_ms = 15 * TIME_MINUTE_MS, .domains_kept = 1000, .compact = 10,
    };
    play->now = START_MS;
    play->bytes = BUF_EMPTY((size_t)1 << 30);
    log_init(&play->log, -1, "queue", LOG_ERROR);
    queue_init(&play->queue, &play->settings, &play_acts, play, &play->log, 1, play->now);
    play->queue.hostname = SPAN("mail.example.org");
    assert_non_null(queue_segment_add(&play->queue, 1, 1, 1u << 30, 1));
    play->offset = 4096;
    return play;
}

static UNUSED void play_free(struct play *play)
{
    for (size_t i = 0; i < play->report_count; i++)
        if (play->reports[i] && play->reports[i]->kind == QUEUE_REPORT_DELAYED)
            queue_report_free(&play->queue, play->reports[i]);
    queue_done(&play->queue);
    log_done(&play->log);
    buf_done(&play->bytes);
    free(play->grants);
    free(play->records);
    free(play);
}

/* `recipients`: addresses behind each other, each with its NOTIFY as a first character '0'..'9', ended by NULL. */
static UNUSED enum status play_arrive_as(struct play *play, uint64_t id, const char *account, const char *sender,
                                         const char *const *recipients)
{
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1u << 24);
    uint32_t n = 0;
    for (; recipients[n]; n++)
        writer_recipient_put(&packed, &(struct writer_recipient){ (uint8_t)(recipients[n][0] - '0'),
                                                                  span_str(recipients[n] + 1) });
    struct queue_arrival arrival = { .id = id, .segment = 1, .offset = play->offset, .length = 64,
                                     .account = span_str(account), .sender = span_str(sender), .recipient_count = n,
                                     .recipients = buf_span(&packed) };
    play->offset += 64;
    return queue_arrived(&play->queue, play->now, &arrival);
}

static UNUSED uint64_t play_id(struct play *play)
{
    return ((uint64_t)(play->now - INT64_C(1704067200000)) << 23) + ++play->ids;
}

static UNUSED uint64_t play_arrive(struct play *play, const char *account, const char *recipient)
{
    uint64_t id = play_id(play);
    assert_int_equal(play_arrive_as(play, id, account, "anna@example.org", (const char *const[]){ recipient, NULL }),
                     STATUS_OK);
    return id;
}

static UNUSED void play_resolve_all(struct play *play, const char *site)
{
    for (size_t i = 0; i < play->resolve_count; i++) {
        struct play_resolve *at = &play->resolves[i];
        struct lease_resolved answer = { .token = at->token, .result = RESOLVE_SITE,
                                         .site = span_str(site ? site : at->domain), .ttl_s = 3600 };
        assert_int_equal(queue_resolved(&play->queue, play->now, at->delivery, &answer), STATUS_OK);
    }
    play->resolve_count = 0;
}

/* The same result for every recipient of the lease. */
static UNUSED void play_outcome(struct play *play, const struct play_grant *grant, uint8_t result, uint8_t trouble,
                                uint16_t code, const char *text)
{
    struct queue_lease *lease = queue_lease_find(&play->queue, grant->delivery, grant->lease);
    assert_non_null(lease);
    AUTO(buf_done) struct buf packed = BUF_EMPTY(1u << 20);
    for (uint32_t i = 0; i < lease->count; i++)
        outcome_recipient_put(&packed, &(struct outcome_recipient){ .index = lease->leased[i].index, .result = result,
                                                                    .code = code, .text = span_str(text) });
    struct lease_outcome outcome = { .lease = grant->lease, .trouble = trouble, .host = SPAN("mx.example.net"),
                                     .address = SPAN("192.0.2.1:25"), .recipient_count = lease->count,
                                     .recipients = buf_span(&packed) };
    assert_int_equal(queue_outcome(&play->queue, play->now, grant->delivery, &outcome), STATUS_OK);
}

static UNUSED void play_deliver(struct play *play, const struct play_grant *grant)
{
    struct play_grant copy = *grant; /* the outcome may bring more */
    play_outcome(play, &copy, OUTCOME_DELIVERED, TROUBLE_NONE, 250, "ok");
}

static UNUSED void play_until(struct play *play, int64_t now)
{
    for (;;) {
        int64_t next = queue_next_ms(&play->queue);
        if (next > now)
            break;
        play->now = MAX(play->now, next);
        queue_tick(&play->queue, play->now);
    }
    play->now = now;
    queue_tick(&play->queue, play->now);
}

static UNUSED void play_delivery(struct play *play, unsigned number, uint32_t credit)
{
    queue_delivery_here(&play->queue, play->now, number);
    assert_int_equal(queue_credit(&play->queue, play->now, number, credit), STATUS_OK);
}
