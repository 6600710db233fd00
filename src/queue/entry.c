#include "queue/entry.h"

enum { WITH_HOW = 1, WITH_RETRY = 2, WITH_WORDS = 4, WITH_WHO = 8, WITH_ROUTE = 16, WITH_PLACE = 32, WITH_SEGMENT = 64,
       WITH_RECIPIENTS = 128 };

/* What each kind carries, in this order. */
static unsigned parts_of(unsigned kind)
{
    static const unsigned parts[] = {
        [QUEUE_ENTRY_ENDED - SPOOL_KIND_JOURNAL] = WITH_HOW | WITH_RECIPIENTS,
        [QUEUE_ENTRY_DEFERRED - SPOOL_KIND_JOURNAL] = WITH_RETRY | WITH_WORDS | WITH_RECIPIENTS,
        [QUEUE_ENTRY_NOTICED - SPOOL_KIND_JOURNAL] = WITH_RECIPIENTS,
        [QUEUE_ENTRY_OWED - SPOOL_KIND_JOURNAL] = WITH_HOW | WITH_WORDS | WITH_RECIPIENTS,
        [QUEUE_ENTRY_HELD - SPOOL_KIND_JOURNAL] = WITH_WHO | WITH_RECIPIENTS,
        [QUEUE_ENTRY_RELEASED - SPOOL_KIND_JOURNAL] = WITH_WHO | WITH_RECIPIENTS,
        [QUEUE_ENTRY_REROUTED - SPOOL_KIND_JOURNAL] = WITH_WHO | WITH_ROUTE | WITH_RECIPIENTS,
        [QUEUE_ENTRY_DELETED - SPOOL_KIND_JOURNAL] = WITH_WHO | WITH_RECIPIENTS,
        [QUEUE_ENTRY_MOVED - SPOOL_KIND_JOURNAL] = WITH_PLACE,
        [QUEUE_ENTRY_SEGMENT - SPOOL_KIND_JOURNAL] = WITH_SEGMENT,
    };
    unsigned at = kind - SPOOL_KIND_JOURNAL;
    return kind >= SPOOL_KIND_JOURNAL && at < ARRAY_LEN(parts) ? parts[at] : 0;
}

void queue_words_put(struct buf *buf, const struct queue_words *words)
{
    wire_put_u16(buf, words->code);
    for (size_t i = 0; i < ARRAY_LEN(words->enhanced); i++)
        wire_put_u16(buf, words->enhanced[i]);
    wire_put_span(buf, span_head(words->host, QUEUE_HOST_MAX));
    wire_put_span(buf, span_head(words->address, QUEUE_HOST_MAX));
    wire_put_span(buf, span_head(words->text, QUEUE_TEXT_MAX));
}

void queue_words_get(struct wire_reader *reader, struct queue_words *ret)
{
    ret->code = wire_get_u16(reader);
    for (size_t i = 0; i < ARRAY_LEN(ret->enhanced); i++)
        ret->enhanced[i] = wire_get_u16(reader);
    ret->host = wire_get_span(reader, QUEUE_HOST_MAX);
    ret->address = wire_get_span(reader, QUEUE_HOST_MAX);
    ret->text = wire_get_span(reader, QUEUE_TEXT_MAX);
}

void queue_entry_put(struct buf *buf, const struct queue_entry *entry)
{
    unsigned parts = parts_of(entry->kind);
    if (parts & WITH_HOW)
        wire_put_u8(buf, entry->how);
    if (parts & WITH_RETRY) {
        wire_put_i64(buf, entry->retry_ms);
        wire_put_u16(buf, entry->tries);
    }
    if (parts & WITH_WORDS)
        queue_words_put(buf, &entry->words);
    if (parts & WITH_WHO) {
        wire_put_span(buf, span_head(entry->who, QUEUE_WHO_MAX));
        wire_put_span(buf, span_head(entry->why, QUEUE_WHY_MAX));
    }
    if (parts & WITH_ROUTE)
        wire_put_span(buf, entry->route);
    if (parts & (WITH_PLACE | WITH_SEGMENT))
        wire_put_u32(buf, entry->segment);
    if (parts & WITH_PLACE) {
        wire_put_u32(buf, entry->offset);
        wire_put_u32(buf, entry->length);
    }
    if (parts & WITH_SEGMENT) {
        wire_put_u64(buf, entry->epoch);
        wire_put_u32(buf, entry->known);
    }
    if (parts & WITH_RECIPIENTS)
        for (uint32_t i = 0; i < entry->count; i++)
            wire_put_u32(buf, entry->indexes[i]);
}

/* Recipients stand last and fill the rest. */
static bool recipients_get(struct wire_reader *reader, struct queue_entry *entry)
{
    entry->packed = reader->left;
    entry->count = (uint32_t)(reader->left.n / 4);
    return !reader->bad && entry->count > 0 && reader->left.n % 4 == 0;
}

bool queue_entry_get(uint8_t kind, struct span content, struct queue_entry *ret)
{
    unsigned parts = parts_of(kind);
    if (!parts)
        return false;
    struct wire_reader reader = wire_read(content);
    *ret = (struct queue_entry){ .kind = kind };
    if (parts & WITH_HOW)
        ret->how = wire_get_u8(&reader);
    if (parts & WITH_RETRY) {
        ret->retry_ms = wire_get_i64(&reader);
        ret->tries = wire_get_u16(&reader);
    }
    if (parts & WITH_WORDS)
        queue_words_get(&reader, &ret->words);
    if (parts & WITH_WHO) {
        ret->who = wire_get_span(&reader, QUEUE_WHO_MAX);
        ret->why = wire_get_span(&reader, QUEUE_WHY_MAX);
    }
    if (parts & WITH_ROUTE)
        ret->route = wire_get_span(&reader, QUEUE_ROUTE_MAX);
    if (parts & (WITH_PLACE | WITH_SEGMENT))
        ret->segment = wire_get_u32(&reader);
    if (parts & WITH_PLACE) {
        ret->offset = wire_get_u32(&reader);
        ret->length = wire_get_u32(&reader);
    }
    if (parts & WITH_SEGMENT) {
        ret->epoch = wire_get_u64(&reader);
        ret->known = wire_get_u32(&reader);
    }
    return parts & WITH_RECIPIENTS ? recipients_get(&reader, ret) : wire_end(&reader);
}

uint32_t queue_entry_index(const struct queue_entry *entry, uint32_t i)
{
    struct wire_reader reader = wire_read(span_from(entry->packed, (size_t)i * 4));
    return wire_get_u32(&reader);
}
