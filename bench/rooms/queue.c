#include "base/time.h"
#include "queue/queue.h"
#include "queue/settle.h"
#include "room.h"

enum { MESSAGES = 200, DOMAINS = 20, CREDIT = 2 * MESSAGES };

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

/* The defaults, but nothing by chance. */
static const struct queue_settings *settings(void)
{
    struct conf_faults faults;
    conf_faults_init(&faults, "goniec.conf");
    struct conf *conf = conf_parse(&queue_settings_section, SPAN("jitter: 0\n"), 0, &faults);
    room_must(conf != NULL);
    return conf_values(conf);
}

static void begin(void)
{
    log_init(&events, -1, "queue", LOG_ERROR);
    queue_init(&queue, settings(), &acts, NULL, &events, 1, now);
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
    uint64_t asked[DOMAINS];
    char names[DOMAINS][32];
    size_t count = token_count;
    memcpy(asked, tokens, sizeof asked);
    memcpy(names, domains, sizeof names);
    token_count = 0; /* an answer may bring more questions */
    for (size_t i = 0; i < count; i++) {
        struct lease_resolved answer = { .token = asked[i], .result = RESOLVE_SITE, .site = span_str(names[i]), .ttl_s = 3600 };
        room_must(queue_resolved(&queue, now, 0, &answer) == STATUS_OK);
    }
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

/* Answers what is asked and settles what is given out, until there is neither. */
static void carry_on(enum outcome_result result)
{
    uint64_t leases[CREDIT];
    while (token_count || granted_count) {
        size_t count = granted_count;
        memcpy(leases, granted, count * sizeof *leases);
        granted_count = 0;
        for (size_t i = 0; i < count; i++)
            settle(leases[i], result);
        resolve_all();
    }
}

/* Two hundred messages to twenty domains: accepted, given out, delivered. */
static void deliver(void)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        arrive(i);
    carry_on(OUTCOME_DELIVERED);
    room_must(queue.recipients == 0);
}

/* The same, but the first attempt is deferred and they come again when their time has come. */
static void retry(void)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        arrive(i);
    carry_on(OUTCOME_DEFERRED);
    room_must(queue.recipients == MESSAGES);
    now += TIME_HOUR_MS;
    queue_tick(&queue, now);
    carry_on(OUTCOME_DELIVERED);
    room_must(queue.recipients == 0);
}

static const struct room_work works[] = {
    { "deliver-200", begin, deliver },
    { "retry-200", begin, retry },
};
ROOM_MAIN(works)
