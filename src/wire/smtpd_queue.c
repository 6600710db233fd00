#include "wire/smtpd_queue.h"

void queue_welcome_put(struct buf *buf, const struct queue_welcome *value)
{
    wire_put_u8(buf, value->writer);
    wire_put_u64(buf, value->id_floor);
}

bool queue_welcome_get(struct span body, struct queue_welcome *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->writer = wire_get_u8(&reader);
    ret->id_floor = wire_get_u64(&reader);
    return wire_end(&reader);
}

void queue_segment_put(struct buf *buf, const struct queue_segment *value)
{
    wire_put_u32(buf, value->number);
    wire_put_u64(buf, value->epoch);
    wire_put_u32(buf, value->octets);
}

bool queue_segment_get(struct span body, struct queue_segment *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->number = wire_get_u32(&reader);
    ret->epoch = wire_get_u64(&reader);
    ret->octets = wire_get_u32(&reader);
    return wire_end(&reader);
}

void queue_body_put(struct buf *buf, const struct queue_body *value)
{
    wire_put_u64(buf, value->token);
    wire_put_u64(buf, value->number);
}

bool queue_body_get(struct span body, struct queue_body *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->number = wire_get_u64(&reader);
    return wire_end(&reader);
}

void queue_state_put(struct buf *buf, const struct queue_state *value)
{
    wire_put_u8(buf, value->accepting);
    wire_put_span(buf, value->reason);
}

bool queue_state_get(struct span body, struct queue_state *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->accepting = wire_get_u8(&reader);
    ret->reason = wire_get_span(&reader, 1024);
    return wire_end(&reader);
}

void writer_sealed_put(struct buf *buf, const struct writer_sealed *value)
{
    wire_put_u32(buf, value->number);
    wire_put_u32(buf, value->used);
}

bool writer_sealed_get(struct span body, struct writer_sealed *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->number = wire_get_u32(&reader);
    ret->used = wire_get_u32(&reader);
    return wire_end(&reader);
}

void writer_need_body_put(struct buf *buf, const struct writer_need_body *value)
{
    wire_put_u64(buf, value->token);
}

bool writer_need_body_get(struct span body, struct writer_need_body *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    return wire_end(&reader);
}

void writer_drop_body_put(struct buf *buf, const struct writer_drop_body *value)
{
    wire_put_u64(buf, value->number);
}

bool writer_drop_body_get(struct span body, struct writer_drop_body *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->number = wire_get_u64(&reader);
    return wire_end(&reader);
}

void writer_enqueue_put(struct buf *buf, const struct writer_enqueue *value)
{
    wire_put_u64(buf, value->id);
    wire_put_u32(buf, value->segment);
    wire_put_u32(buf, value->offset);
    wire_put_u32(buf, value->length);
    wire_put_u32(buf, value->flags);
    wire_put_u64(buf, value->octets);
    wire_put_u64(buf, value->body);
    wire_put_i64(buf, value->accepted_wall_ms);
    wire_put_span(buf, value->account);
    wire_put_span(buf, value->sender);
    wire_put_u32(buf, value->recipient_count);
    buf_add(buf, value->recipients);
}

bool writer_enqueue_get(struct span body, struct writer_enqueue *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->id = wire_get_u64(&reader);
    ret->segment = wire_get_u32(&reader);
    ret->offset = wire_get_u32(&reader);
    ret->length = wire_get_u32(&reader);
    ret->flags = wire_get_u32(&reader);
    ret->octets = wire_get_u64(&reader);
    ret->body = wire_get_u64(&reader);
    ret->accepted_wall_ms = wire_get_i64(&reader);
    ret->account = wire_get_span(&reader, WIRE_ADDRESS_MAX);
    ret->sender = wire_get_span(&reader, WIRE_ADDRESS_MAX);
    ret->recipient_count = wire_get_u32(&reader);
    ret->recipients = reader.left;
    return !reader.bad && ret->recipient_count >= 1 && ret->recipient_count <= WIRE_RECIPIENTS_MAX;
}

#define WAITS 0x80u /* beside NOTIFY_x: `wait_s` follows */

void writer_recipient_put(struct buf *buf, const struct writer_recipient *value)
{
    wire_put_u8(buf, (uint8_t)(value->notify | (value->wait_s ? WAITS : 0)));
    wire_put_span(buf, value->address);
    if (value->wait_s)
        wire_put_u32(buf, value->wait_s);
}

bool writer_recipient_get(struct wire_reader *recipients, struct writer_recipient *ret)
{
    uint8_t notify = wire_get_u8(recipients);
    ret->notify = notify & (uint8_t)~WAITS;
    ret->address = wire_get_span(recipients, WIRE_ADDRESS_MAX);
    ret->wait_s = notify & WAITS ? wire_get_u32(recipients) : 0;
    return !recipients->bad && (ret->wait_s || !(notify & WAITS)); /* no wait has one form only */
}
