#include "policy/address.h"

static struct span lower(char *room, struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        room[i] = ascii_lower(text.p[i]);
    return span_of(room, text.n);
}

enum status policy_keys_make(struct span address, struct policy_keys *ret)
{
    struct address parsed;
    enum status status = address_parse(address, ADDRESS_UTF8, &parsed);
    if (status != STATUS_OK)
        return status;

    ret->exact = lower(ret->exact_room, address_canonical(&parsed, ret->exact_room));
    ret->base = lower(ret->base_room, address_base(&parsed, ret->base_room));
    ret->domain = span_from(ret->exact, ret->exact.n - parsed.domain.n);

    ret->wildcard_room[0] = '*';
    ret->wildcard_room[1] = '@';
    memcpy(ret->wildcard_room + 2, ret->domain.p, ret->domain.n);
    ret->wildcard = span_of(ret->wildcard_room, 2 + ret->domain.n);
    return STATUS_OK;
}

void policy_add_shown(struct buf *ret, struct span text, size_t most)
{
    bool is_cut = text.n > most;
    text = span_head(text, most);
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        buf_add_char(ret, c < 0x20 || c >= 0x7f ? '?' : (char)c);
    }
    if (is_cut)
        buf_add_str(ret, "...");
}
