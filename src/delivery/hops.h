/* delivery/hops.h -- from a domain to the servers that take its mail, and from a server to its addresses.
 *
 * RFC 5321 section 5.1 (MX, equal preferences shuffled, the domain itself where there is none), RFC 7505 (null MX).
 */
#pragma once
#include "base/buf.h"
#include "mail/status_code.h"
#include "net/dns.h"

#define HOPS_MAX 50             /* hosts of one domain that are looked at */
#define HOPS_ADDRESSES_MAX 32   /* addresses of one host */

enum hops_result { HOPS_OK, HOPS_DEFERRED, HOPS_FAILED };

struct hop {
    char name[DNS_NAME_MAX];
    uint16_t preference;
};

/* Why there is nowhere to go. */
struct hops_trouble {
    enum hops_result result;
    int code;                   /* 556 for a null MX (RFC 7504, RFC 7505), else 0 */
    struct status_code enhanced;
    char text[200];
};

struct hops {
    struct hops_trouble trouble;
    struct hop *list;           /* in the order in which they are tried */
    unsigned count;
    bool is_implicit;           /* the domain has no MX: its own address is meant */
    uint32_t ttl_s;
};

struct hop_addresses {
    struct hops_trouble trouble; /* DEFERRED: ask again later; FAILED: the host has no address */
    struct net_address list[HOPS_ADDRESSES_MAX]; /* IPv6 and IPv4 by turns */
    unsigned count;
    uint32_t ttl_s;
};

struct hops_query;
typedef void hops_done(void *arg, struct hops *hops);                        /* `list` is the handler's: hops_free() */
typedef void hops_addresses_done(void *arg, const struct hop_addresses *addresses); /* borrowed */

/* `self` is our own name: a host of that name, and all that are no better, are left out (RFC 5321 section 5.1);
 * 5.4.6 when none is left. `random` seeds the shuffle. `done` is called once, never inside this call. NULL: out of
 * memory, or too many questions. */
struct hops_query *hops_ask(struct dns *dns, struct span domain, struct span self, uint64_t random, hops_done *done, void *arg);
void hops_free(struct hops *hops);
/* `want6`, `want4`: which kinds. The addresses get `port`. */
struct hops_query *hops_ask_addresses(struct dns *dns, struct span host, uint16_t port, bool want6, bool want4,
                                      hops_addresses_done *done, void *arg);
void hops_cancel(struct hops_query *query); /* NULL is fine */

/* A domain literal ("[192.0.2.1]", "[IPv6:2001:db8::1]") or a plain IP address. */
MUST_CHECK bool hops_literal(struct span domain, uint16_t port, struct net_address *ret);
/* "mx:" and the hosts, sorted: the same for all domains with the same set. Longer ones end with a hash. */
struct span hops_key(const struct hops *hops, struct buf *ret);
