#include "wire/queue_delivery.h"

static void indexes_put(struct buf *buf, const uint32_t *indexes, uint32_t count)
{
    wire_put_u32(buf, count);
    for (uint32_t i = 0; i < count; i++)
        wire_put_u32(buf, indexes[i]);
}

static bool indexes_get(struct wire_reader *reader, uint32_t *ret, uint32_t *ret_count)
{
    *ret_count = wire_get_u32(reader);
    if (*ret_count < 1 || *ret_count > WIRE_LEASE_RECIPIENTS_MAX)
        return false;
    for (uint32_t i = 0; i < *ret_count; i++)
        ret[i] = wire_get_u32(reader);
    return true;
}

void lease_segment_put(struct buf *buf, const struct lease_segment *value)
{
    wire_put_u32(buf, value->number);
    wire_put_u64(buf, value->epoch);
}

bool lease_segment_get(struct span body, struct lease_segment *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->number = wire_get_u32(&reader);
    ret->epoch = wire_get_u64(&reader);
    return wire_end(&reader);
}

void lease_segment_gone_put(struct buf *buf, const struct lease_segment_gone *value)
{
    wire_put_u32(buf, value->number);
}

bool lease_segment_gone_get(struct span body, struct lease_segment_gone *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->number = wire_get_u32(&reader);
    return wire_end(&reader);
}

void lease_body_put(struct buf *buf, const struct lease_body *value)
{
    wire_put_u64(buf, value->number);
}

bool lease_body_get(struct span body, struct lease_body *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->number = wire_get_u64(&reader);
    return wire_end(&reader);
}

void lease_body_gone_put(struct buf *buf, const struct lease_body_gone *value)
{
    wire_put_u64(buf, value->number);
}

bool lease_body_gone_get(struct span body, struct lease_body_gone *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->number = wire_get_u64(&reader);
    return wire_end(&reader);
}

void lease_resolve_put(struct buf *buf, const struct lease_resolve *value)
{
    wire_put_u64(buf, value->token);
    wire_put_span(buf, value->domain);
    wire_put_span(buf, value->route);
}

bool lease_resolve_get(struct span body, struct lease_resolve *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->domain = wire_get_span(&reader, WIRE_DOMAIN_MAX);
    ret->route = wire_get_span(&reader, WIRE_SITE_KEY_MAX);
    return wire_end(&reader);
}

void lease_grant_put(struct buf *buf, const struct lease_grant *value)
{
    wire_put_u64(buf, value->lease);
    wire_put_u64(buf, value->id);
    wire_put_u32(buf, value->segment);
    wire_put_u32(buf, value->offset);
    wire_put_u32(buf, value->length);
    wire_put_u64(buf, value->body);
    wire_put_u32(buf, value->attempt);
    wire_put_u32(buf, value->connections);
    wire_put_span(buf, value->site);
    wire_put_span(buf, value->domain);
    wire_put_span(buf, value->route);
    indexes_put(buf, value->recipients, value->recipient_count);
}

bool lease_grant_get(struct span body, struct lease_grant *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->lease = wire_get_u64(&reader);
    ret->id = wire_get_u64(&reader);
    ret->segment = wire_get_u32(&reader);
    ret->offset = wire_get_u32(&reader);
    ret->length = wire_get_u32(&reader);
    ret->body = wire_get_u64(&reader);
    ret->attempt = wire_get_u32(&reader);
    ret->connections = wire_get_u32(&reader);
    ret->site = wire_get_span(&reader, WIRE_SITE_KEY_MAX);
    ret->domain = wire_get_span(&reader, WIRE_DOMAIN_MAX);
    ret->route = wire_get_span(&reader, WIRE_SITE_KEY_MAX);
    return indexes_get(&reader, ret->recipients, &ret->recipient_count) && wire_end(&reader);
}

void lease_settled_put(struct buf *buf, const struct lease_settled *value)
{
    wire_put_u32(buf, value->outcomes);
}

bool lease_settled_get(struct span body, struct lease_settled *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->outcomes = wire_get_u32(&reader);
    return wire_end(&reader);
}

