#include "wire/directory_share.h"

void share_nodes_put(struct buf *buf, const struct share_nodes *value)
{
    wire_put_u8(buf, value->more);
    wire_put_u32(buf, value->count);
    buf_add(buf, value->entries);
}

bool share_nodes_get(struct span body, struct share_nodes *ret)
{
    struct wire_reader reader = wire_read(body);
    uint8_t more = wire_get_u8(&reader);
    ret->more = more != 0;
    ret->count = wire_get_u32(&reader);
    ret->entries = reader.left;
    return !reader.bad && more <= 1 && ret->count <= WIRE_SHARE_NODES_MAX;
}

void share_node_put(struct buf *buf, const struct share_node *value)
{
    wire_put_span(buf, value->key);
    wire_put_span(buf, value->value);
}

bool share_node_get(struct wire_reader *entries, struct share_node *ret)
{
    ret->key = wire_get_span(entries, WIRE_SHARE_KEY_MAX);
    ret->value = wire_get_span(entries, WIRE_SHARE_VALUE_MAX);
    return !entries->bad && ret->key.n > 0;
}

void share_other_put(struct buf *buf, const struct share_other *value)
{
    wire_put_span(buf, value->machine);
    wire_put_u32(buf, value->age_ms);
    share_node_put(buf, &value->node);
}

bool share_other_get(struct wire_reader *entries, struct share_other *ret)
{
    ret->machine = wire_get_span(entries, WIRE_SHARE_MACHINE_MAX);
    ret->age_ms = wire_get_u32(entries);
    return share_node_get(entries, &ret->node) && ret->machine.n > 0;
}
