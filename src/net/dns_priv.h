/* net/dns_priv.h -- the parts of net/dns.h: libunbound's events over our loop, and its packets read. */
#pragma once
#include "net/dns.h"
#include <unbound.h>
#include <unbound-event.h>

/* An event base for libunbound. `loop` must outlive the context; events free themselves through their own table. */
struct dns_event_base {
    struct ub_event_base base; /* first: libunbound sees only this */
    struct loop *loop;
};
void dns_event_base_init(struct dns_event_base *base, struct loop *loop);

/* Reads a DNS message (RFC 1035 section 4): CNAMEs are followed from `name`, the records of `type` found at their end are
 * taken, in their order. `records` has room for DNS_RECORDS_MAX, `canonical` for DNS_NAME_MAX. Spans point into
 * `packet`. Sets everything of `ret` but `security`. DAMAGED: unreadable; `ret` untouched. Pure. */
MUST_CHECK enum status dns_packet_read(struct span packet, struct span name, uint16_t type, struct dns_record *records,
                                       char *canonical, struct dns_answer *ret);
/* The forwarders of a resolv.conf(5): 0, or a ub_ctx_err. None: the one of this machine. */
int dns_add_resolvers(struct ub_ctx *context, struct span text);
/* The names of a hosts(5) file; lines that are wrong are passed over. */
void dns_add_hosts(struct ub_ctx *context, struct span text);

/* Could this be a name to ask for? Letters, digits, hyphens, underscores; at most 253 octets (RFC 1035 section 2.3.4). */
bool dns_name_is_good(struct span name);
