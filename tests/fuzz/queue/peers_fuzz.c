/* smtpd and delivery as enemies: any announcement, credit, answer and outcome, in any order, as time goes by. */
#include "queue/lease.h"
#include "queue/queue.h"
#include "queue/settle.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPORTS 512
static struct queue_report *reports[REPORTS];
static size_t report_count;
static uint64_t last_lease, last_token;

static void act_resolve(void *arg, unsigned delivery, const struct lease_resolve *resolve) { last_token = resolve->token; }
static void act_grant(void *arg, unsigned delivery, const struct lease_grant *grant, struct queue_log_segment *segment)
{
    last_lease = grant->lease;
}
static void act_journal(void *arg, uint8_t kind, uint64_t id, struct span content) {}
static void act_report(void *arg, struct queue_report *report)
{
    if (report_count == REPORTS)
        abort();
    reports[report_count++] = report;
}
static void act_segment_empty(void *arg, struct queue_log_segment *segment) {}
static void act_body_unused(void *arg, uint64_t body) {}

static void reports_settle(struct queue *queue, int64_t now, enum status status)
{
    size_t n = report_count;
    struct queue_report *all[REPORTS];
    memcpy(all, reports, n * sizeof *all);
    report_count = 0;
    for (size_t i = 0; i < n; i++)
        queue_reported(queue, now, all[i], status);
}

/* Now and then the peer says something true. */
static void outcome(struct queue *queue, int64_t now, unsigned delivery, struct span body, bool honest)
{
    struct lease_outcome outcome;
    struct buf packed = BUF_EMPTY(1u << 16);
    if (honest) {
        struct queue_lease *lease = queue_lease_find(queue, delivery, last_lease);
        if (!lease)
            return;
        outcome = (struct lease_outcome){ .lease = last_lease, .trouble = body.n ? (uint8_t)body.p[0] % 4 : 0,
                                          .recipient_count = lease->count };
        for (uint32_t i = 0; i < lease->count; i++)
            outcome_recipient_put(&packed, &(struct outcome_recipient){
                .index = lease->leased[i].index, .result = i + 1 < body.n ? (uint8_t)body.p[i + 1] % 5 : 0 });
        outcome.recipients = buf_span(&packed);
    } else if (!lease_outcome_get(body, &outcome)) {
        return;
    }
    if (queue_outcome(queue, now, delivery, &outcome) == STATUS_OK && !honest)
        last_lease = 0;
    buf_done(&packed);
}

static void resolved(struct queue *queue, int64_t now, unsigned delivery, struct span body, bool honest)
{
    struct lease_resolved answer;
    if (honest)
        answer = (struct lease_resolved){ .token = last_token, .result = body.n ? (uint8_t)body.p[0] % 4 : 0,
                                          .site = span_head(body, 3), .ttl_s = 5 };
    else if (!lease_resolved_get(body, &answer))
        return;
    if (queue_resolved(queue, now, delivery, &answer) == STATUS_OK)
        last_token = 0;
}

static void enqueue(struct queue *queue, int64_t now, struct span body, uint64_t id)
{
    struct writer_enqueue told;
    if (!writer_enqueue_get(body, &told)) { /* the octets as recipients */
        told = (struct writer_enqueue){ .id = id, .segment = 1, .offset = 4096, .length = 64, .sender = SPAN("s@x"),
                                        .recipient_count = body.n ? (uint8_t)body.p[0] : 0,
                                        .recipients = span_from(body, 1) };
    }
    struct queue_arrival arrival = { .id = told.id, .body = told.body, .segment = told.segment, .offset = told.offset,
                                     .length = told.length, .account = told.account, .sender = told.sender,
                                     .recipient_count = told.recipient_count, .recipients = told.recipients };
    if (queue_arrived(queue, now, &arrival) == STATUS_OK)
        return;
}

