/* net/proxy.h -- the PROXY protocol's header, versions 1 and 2, by which a proxy in front tells who the client is.
 *
 * Pure. Only ever used on connections from proxies that the settings list. The specification is HAProxy's
 * "The PROXY protocol, versions 1 & 2".
 */
#pragma once
#include "net/address.h"

#define PROXY_HEADER_MAX 1024 /* octets; version 1 ends within 107, version 2 with its extras rarely passes 300 */

struct proxy_header {
    bool local;                /* the proxy speaks for itself (a health check): keep the socket's own addresses */
    struct net_address client; /* source and destination of the original connection; n == 0 for unknown families */
    struct net_address server;
};

/* Takes a whole header off the front of `in`; on OK `in` moves behind it, otherwise neither changes.
 * AGAIN: not complete yet. SYNTAX: this is no PROXY header, close. TOO_LONG: over PROXY_HEADER_MAX, close. */
MUST_CHECK enum status proxy_header_take(struct span *in, struct proxy_header *ret);
