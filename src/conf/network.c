#include "conf/network.h"
#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static void set_ip4(const void *octets, struct conf_ip *ret)
{
    memcpy(ret->octets, mapped, sizeof mapped);
    memcpy(ret->octets + sizeof mapped, octets, 4);
}

bool conf_ip_parse(struct span text, struct conf_ip *ret)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']') {
        text = span_of(text.p + 1, text.n - 2);
        if (span_find(text, ':') == text.n)
            return false;
    }
    if (text.n == 0 || text.n >= sizeof copy || memchr(text.p, 0, text.n))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = 0;

    struct in_addr ip4;
    if (inet_pton(AF_INET, copy, &ip4) == 1) {
        set_ip4(&ip4, ret);
        return true;
    }
    struct in6_addr ip6;
    if (inet_pton(AF_INET6, copy, &ip6) != 1)
        return false;
    memcpy(ret->octets, &ip6, sizeof ret->octets);
    return true;
}

bool conf_ip_is_4(const struct conf_ip *ip) { return memcmp(ip->octets, mapped, sizeof mapped) == 0; }

bool conf_ip_eq(const struct conf_ip *a, const struct conf_ip *b)
{
    return memcmp(a->octets, b->octets, sizeof a->octets) == 0;
}

bool conf_ip_from(const struct sockaddr *from, struct conf_ip *ret)
{
    struct conf_address address;
    if (!conf_address_from(from, &address))
        return false;
    *ret = address.ip;
    return true;
}

char *conf_ip_text(const struct conf_ip *ip, char ret[CONF_ADDRESS_TEXT_SIZE])
{
    if (conf_ip_is_4(ip))
        inet_ntop(AF_INET, ip->octets + sizeof mapped, ret, CONF_ADDRESS_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, ip->octets, ret, CONF_ADDRESS_TEXT_SIZE);
    return ret;
}

bool conf_network_has(const struct conf_network *network, const struct conf_ip *ip)
{
    size_t whole = network->bits / 8u;
    unsigned rest = network->bits % 8u;
    if (memcmp(network->ip.octets, ip->octets, whole) != 0)
        return false;
    return rest == 0 || ((network->ip.octets[whole] ^ ip->octets[whole]) >> (8 - rest)) == 0;
}

/* Are all bits behind the prefix zero? "192.0.2.77/24" is more likely a slip than a network. */
static bool network_is_clean(const struct conf_network *network)
{
    for (unsigned bit = network->bits; bit < 128; bit++)
        if (network->ip.octets[bit / 8] & (0x80u >> bit % 8))
            return false;
    return true;
}

bool conf_network_parse(struct span text, struct conf_network *ret)
{
    size_t slash = span_rfind(text, '/');
    struct conf_network network;
    if (!conf_ip_parse(span_head(text, slash), &network.ip))
        return false;
    uint64_t first = conf_ip_is_4(&network.ip) ? 96 : 0, bits = 128 - first;
    if (slash < text.n && (text.n - slash > 4 || !span_u64(span_from(text, slash + 1), bits, &bits)))
        return false;
    network.bits = (uint8_t)(first + bits);
    if (!network_is_clean(&network))
        return false;
    *ret = network;
    return true;
}

bool conf_networks_have(const struct conf_networks *networks, const struct conf_ip *ip)
{
    for (size_t i = 0; i < networks->n; i++)
        if (conf_network_has(&networks->items[i], ip))
            return true;
    return false;
}

char *conf_network_text(const struct conf_network *network, char ret[CONF_ADDRESS_TEXT_SIZE])
{
    conf_ip_text(&network->ip, ret);
    size_t n = strlen(ret);
    bool is_4 = conf_ip_is_4(&network->ip) && network->bits >= 96;
    snprintf(ret + n, CONF_ADDRESS_TEXT_SIZE - n, "/%u", network->bits - (is_4 ? 96u : 0u));
    return ret;
}

bool conf_address_parse(struct span text, struct conf_address *ret)
{
    size_t colon = span_rfind(text, ':');
    struct span host = span_head(text, colon), digits = span_from(text, colon + 1);
    uint64_t port;
    if (colon == text.n || digits.n > 5 || !span_u64(digits, UINT16_MAX, &port))
        return false;
    bool bare_6 = host.n && host.p[0] != '[' && span_find(host, ':') < host.n; /* where would the port begin? */
    struct conf_ip ip;
    if (bare_6 || !conf_ip_parse(host, &ip))
        return false;
    *ret = (struct conf_address){ ip, (uint16_t)port };
    return true;
}

socklen_t conf_address_sockaddr(const struct conf_address *address, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (conf_ip_is_4(&address->ip)) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        memcpy(&in->sin_addr, address->ip.octets + sizeof mapped, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(address->port);
    memcpy(&in6->sin6_addr, address->ip.octets, sizeof address->ip.octets);
    return sizeof *in6;
}

bool conf_address_from(const struct sockaddr *from, struct conf_address *ret)
{
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        set_ip4(&in.sin_addr, &ret->ip);
        ret->port = ntohs(in.sin_port);
        return true;
    }
    if (from->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, from, sizeof in6);
    memcpy(ret->ip.octets, &in6.sin6_addr, sizeof ret->ip.octets);
    ret->port = ntohs(in6.sin6_port);
    return true;
}

char *conf_address_text(const struct conf_address *address, char ret[CONF_ADDRESS_TEXT_SIZE])
{
    char ip[CONF_ADDRESS_TEXT_SIZE];
    conf_ip_text(&address->ip, ip);
    if (conf_ip_is_4(&address->ip))
        snprintf(ret, CONF_ADDRESS_TEXT_SIZE, "%.45s:%u", ip, address->port);
    else
        snprintf(ret, CONF_ADDRESS_TEXT_SIZE, "[%.45s]:%u", ip, address->port);
    return ret;
}