void lease_credit_put(struct buf *buf, const struct lease_credit *value)
{
    wire_put_u32(buf, value->more);
}

bool lease_credit_get(struct span body, struct lease_credit *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->more = wire_get_u32(&reader);
    return wire_end(&reader);
}

void lease_resolved_put(struct buf *buf, const struct lease_resolved *value)
{
    wire_put_u64(buf, value->token);
    wire_put_u8(buf, value->result);
    wire_put_span(buf, value->site);
    wire_put_u32(buf, value->ttl_s);
    wire_put_u16(buf, value->code);
    for (size_t i = 0; i < 3; i++)
        wire_put_u16(buf, value->enhanced[i]);
    wire_put_span(buf, value->text);
}

bool lease_resolved_get(struct span body, struct lease_resolved *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->result = wire_get_u8(&reader);
    ret->site = wire_get_span(&reader, WIRE_SITE_KEY_MAX);
    ret->ttl_s = wire_get_u32(&reader);
    ret->code = wire_get_u16(&reader);
    for (size_t i = 0; i < 3; i++)
        ret->enhanced[i] = wire_get_u16(&reader);
    ret->text = wire_get_span(&reader, WIRE_REPLY_MAX);
    return wire_end(&reader);
}

void lease_outcome_put(struct buf *buf, const struct lease_outcome *value)
{
    wire_put_u64(buf, value->lease);
    wire_put_u8(buf, value->trouble);
    wire_put_span(buf, value->host);
    wire_put_span(buf, value->address);
    wire_put_span(buf, value->tls);
    wire_put_u32(buf, value->recipient_count);
    buf_add(buf, value->recipients);
}

bool lease_outcome_get(struct span body, struct lease_outcome *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->lease = wire_get_u64(&reader);
    ret->trouble = wire_get_u8(&reader);
    ret->host = wire_get_span(&reader, WIRE_DOMAIN_MAX);
    ret->address = wire_get_span(&reader, 128);
    ret->tls = wire_get_span(&reader, 256);
    ret->recipient_count = wire_get_u32(&reader);
    ret->recipients = reader.left;
    return !reader.bad && ret->recipient_count >= 1 && ret->recipient_count <= WIRE_LEASE_RECIPIENTS_MAX;
}

void lease_held_put(struct buf *buf, const struct lease_held *value)
{
    wire_put_u64(buf, value->lease);
    wire_put_u64(buf, value->id);
    wire_put_u32(buf, value->attempt);
    wire_put_span(buf, value->site);
    indexes_put(buf, value->recipients, value->recipient_count);
}

bool lease_held_get(struct span body, struct lease_held *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->lease = wire_get_u64(&reader);
    ret->id = wire_get_u64(&reader);
    ret->attempt = wire_get_u32(&reader);
    ret->site = wire_get_span(&reader, WIRE_SITE_KEY_MAX);
    return indexes_get(&reader, ret->recipients, &ret->recipient_count) && wire_end(&reader) &&
           (ret->lease & LEASE_HELD_BIT);
}

void lease_returned_put(struct buf *buf, const struct lease_returned *value)
{
    wire_put_u64(buf, value->lease);
}

bool lease_returned_get(struct span body, struct lease_returned *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->lease = wire_get_u64(&reader);
    return wire_end(&reader);
}

void outcome_recipient_put(struct buf *buf, const struct outcome_recipient *value)
{
    wire_put_u32(buf, value->index);
    wire_put_u8(buf, value->result);
    wire_put_u16(buf, value->code);
    for (size_t i = 0; i < 3; i++)
        wire_put_u16(buf, value->enhanced[i]);
    wire_put_span(buf, value->text);
}

bool outcome_recipient_get(struct wire_reader *recipients, struct outcome_recipient *ret)
{
    ret->index = wire_get_u32(recipients);
    ret->result = wire_get_u8(recipients);
    ret->code = wire_get_u16(recipients);
    for (size_t i = 0; i < 3; i++)
        ret->enhanced[i] = wire_get_u16(recipients);
    ret->text = wire_get_span(recipients, WIRE_REPLY_MAX);
    return !recipients->bad;
}
