#include "queue/checkpoint.h"
#include "queue/schedule.h"
#include "spool/journal.h"

#define SHARES_MAX WIRE_RECIPIENTS_MAX

static void share_put(struct buf *buf, const struct queue_share *share, bool with_words)
{
    const struct queue_rcpt *rcpts = share->count == 1 ? &share->one : share->many;
    struct queue_words last = queue_reason_words(share->last), held = { 0 };
    if (!with_words)
        last.text = last.host = last.address = SPAN_NONE;
    if ((share->flags & QUEUE_SHARE_HELD) && share->place == QUEUE_HELD)
        held = queue_reason_words(share->held);
    wire_put_span(buf, queue_domain_name(share->domain));
    wire_put_span(buf, queue_domain_route(share->domain));
    wire_put_u8(buf, share->flags & (uint8_t)~QUEUE_SHARE_LAST);
    wire_put_u16(buf, share->tries);
    wire_put_i64(buf, share->retry_ms);
    queue_words_put(buf, &last);
    wire_put_span(buf, held.host);
    wire_put_span(buf, held.text);
    wire_put_u32(buf, share->count);
    for (uint32_t i = 0; i < share->count; i++) {
        wire_put_u32(buf, rcpts[i].index);
        wire_put_u8(buf, rcpts[i].notify);
    }
}

static void message_put(struct buf *buf, const struct queue_message *message, bool with_words)
{
    uint32_t shares = 0;
    for (const struct queue_share *share = message->shares; share; share = share->next)
        shares++;
    wire_put_u32(buf, message->segment->number);
    wire_put_u64(buf, message->segment->epoch);
    wire_put_u32(buf, message->offset);
    wire_put_u32(buf, message->length);
    wire_put_u64(buf, message->body);
    wire_put_u16(buf, message->flags);
    wire_put_u16(buf, message->recipients);
    wire_put_span(buf, queue_account_name(message->account));
    wire_put_u32(buf, shares);
    for (const struct queue_share *share = message->shares; share; share = share->next)
        share_put(buf, share, with_words);
}

enum status queue_checkpoint_message_put(struct buf *buf, const struct queue_message *message)
{
    size_t before = buf->n;
    message_put(buf, message, true);
    if (!buf->failed && buf->n - before > SPOOL_JOURNAL_MAX) {
        buf->n = before; /* rather without other servers' words than not at all */
        message_put(buf, message, false);
    }
    if (buf->failed)
        return STATUS_MEMORY;
    return buf->n - before > SPOOL_JOURNAL_MAX ? STATUS_TOO_LONG : STATUS_OK;
}

static enum status share_words_get(struct queue *queue, struct queue_share *share, struct wire_reader *reader)
{
    struct queue_words last, held = { 0 };
    share->flags = wire_get_u8(reader);
    share->tries = wire_get_u16(reader);
    share->retry_ms = wire_get_i64(reader);
    queue_words_get(reader, &last);
    held.host = wire_get_span(reader, QUEUE_WHO_MAX);
    held.text = wire_get_span(reader, QUEUE_WHY_MAX);
    if (reader->bad) {
        share->flags = 0;
        return STATUS_DAMAGED;
    }
    if (share->tries)
        share->last = queue_reason_keep(queue, queue_reason_ref(queue, &last));
    if (share->flags & QUEUE_SHARE_HELD)
        share->held = queue_reason_ref(queue, &held);
    return STATUS_OK;
}

static enum status share_get(struct queue *queue, struct queue_message *message, struct wire_reader *reader)
{
    struct span domain = wire_get_span(reader, WIRE_DOMAIN_MAX);
    struct span route = wire_get_span(reader, QUEUE_ROUTE_MAX);
    if (reader->bad)
        return STATUS_DAMAGED;
    struct queue_share *share = queue_share_begin(queue, message, domain, route);
    if (!share)
        return STATUS_MEMORY;
    enum status status = share_words_get(queue, share, reader);
    uint32_t count = wire_get_u32(reader);
    if (status != STATUS_OK || count == 0 || count > WIRE_LEASE_RECIPIENTS_MAX)
        return status == STATUS_OK ? STATUS_DAMAGED : status;
    for (uint32_t i = 0; i < count; i++) {
        struct queue_rcpt rcpt = { .index = wire_get_u32(reader), .notify = wire_get_u8(reader) };
        if (!queue_rcpt_add(share, rcpt))
            return STATUS_MEMORY;
    }
    return reader->bad ? STATUS_DAMAGED : STATUS_OK;
}

static enum status shares_get(struct queue *queue, struct queue_message *message, struct wire_reader *reader)
{
    uint32_t shares = wire_get_u32(reader);
    if (shares == 0 || shares > SHARES_MAX)
        return STATUS_DAMAGED;
    for (uint32_t i = 0; i < shares; i++) {
        enum status status = share_get(queue, message, reader);
        if (status != STATUS_OK)
            return status;
    }
    return wire_end(reader) ? STATUS_OK : STATUS_DAMAGED;
}

enum status queue_checkpoint_message_get(struct queue *queue, uint64_t id, struct span content,
                                         struct queue_log_segment *limbo)
{
    struct wire_reader reader = wire_read(content);
    uint32_t number = wire_get_u32(&reader);
    uint64_t epoch = wire_get_u64(&reader);
    uint32_t offset = wire_get_u32(&reader), length = wire_get_u32(&reader);
    uint64_t body = wire_get_u64(&reader);
    uint16_t flags = wire_get_u16(&reader), recipients = wire_get_u16(&reader);
    struct span account = wire_get_span(&reader, SPOOL_JOURNAL_MAX);
    struct queue_log_segment *segment = queue_segment_find(queue, number);
    if (reader.bad || id == 0)
        return STATUS_DAMAGED;
    if (!segment || segment->epoch != epoch)
        segment = limbo;
    if (offset > segment->size || length > segment->size - offset)
        return STATUS_DAMAGED;
    struct queue_message *message = queue_message_begin(queue, id, account);
    if (!message)
        return STATUS_MEMORY;
    message->offset = offset;
    message->length = length;
    message->body = body;
    message->flags = flags;
    message->recipients = recipients;
    enum status status = shares_get(queue, message, &reader);
    if (status == STATUS_OK)
        status = queue_message_enter(queue, message, segment);
    if (status != STATUS_OK)
        queue_message_undo(queue, message);
    return status;
}
