#include "wire/supervisor.h"

static const char *const names[ROLE_COUNT] = { "supervisor", "smtpd", "queue", "delivery", "directory", "web", "share", "mirror" };

const char *role_name(enum role role)
{
    return (unsigned)role < ROLE_COUNT ? names[role] : "unknown";
}

bool role_parse(struct span name, enum role *ret)
{
    for (unsigned i = 0; i < ROLE_COUNT; i++)
        if (span_eq(name, span_str(names[i]))) {
            *ret = (enum role)i;
            return true;
        }
    return false;
}

void supervisor_settings_put(struct buf *buf, const struct supervisor_settings *value)
{
    wire_put_u32(buf, value->number);
    wire_put_u32(buf, value->count);
    wire_put_span(buf, value->file);
    wire_put_span(buf, value->text);
    wire_put_u32(buf, value->blob_count);
    for (uint32_t i = 0; i < value->blob_count; i++) {
        wire_put_span(buf, value->blobs[i].name);
        wire_put_span(buf, value->blobs[i].content);
    }
}

bool supervisor_settings_get(struct span body, struct supervisor_settings *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->number = wire_get_u32(&reader);
    ret->count = wire_get_u32(&reader);
    ret->file = wire_get_span(&reader, 4096);
    ret->text = wire_get_span(&reader, CHANNEL_BODY_MAX);
    ret->blob_count = wire_get_u32(&reader);
    if (ret->blob_count > WIRE_BLOBS_MAX)
        return false;
    for (uint32_t i = 0; i < ret->blob_count; i++) {
        ret->blobs[i].name = wire_get_span(&reader, 4096);
        ret->blobs[i].content = wire_get_span(&reader, CHANNEL_BODY_MAX);
    }
    return wire_end(&reader);
}

struct span supervisor_settings_blob(const struct supervisor_settings *settings, struct span name)
{
    for (uint32_t i = 0; i < settings->blob_count; i++)
        if (span_eq(settings->blobs[i].name, name))
            return settings->blobs[i].content;
    return SPAN_NONE;
}

void supervisor_listener_put(struct buf *buf, const struct supervisor_listener *value)
{
    wire_put_u32(buf, value->index);
}

bool supervisor_listener_get(struct span body, struct supervisor_listener *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->index = wire_get_u32(&reader);
    return wire_end(&reader);
}

void supervisor_peer_put(struct buf *buf, const struct supervisor_peer *value)
{
    wire_put_u8(buf, (uint8_t)value->role);
    wire_put_u32(buf, value->number);
    wire_put_u32(buf, value->count);
    wire_put_u32(buf, value->pid);
}

bool supervisor_peer_get(struct span body, struct supervisor_peer *ret)
{
    struct wire_reader reader = wire_read(body);
    uint8_t role = wire_get_u8(&reader);
    ret->number = wire_get_u32(&reader);
    ret->count = wire_get_u32(&reader);
    ret->pid = wire_get_u32(&reader);
    if (!wire_end(&reader) || role >= ROLE_COUNT)
        return false;
    ret->role = (enum role)role;
    return true;
}

void supervisor_tickets_put(struct buf *buf, const struct supervisor_tickets *value)
{
    wire_put_u32(buf, value->count);
    for (uint32_t i = 0; i < value->count; i++)
        wire_put_span(buf, span_of(value->keys[i], WIRE_TICKET_KEY_OCTETS));
}

bool supervisor_tickets_get(struct span body, struct supervisor_tickets *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->count = wire_get_u32(&reader);
    if (ret->count > WIRE_TICKET_KEYS_MAX)
        return false;
    for (uint32_t i = 0; i < ret->count; i++) {
        struct span key = wire_get_span(&reader, WIRE_TICKET_KEY_OCTETS);
        if (key.n != WIRE_TICKET_KEY_OCTETS)
            return false;
        memcpy(ret->keys[i], key.p, key.n);
    }
    return wire_end(&reader);
}

void supervisor_who_put(struct buf *buf, const struct supervisor_who *value)
{
    wire_put_u64(buf, value->token);
    wire_put_u32(buf, value->uid);
    wire_put_u32(buf, value->pid);
}

bool supervisor_who_get(struct span body, struct supervisor_who *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->uid = wire_get_u32(&reader);
    ret->pid = wire_get_u32(&reader);
    return wire_end(&reader);
}

void supervisor_who_is_put(struct buf *buf, const struct supervisor_who_is *value)
{
    wire_put_u64(buf, value->token);
    wire_put_span(buf, value->name);
    wire_put_span(buf, value->cgroup);
}

bool supervisor_who_is_get(struct span body, struct supervisor_who_is *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->token = wire_get_u64(&reader);
    ret->name = wire_get_span(&reader, WIRE_USER_MAX);
    ret->cgroup = wire_get_span(&reader, WIRE_CGROUP_MAX);
    return wire_end(&reader);
}

void supervisor_failed_put(struct buf *buf, const struct supervisor_failed *value)
{
    wire_put_span(buf, value->text);
}

bool supervisor_failed_get(struct span body, struct supervisor_failed *ret)
{
    struct wire_reader reader = wire_read(body);
    ret->text = wire_get_span(&reader, 4096);
    return wire_end(&reader);
}
