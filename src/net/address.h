/* net/address.h -- where a socket is: IPv4, IPv6 or a path of this machine, as bytes and as text.
 *
 * Text: `192.0.2.1:25`, `[2001:db8::1]:25`, `unix:/run/x.sock`. No name is ever looked up here.
 */
#pragma once
#include "base/span.h"
#include "base/status.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct net_address {
    socklen_t n; /* octets used of `as`; 0: no address */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } as;
};

#define NET_ADDRESS_NONE ((struct net_address){ 0 })
#define NET_ADDRESS_TEXT 128 /* octets that every printed form fits into, with NUL (an overlong path is cut) */

/* `1.2.3.4:25`, `[::1]:25`, `unix:/path`, and without a port where `default_port` is not 0.
 * SYNTAX: anything else, also a name. */
MUST_CHECK enum status net_address_parse(struct span text, uint16_t default_port, struct net_address *ret);
/* An IP address without a port: `1.2.3.4`, `::1`, `[::1]`; the port becomes `port`. */
MUST_CHECK enum status net_address_parse_ip(struct span text, uint16_t port, struct net_address *ret);
/* From the 4 or 16 octets of an A or AAAA record. */
struct net_address net_address_ip4(const void *octets, uint16_t port);
struct net_address net_address_ip6(const void *octets, uint16_t port);

uint16_t net_address_port(const struct net_address *address); /* 0 for a path */
void net_address_set_port(struct net_address *address, uint16_t port);

/* With the port, as net_address_parse() reads it. Returns `ret`; "unknown" for no address. */
char *net_address_text(const struct net_address *address, char ret[NET_ADDRESS_TEXT]);
/* The IP address alone, IPv4-mapped ones as IPv4; "local" for a path. */
char *net_address_ip_text(const struct net_address *address, char ret[NET_ADDRESS_TEXT]);
/* The octets of the IP address in network order (IPv4-mapped ones as 4 octets); empty for a path. For
 * network lists (conf/network.h) and as a key for counting. */
struct span net_address_octets(const struct net_address *address);
bool net_address_same_ip(const struct net_address *a, const struct net_address *b); /* the port does not count */
bool net_address_is_loopback(const struct net_address *address);

/* Who is at the other end / at this end of the socket. IO: errno. */
MUST_CHECK enum status net_address_peer(int fd, struct net_address *ret);
MUST_CHECK enum status net_address_local(int fd, struct net_address *ret);
