#include "room.h"
#include "wire/queue_delivery.h"
#include "wire/smtpd_queue.h"

static struct buf frame = { NULL, 0, 0, 1u << 20, false }, packed = { NULL, 0, 0, 1u << 20, false };

/* smtpd tells queue of a message. */
static void enqueue(void)
{
    struct writer_enqueue told;
    struct writer_recipient recipient;
    buf_clear(&frame);
    buf_clear(&packed);
    writer_recipient_put(&packed, &(struct writer_recipient){ 0, SPAN("bob@example.com") });
    writer_enqueue_put(&frame, &(struct writer_enqueue){ .id = 1, .segment = 1, .offset = 4096, .length = 4500, .octets = 4300,
                                                         .accepted_wall_ms = 1, .sender = SPAN("anna@example.org"),
                                                         .recipient_count = 1, .recipients = buf_span(&packed) });
    room_must(writer_enqueue_get(buf_span(&frame), &told));
    struct wire_reader reader = wire_read(told.recipients);
    room_must(writer_recipient_get(&reader, &recipient) && wire_end(&reader));
}

/* queue gives it to delivery. */
static void grant(void)
{
    static struct lease_grant given, got;
    given = (struct lease_grant){ .lease = 1, .id = 1, .segment = 1, .offset = 4096, .length = 4500, .attempt = 1, .connections = 20,
                                  .site = SPAN("mx.example.com"), .domain = SPAN("example.com"), .recipient_count = 1 };
    buf_clear(&frame);
    lease_grant_put(&frame, &given);
    room_must(lease_grant_get(buf_span(&frame), &got));
}

/* delivery tells what became of it. */
static void outcome(void)
{
    struct lease_outcome told;
    struct outcome_recipient recipient;
    buf_clear(&frame);
    buf_clear(&packed);
    outcome_recipient_put(&packed, &(struct outcome_recipient){ .index = 0, .result = OUTCOME_DELIVERED, .code = 250,
                                                                .enhanced = { 2, 0, 0 }, .text = SPAN("2.0.0 Ok: queued as 4bXq5V0") });
    lease_outcome_put(&frame, &(struct lease_outcome){ .lease = 1, .host = SPAN("mx.example.com"), .address = SPAN("192.0.2.25:25"),
                                                       .recipient_count = 1, .recipients = buf_span(&packed) });
    room_must(lease_outcome_get(buf_span(&frame), &told));
    struct wire_reader reader = wire_read(told.recipients);
    room_must(outcome_recipient_get(&reader, &recipient) && wire_end(&reader));
}

static const struct room_work works[] = {
    { "enqueue", NULL, enqueue },
    { "grant", NULL, grant },
    { "outcome", NULL, outcome },
};
ROOM_MAIN(works)