static void held(struct queue *queue, int64_t now, unsigned delivery, struct span body, bool honest)
{
    static struct lease_held told;
    if (!lease_held_get(body, &told)) {
        if (!honest || !queue->messages.n)
            return;
        told = (struct lease_held){ .lease = LEASE_HELD_BIT | (body.n ? (uint8_t)body.p[0] : 0), .attempt = 1 + (uint32_t)body.n,
                                    .id = CONTAINER(map_first(&queue->messages), struct queue_message, node)->id,
                                    .site = span_head(body, 2), .recipient_count = 3, .recipients = { 1, 0, 1 } };
    }
    if (queue_held(queue, now, delivery, &told) == STATUS_OK)
        last_lease = told.lease;
}

static void returned(struct queue *queue, int64_t now, unsigned delivery, struct span body, bool honest)
{
    struct lease_returned told = { last_lease };
    if ((honest || lease_returned_get(body, &told)) && queue_returned(queue, now, delivery, told.lease) == STATUS_OK)
        last_lease = 0;
}

static void step(struct queue *queue, int64_t *now, uint8_t what, struct span body)
{
    unsigned delivery = what >> 6 & 1;
    bool honest = what & 32;
    *now += what & 16 ? 1500 : 1;
    switch (what & 15) {
    case 0: enqueue(queue, *now, body, (uint64_t)*now << 23); break;
    case 1: queue_delivery_here(queue, *now, delivery); break;
    case 2: queue_delivery_gone(queue, *now, delivery); break;
    case 3:
        if (queue_credit(queue, *now, delivery, body.n ? (uint8_t)body.p[0] : 1) != STATUS_OK)
            *now += 1;
        break;
    case 4: outcome(queue, *now, delivery, body, honest); break;
    case 5: resolved(queue, *now, delivery, body, honest); break;
    case 6: reports_settle(queue, *now, honest ? STATUS_OK : what & 64 ? STATUS_DAMAGED : STATUS_IO); break;
    case 8: held(queue, *now, delivery, body, honest); break;
    case 9: returned(queue, *now, delivery, body, honest); break;
    case 10: queue_delivery_leaving(queue, delivery); break;
    case 11: queue_gather(queue); break;
    case 12: queue_gathered(queue, *now); break;
    default: queue_tick(queue, *now); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct queue_acts acts = { act_resolve, act_grant, act_journal, act_report, act_segment_empty,
                                            act_body_unused };
    static const struct queue_settings settings = {
        .first_retry_ms = 1000, .longest_retry_ms = 4000, .retry_growth = 2, .jitter = 20, .expire_ms = 20000,
        .delay_notice_ms = 3000, .recipients_per_transaction = 3, .connections_per_site = 3, .messages_ahead = 2,
        .site_pause_ms = 1000, .longest_site_pause_ms = 4000, .domains_kept = 2,
    };
    struct queue queue;
    struct log log;
    struct span left = span_of(data, size);
    int64_t now = INT64_C(1800000000000);
    report_count = 0;
    last_lease = last_token = 0;
    log_init(&log, -1, "queue", LOG_ERROR);
    queue_init(&queue, &settings, &acts, NULL, &log, 1, now);
    queue.hostname = SPAN("h.example");
    if (!queue_segment_add(&queue, 1, 1, 1u << 20, 1))
        abort();
    for (int steps = 0; left.n >= 2 && steps < 300; steps++) {
        size_t n = MIN((size_t)(uint8_t)left.p[1], left.n - 2);
        step(&queue, &now, (uint8_t)left.p[0], span_of(left.p + 2, n));
        left = span_from(left, 2 + n);
        uint64_t sum = 0;
        for (unsigned place = 0; place < QUEUE_PLACE_COUNT; place++)
            sum += queue.by_place[place];
        if (sum != queue.recipients || queue.credit > 2 * QUEUE_CREDIT_MAX)
            abort();
        if (report_count > REPORTS - 64)
            reports_settle(&queue, now, STATUS_OK);
    }
    for (size_t i = 0; i < report_count; i++)
        if (reports[i]->kind == QUEUE_REPORT_DELAYED)
            queue_report_free(&queue, reports[i]);
    queue_done(&queue);
    log_done(&log);
    return 0;
}
