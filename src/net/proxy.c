#include "net/proxy.h"

#define V1_MAX 107 /* "PROXY UNKNOWN" with two longest addresses and ports, and CRLF */

static const struct span v2_signature = { "\r\n\r\n\0\r\nQUIT\n", 12 };

/* Is `in` the beginning of `what`, or begins with it? */
static bool agrees(struct span in, struct span what)
{
    size_t n = MIN(in.n, what.n);
    return memcmp(in.p, what.p, n) == 0;
}

/* -- version 1: one line of text -- */

static bool word(struct span *line, struct span *ret)
{
    return span_cut(line, ' ', ret) && ret->n != 0;
}

static bool address_pair(struct span line, size_t octets, struct proxy_header *ret)
{
    struct span ip[2], port_text[2];
    if (!word(&line, &ip[0]) || !word(&line, &ip[1]) || !word(&line, &port_text[0]) || !word(&line, &port_text[1]) || line.n)
        return false;
    struct net_address *into[2] = { &ret->client, &ret->server };
    for (unsigned i = 0; i < 2; i++) {
        uint64_t port;
        if (ip[i].p[0] == '[' || !span_u64(port_text[i], 65535, &port))
            return false;
        if (net_address_parse_ip(ip[i], (uint16_t)port, into[i]) != STATUS_OK)
            return false;
        if ((into[i]->as.any.sa_family == AF_INET ? 4 : 16) != octets)
            return false;
    }
    return true;
}

static enum status take_v1(struct span *in, struct proxy_header *ret)
{
    struct span head = span_head(*in, V1_MAX);
    size_t end = span_find_span(head, SPAN("\r\n"));
    if (end >= head.n)
        return head.n < V1_MAX ? STATUS_AGAIN : STATUS_SYNTAX;

    struct span line = span_from(span_head(head, end), 6);
    struct span kind;
    struct proxy_header header = { 0 };
    if (!word(&line, &kind))
        return STATUS_SYNTAX;
    bool good = span_eq(kind, SPAN("UNKNOWN")) || /* whatever follows is to be ignored */
                (span_eq(kind, SPAN("TCP4")) && address_pair(line, 4, &header)) ||
                (span_eq(kind, SPAN("TCP6")) && address_pair(line, 16, &header));
    if (!good)
        return STATUS_SYNTAX;
    *ret = header;
    *in = span_from(*in, end + 2);
    return STATUS_OK;
}

/* -- version 2: binary -- */

static uint16_t big_u16(const char *p)
{
    return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

/* The address block of version 2, section 2.2. Families that are not ours leave the addresses empty. */
static enum status v2_addresses(unsigned family, struct span block, struct proxy_header *ret)
{
    switch (family) {
    case 0x1:
        if (block.n < 12)
            return STATUS_SYNTAX;
        ret->client = net_address_ip4(block.p, big_u16(block.p + 8));
        ret->server = net_address_ip4(block.p + 4, big_u16(block.p + 10));
        return STATUS_OK;
    case 0x2:
        if (block.n < 36)
            return STATUS_SYNTAX;
        ret->client = net_address_ip6(block.p, big_u16(block.p + 32));
        ret->server = net_address_ip6(block.p + 16, big_u16(block.p + 34));
        return STATUS_OK;
    case 0x0:
    case 0x3:
        return STATUS_OK;
    default:
        return STATUS_SYNTAX;
    }
}

static enum status take_v2(struct span *in, struct proxy_header *ret)
{
    if (in->n < 16)
        return STATUS_AGAIN;
    unsigned version = (unsigned char)in->p[12] >> 4, command = in->p[12] & 0x0f;
    unsigned family = (unsigned char)in->p[13] >> 4, transport = in->p[13] & 0x0f;
    size_t n = big_u16(in->p + 14);
    if (version != 2 || command > 1 || transport > 2)
        return STATUS_SYNTAX;
    if (16 + n > PROXY_HEADER_MAX)
        return STATUS_TOO_LONG;
    if (in->n < 16 + n)
        return STATUS_AGAIN;

    struct proxy_header header = { .local = command == 0 };
    enum status status = header.local ? STATUS_OK : v2_addresses(family, span_of(in->p + 16, n), &header);
    if (status != STATUS_OK)
        return status;
    *ret = header;
    *in = span_from(*in, 16 + n);
    return STATUS_OK;
}

enum status proxy_header_take(struct span *in, struct proxy_header *ret)
{
    if (in->n == 0)
        return STATUS_AGAIN;
    if (agrees(*in, v2_signature))
        return take_v2(in, ret);
    if (!agrees(*in, SPAN("PROXY ")))
        return STATUS_SYNTAX;
    return in->n < 6 ? STATUS_AGAIN : take_v1(in, ret);
}
