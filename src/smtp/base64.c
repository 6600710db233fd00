#include "smtp/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, `pads` of which at the end are "=". */
static enum status decode_group(const char *p, unsigned pads, struct buf *ret)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < 4; i++) {
        int value = i < 4 - pads ? value_of(p[i]) : 0;
        if (value < 0)
            return STATUS_SYNTAX;
        bits = bits << 6 | (uint32_t)value;
    }
    if (bits & ((1u << (8 * pads)) - 1))
        return STATUS_SYNTAX; /* two texts must not mean the same */
    char octets[3] = { (char)(bits >> 16), (char)(bits >> 8), (char)bits };
    return buf_add(ret, span_of(octets, 3 - pads));
}

enum status base64_decode(struct span text, struct buf *ret)
{
    if (text.n % 4 != 0)
        return STATUS_SYNTAX;
    enum status status = STATUS_OK;
    for (size_t at = 0; status == STATUS_OK && at < text.n; at += 4) {
        unsigned pads = 0;
        if (at + 4 == text.n && text.p[at + 3] == '=')
            pads = text.p[at + 2] == '=' ? 2 : 1;
        status = decode_group(text.p + at, pads, ret);
    }
    return status;
}

enum status base64_encode(struct span plain, struct buf *ret)
{
    for (size_t at = 0; at < plain.n; at += 3) {
        size_t n = MIN((size_t)3, plain.n - at);
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++)
            bits = bits << 8 | (i < n ? (unsigned char)plain.p[at + i] : 0u);
        char group[4] = { letters[bits >> 18], letters[bits >> 12 & 63], n > 1 ? letters[bits >> 6 & 63] : '=',
                          n > 2 ? letters[bits & 63] : '=' };
        enum status status = buf_add(ret, span_of(group, 4));
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
