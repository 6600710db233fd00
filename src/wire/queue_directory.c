#include "wire/queue_directory.h"

void backlog_levels_put(struct buf *buf, const struct backlog_levels *value)
{
    wire_put_u32(buf, value->count);
    buf_add(buf, value->entries);
}

bool backlog_levels_get(struct span body, struct backlog_levels *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->count = wire_get_u32(&reader);
    ret->entries = reader.left;
    return !reader.bad && ret->count >= 1 && ret->count <= WIRE_BACKLOG_MAX;
}

void backlog_level_put(struct buf *buf, const struct backlog_level *value)
{
    wire_put_span(buf, value->account);
    wire_put_u64(buf, value->messages);
    wire_put_u64(buf, value->octets);
    wire_put_u32(buf, value->failures);
}

bool backlog_level_get(struct wire_reader *entries, struct backlog_level *ret)
{
    ret->account = wire_get_span(entries, WIRE_BACKLOG_NAME_MAX);
    ret->messages = wire_get_u64(entries);
    ret->octets = wire_get_u64(entries);
    ret->failures = wire_get_u32(entries);
    return !entries->bad && ret->account.n > 0;
}

void backlog_stay_put(struct buf *buf, const struct backlog_stay *value)
{
    wire_put_u8(buf, value->which);
    wire_put_u32(buf, value->count);
    buf_add(buf, value->entries);
}

bool backlog_stay_get(struct span body, struct backlog_stay *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->which = wire_get_u8(&reader);
    ret->count = wire_get_u32(&reader);
    ret->entries = reader.left;
    return !reader.bad && ret->which <= (BACKLOG_STAY_FIRST | BACKLOG_STAY_LAST) && ret->count <= WIRE_BACKLOG_MAX;
}

void backlog_stayer_put(struct buf *buf, const struct backlog_stayer *value)
{
    wire_put_span(buf, value->account);
    wire_put_span(buf, value->why);
}

bool backlog_stayer_get(struct wire_reader *entries, struct backlog_stayer *ret)
{
    ret->account = wire_get_span(entries, WIRE_BACKLOG_NAME_MAX);
    ret->why = wire_get_span(entries, WIRE_STAY_WHY_MAX);
    return !entries->bad && ret->account.n > 0;
}

void backlog_notice_put(struct buf *buf, const struct backlog_notice *value)
{
    wire_put_span(buf, value->to);
    wire_put_span(buf, value->subject);
    wire_put_span(buf, value->text);
}

bool backlog_notice_get(struct span body, struct backlog_notice *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->to = wire_get_span(&reader, WIRE_BACKLOG_NAME_MAX);
    ret->subject = wire_get_span(&reader, WIRE_NOTICE_SUBJECT_MAX);
    ret->text = wire_get_span(&reader, WIRE_NOTICE_TEXT_MAX);
    return wire_end(&reader);
}
