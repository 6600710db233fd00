/* conf/network.h -- IP addresses and networks as people write them in settings.
 *
 * IPv4 is kept as ::ffff:a.b.c.d, so that one comparison serves both families and an IPv4 client on an IPv6 socket.
 */
#pragma once
#include "base/span.h"
#include <netinet/in.h>
#include <sys/socket.h>

struct conf_ip {
    uint8_t octets[16];
};

struct conf_network {
    struct conf_ip ip;
    uint8_t bits; /* 0..128 of the 16 octets */
};

struct conf_networks {
    const struct conf_network *items;
    size_t n;
};

struct conf_address {
    struct conf_ip ip;
    uint16_t port;
};

struct conf_addresses {
    const struct conf_address *items;
    size_t n;
};

#define CONF_ADDRESS_TEXT_SIZE 56 /* "[ipv6]:port" or "ipv6/bits" with NUL */

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]". */
MUST_CHECK bool conf_ip_parse(struct span text, struct conf_ip *ret);
bool conf_ip_is_4(const struct conf_ip *ip);
bool conf_ip_eq(const struct conf_ip *a, const struct conf_ip *b);
/* False for families other than AF_INET and AF_INET6. */
MUST_CHECK bool conf_ip_from(const struct sockaddr *from, struct conf_ip *ret);
/* Without brackets. Returns `ret`. */
char *conf_ip_text(const struct conf_ip *ip, char ret[CONF_ADDRESS_TEXT_SIZE]);

/* "192.0.2.0/24", "::1", "[::1]/128"; bits behind the prefix must be zero. */
MUST_CHECK bool conf_network_parse(struct span text, struct conf_network *ret);
bool conf_network_has(const struct conf_network *network, const struct conf_ip *ip);
bool conf_networks_have(const struct conf_networks *networks, const struct conf_ip *ip);
char *conf_network_text(const struct conf_network *network, char ret[CONF_ADDRESS_TEXT_SIZE]);

/* "192.0.2.1:25", "[2001:db8::1]:25". */
MUST_CHECK bool conf_address_parse(struct span text, struct conf_address *ret);
/* AF_INET or AF_INET6; returns the length to pass to bind() or connect(). */
socklen_t conf_address_sockaddr(const struct conf_address *address, struct sockaddr_storage *ret);
MUST_CHECK bool conf_address_from(const struct sockaddr *from, struct conf_address *ret);
char *conf_address_text(const struct conf_address *address, char ret[CONF_ADDRESS_TEXT_SIZE]);
