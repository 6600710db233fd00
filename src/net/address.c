#include "net/address.h"
#include <arpa/inet.h>
#include <stdio.h>

static enum status parse_path(struct span path, struct net_address *ret)
{
    struct net_address address = { .as.un = { .sun_family = AF_UNIX } };
    if (path.n == 0 || path.n >= sizeof(address.as.un.sun_path) || memchr(path.p, '\0', path.n))
        return STATUS_SYNTAX;
    memcpy(address.as.un.sun_path, path.p, path.n);
    address.n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    *ret = address;
    return STATUS_OK;
}

enum status net_address_parse_ip(struct span text, uint16_t port, struct net_address *ret)
{
    if (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = span_of(text.p + 1, text.n - 2);
    char ip[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof(ip) || memchr(text.p, '\0', text.n))
        return STATUS_SYNTAX;
    memcpy(ip, text.p, text.n);
    ip[text.n] = '\0';

    char octets[16];
    if (inet_pton(AF_INET, ip, octets) == 1)
        *ret = net_address_ip4(octets, port);
    else if (inet_pton(AF_INET6, ip, octets) == 1)
        *ret = net_address_ip6(octets, port);
    else
        return STATUS_SYNTAX;
    return STATUS_OK;
}

enum status net_address_parse(struct span text, uint16_t default_port, struct net_address *ret)
{
    if (span_starts(text, SPAN("unix:")))
        return parse_path(span_from(text, 5), ret);

    struct span host = text;
    uint64_t port = default_port;
    size_t colon = span_rfind(text, ':');
    bool bracketed = text.n && text.p[0] == '[';
    bool bare_ip6 = !bracketed && colon < text.n && span_find(text, ':') != colon;
    bool has_port = colon < text.n && !bare_ip6 && (!bracketed || (colon > 0 && text.p[colon - 1] == ']'));
    if (has_port) {
        host = span_head(text, colon);
        if (!span_u64(span_from(text, colon + 1), 65535, &port))
            return STATUS_SYNTAX;
    } else if (default_port == 0) {
        return STATUS_SYNTAX;
    }
    return net_address_parse_ip(host, (uint16_t)port, ret);
}

struct net_address net_address_ip4(const void *octets, uint16_t port)
{
    struct net_address address = { .n = sizeof(struct sockaddr_in), .as.in = { .sin_family = AF_INET, .sin_port = htons(port) } };
    memcpy(&address.as.in.sin_addr, octets, 4);
    return address;
}

struct net_address net_address_ip6(const void *octets, uint16_t port)
{
    struct net_address address = { .n = sizeof(struct sockaddr_in6),
                                   .as.in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) } };
    memcpy(&address.as.in6.sin6_addr, octets, 16);
    return address;
}

static sa_family_t family(const struct net_address *address)
{
    return address->n < sizeof(sa_family_t) ? AF_UNSPEC : address->as.any.sa_family;
}

uint16_t net_address_port(const struct net_address *address)
{
    switch (family(address)) {
    case AF_INET: return ntohs(address->as.in.sin_port);
    case AF_INET6: return ntohs(address->as.in6.sin6_port);
    default: return 0;
    }
}

void net_address_set_port(struct net_address *address, uint16_t port)
{
    if (family(address) == AF_INET)
        address->as.in.sin_port = htons(port);
    else if (family(address) == AF_INET6)
        address->as.in6.sin6_port = htons(port);
}

struct span net_address_octets(const struct net_address *address)
{
    const struct in6_addr *ip6 = &address->as.in6.sin6_addr;
    switch (family(address)) {
    case AF_INET: return span_of(&address->as.in.sin_addr, 4);
    case AF_INET6: return IN6_IS_ADDR_V4MAPPED(ip6) ? span_of(ip6->s6_addr + 12, 4) : span_of(ip6, 16);
    default: return SPAN_NONE;
    }
}

char *net_address_ip_text(const struct net_address *address, char ret[NET_ADDRESS_TEXT])
{
    struct span octets = net_address_octets(address);
    if (octets.n == 0)
        snprintf(ret, NET_ADDRESS_TEXT, "%s", family(address) == AF_UNIX ? "local" : "unknown");
    else
        inet_ntop(octets.n == 4 ? AF_INET : AF_INET6, octets.p, ret, NET_ADDRESS_TEXT);
    return ret;
}

/* A bound path; sockets without a name have none, abstract ones begin with a NUL. */
static char *path_text(const struct net_address *address, char ret[NET_ADDRESS_TEXT])
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    size_t n = address->n > head ? strnlen(address->as.un.sun_path, address->n - head) : 0;
    snprintf(ret, NET_ADDRESS_TEXT, "unix:%.*s", (int)n, address->as.un.sun_path);
    return ret;
}

char *net_address_text(const struct net_address *address, char ret[NET_ADDRESS_TEXT])
{
    if (family(address) == AF_UNIX)
        return path_text(address, ret);
    struct span octets = net_address_octets(address);
    char ip[NET_ADDRESS_TEXT];
    net_address_ip_text(address, ip);
    if (octets.n == 0)
        snprintf(ret, NET_ADDRESS_TEXT, "unknown");
    else
        snprintf(ret, NET_ADDRESS_TEXT, octets.n == 16 ? "[%.46s]:%u" : "%.46s:%u", ip, net_address_port(address));
    return ret;
}

bool net_address_same_ip(const struct net_address *a, const struct net_address *b)
{
    struct span octets = net_address_octets(a);
    return octets.n != 0 && span_eq(octets, net_address_octets(b));
}

bool net_address_is_loopback(const struct net_address *address)
{
    struct span octets = net_address_octets(address);
    if (octets.n == 0)
        return family(address) == AF_UNIX;
    return octets.n == 4 ? octets.p[0] == 127 : IN6_IS_ADDR_LOOPBACK(&address->as.in6.sin6_addr);
}

typedef int name_of(int fd, struct sockaddr *ret, socklen_t *n);

static enum status ask(name_of *name, int fd, struct net_address *ret)
{
    struct net_address address = { .n = sizeof(address.as) };
    if (name(fd, &address.as.any, &address.n) != 0)
        return STATUS_IO;
    address.n = MIN(address.n, (socklen_t)sizeof(address.as));
    *ret = address;
    return STATUS_OK;
}

enum status net_address_peer(int fd, struct net_address *ret) { return ask(getpeername, fd, ret); }
enum status net_address_local(int fd, struct net_address *ret) { return ask(getsockname, fd, ret); }
