/* delivery/route.h -- by which way the mail of a domain goes: the operator's rules, read from text.
 *
 * Pure. The ways: `mx`, `smtp://host:port`, `smtps://user:password@host:port`, `lmtp://host:port`, `lmtp:/path/socket`,
 * `discard`, `reject`, `catch`. Name and password may have %40 and the like; an operator's reroute may end with
 * `?tls=none|opportunistic|required|verified`.
 */
#pragma once
#include "delivery/settings.h"
#include "mail/address.h"

#define ROUTE_HOST_MAX 255
#define ROUTE_SECRET_MAX 255
#define ROUTE_PATH_MAX 107 /* of a socket's path */
#define ROUTE_KEY_MAX (ROUTE_HOST_MAX + ROUTE_SECRET_MAX + 64)

enum route_kind { ROUTE_MX, ROUTE_HOST, ROUTE_SOCKET, ROUTE_DISCARD, ROUTE_REJECT, ROUTE_CATCH };

struct route {
    enum route_kind kind;
    bool lmtp;
    bool implicit_tls;              /* TLS from the first octet */
    enum delivery_tls tls;          /* never AUTO */
    char host[ROUTE_HOST_MAX + 1];  /* a name or an IP address without brackets; or the socket's path */
    uint16_t port;
    char user[ROUTE_SECRET_MAX + 1], password[ROUTE_SECRET_MAX + 1]; /* "": no login */
    struct span text;               /* REJECT: what the sender is told; borrowed from the rule */
};

/* Reads one way. SYNTAX: `why` says what is allowed. */
MUST_CHECK enum status route_parse(struct span via, struct route *ret, struct buf *why);
/* The way of a domain: `reroute` if there is one, else the first rule whose pattern fits ("example.org",
 * "*.example.org", "*"), else MX. SYNTAX: `reroute` cannot be read. */
MUST_CHECK enum status route_find(const struct delivery_root *settings, struct span domain, struct span reroute,
                                  struct route *ret);
bool route_fits(struct span pattern, struct span domain);
/* Names the way among all others, without its password: the key of its site. Empty for MX. */
struct span route_key(const struct route *route, char ret[ROUTE_KEY_MAX]);
