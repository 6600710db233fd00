#include "base/time.h"
#include "queue/queue.h"
#include "queue/settle.h"
#include "room.h"

enum { MESSAGES = 200, DOMAINS = 20, CREDIT = 2 * MESSAGES };

static const struct queue_settings settings = {
    .first_retry_ms = 5 * TIME_MINUTE_MS, .longest_retry_ms = 4 * TIME_HOUR_MS, .retry_growth = 2, .expire_ms = 5 * TIME_DAY_MS,
    .delay_notice_ms = 4 * TIME_HOUR_MS, .recipients_per_transaction = 100, .connections_per_site = 1000, .messages_ahead = 4,
    .site_pause_ms = TIME_MINUTE_MS, .longest_site_pause_ms = 15 * TIME_MINUTE_MS, .domains_kept = 1000, .compact = 10,
};

static struct queue queue;
static struct log events;
static int64_t now = INT64_C(1800000000000);
static uint64_t ids;
static uint32_t offset = 4096;
static uint64_t tokens[DOMAINS];
static char domains[DOMAINS][32];
static size_t token_count;
static uint64_t granted[CREDIT];
static size_t granted_count;
static size_t journaled;

static void on_resolve(void *arg, unsigned delivery, const struct lease_resolve *resolve)
{
    room_must(token_count < DOMAINS);
    snprintf(domains[token_count], sizeof domains[0], "%.*s", SPAN_ARGS(resolve->domain));
    tokens[token_count++] = resolve->token;
}

static void on_grant(void *arg, unsigned delivery, const struct lease_grant *grant, struct queue_log_segment *segment)
{
    room_must(granted_count < CREDIT);
    granted[granted_count++] = grant->lease;
}

static void on_journal(void *arg, uint8_t kind, uint64_t id, struct span content) { journaled++; }
static void on_report(void *arg, struct queue_report *report) { abort(); }
static void on_empty(void *arg, struct queue_log_segment *segment) {}
static void on_body(void *arg, uint64_t body) {}
static const struct queue_acts acts = { on_resolve, on_grant, on_journal, on_report, on_empty, on_body };

static void begin(void)
{
    log_init(&events, -1, "queue", LOG_ERROR);
    queue_init(&queue, &settings, &acts, NULL, &events, 1, now);
    queue.hostname = SPAN("mail.example.org");
    room_must(queue_segment_add(&queue, 1, 1, 1u << 30, 1) != NULL);
    queue_delivery_here(&queue, now, 0);
    room_must(queue_credit(&queue, now, 0, CREDIT) == STATUS_OK);
}

static void arrive(unsigned i)
{
    static struct buf packed = { NULL, 0, 0, 1024, false };
    char recipient[64];
    snprintf(recipient, sizeof recipient, "bob%u@example%u.com", i, i % DOMAINS);
    buf_clear(&packed);
    writer_recipient_put(&packed, &(struct writer_recipient){ 0, span_str(recipient) });
    struct queue_arrival arrival = {
        .id = ((uint64_t)(now - INT64_C(1704067200000)) << 23) + ++ids, .segment = 1, .offset = offset, .length = 4500,
        .account = SPAN("anna@example.org"), .sender = SPAN("anna@example.org"), .recipient_count = 1,
        .recipients = buf_span(&packed),
    };
    offset += 8;
    room_must(queue_arrived(&queue, now, &arrival) == STATUS_OK);
}

static void resolve_all(void)
{
    for (size_t i = 0; i < token_count; i++) {
        struct lease_resolved answer = { .token = tokens[i], .result = RESOLVE_SITE, .site = span_str(domains[i]),
                                         .ttl_s = 3600 };
        room_must(queue_resolved(&queue, now, 0, &answer) == STATUS_OK);
    }
    token_count = 0;
}

static void settle(uint64_t lease, enum outcome_result result)
{
    static struct buf packed = { NULL, 0, 0, 1024, false };
    buf_clear(&packed);
    outcome_recipient_put(&packed, &(struct outcome_recipient){ .result = (uint8_t)result, .code = result ? 450 : 250,
                                                                .enhanced = { result ? 4 : 2, 0, 0 }, .text = SPAN("so be it") });
    struct lease_outcome outcome = { .lease = lease, .host = SPAN("mx.example.com"), .address = SPAN("192.0.2.1:25"),
                                     .recipient_count = 1, .recipients = buf_span(&packed) };
    room_must(queue_outcome(&queue, now, 0, &outcome) == STATUS_OK);
    room_must(queue_credit(&queue, now, 0, 1) == STATUS_OK);
}

static void settle_all(enum outcome_result result)
{
    size_t count = granted_count;
    room_must(count == MESSAGES);
    granted_count = 0;
    for (size_t i = 0; i < count; i++)
        settle(granted[i], result);
}

/* Two hundred messages to twenty domains: accepted, given out, delivered. */
static void deliver(void)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        arrive(i);
    resolve_all();
    settle_all(OUTCOME_DELIVERED);
    room_must(queue.recipients == 0);
}

/* The same, but the first attempt is deferred and they come again when their time has come. */
static void retry(void)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        arrive(i);
    resolve_all();
    settle_all(OUTCOME_DEFERRED);
    now += TIME_HOUR_MS;
    queue_tick(&queue, now);
    resolve_all();
    settle_all(OUTCOME_DELIVERED);
    room_must(queue.recipients == 0);
}

static const struct room_work works[] = {
    { "deliver-200", begin, deliver },
    { "retry-200", begin, retry },
};
ROOM_MAIN(works)
