/* Journal and checkpoint entries: hostile octets as what stands on disk, between good ones. */
#include "queue/checkpoint.h"
#include "queue/recover.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void act_resolve(void *arg, unsigned delivery, const struct lease_resolve *resolve) {}
static void act_grant(void *arg, unsigned delivery, const struct lease_grant *grant, struct queue_log_segment *segment) {}
static void act_journal(void *arg, uint8_t kind, uint64_t id, struct span content) {}
static void act_report(void *arg, struct queue_report *report) {}
static void act_segment_empty(void *arg, struct queue_log_segment *segment) {}
static void act_body_unused(void *arg, uint64_t body) {}

static void arrive(struct queue_recovery *recovery, uint64_t id)
{
    char octets[256];
    struct buf packed = BUF_EMPTY(1024);
    for (int i = 0; i < 5; i++) {
        snprintf(octets, sizeof octets, "r%d@d%d.example", i, i / 2);
        writer_recipient_put(&packed, &(struct writer_recipient){ 0, span_str(octets) });
    }
    struct queue_arrival arrival = { .id = id, .segment = 1, .offset = 4096 + (uint32_t)id * 64, .length = 64,
                                     .sender = SPAN("a@b"), .recipient_count = 5, .recipients = buf_span(&packed) };
    if (queue_recover_found(recovery, &arrival) == STATUS_OK)
        buf_clear(&packed);
    buf_done(&packed);
}

/* Records: kind, id, length, content. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct queue_acts acts = { act_resolve, act_grant, act_journal, act_report, act_segment_empty,
                                            act_body_unused };
    static const struct queue_settings settings = {
        .first_retry_ms = 1000, .longest_retry_ms = 10000, .retry_growth = 2, .expire_ms = 100000,
        .recipients_per_transaction = 100, .connections_per_site = 2, .messages_ahead = 1, .site_pause_ms = 1000,
        .longest_site_pause_ms = 1000, .domains_kept = 10,
    };
    struct queue queue;
    struct log log;
    struct queue_recovery recovery;
    struct span left = span_of(data, size);
    log_init(&log, -1, "queue", LOG_ERROR);
    queue_init(&queue, &settings, &acts, NULL, &log, 1, 1000);
    if (!queue_segment_add(&queue, 1, 1, 1u << 20, 1) || queue_recover_begin(&recovery, &queue) != STATUS_OK)
        abort();
    arrive(&recovery, 1);
    while (left.n >= 3) {
        size_t n = MIN((size_t)(uint8_t)left.p[2], left.n - 3);
        enum status status = queue_recover_entry(&recovery, (uint8_t)left.p[0], (uint64_t)(uint8_t)left.p[1] % 4,
                                                 span_of(left.p + 3, n));
        if (status != STATUS_OK && status != STATUS_DAMAGED)
            abort();
        left = span_from(left, 3 + n);
    }
    for (uint64_t id = 2; id < 4; id++)
        arrive(&recovery, id);
    queue_recover_end(&recovery, 2000);
    for (MAP_EACH(node, &queue.messages)) { /* what lives can be written down and read again */
        struct queue_message *message = CONTAINER(node, struct queue_message, node);
        struct buf buf = BUF_EMPTY(1u << 20);
        if (message->living == 0 || queue_checkpoint_message_put(&buf, message) != STATUS_OK)
            abort();
        buf_done(&buf);
    }
    queue_done(&queue);
    log_done(&log);
    return 0;
}
