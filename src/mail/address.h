/* mail/address.h -- the addresses of mail, as SMTP writes them.
 *
 * Pure: no allocation, no DNS; the spans of a parsed address are borrowed from the text it was parsed from.
 * `%`, `!` and a second `@` have no meaning here: what is not the grammar is refused, never guessed.
 * RFC 5321 sections 4.1.2 and 4.1.3 (grammar), 4.5.3.1 (sizes), appendix C (source routes), RFC 6531 section 3.3 (UTF-8).
 */
#pragma once
#include "base/span.h"
#include "base/status.h"

/* RFC 5321 section 4.5.3.1.1 asks for 64 at least; rewritten senders (SRS, VERP) are longer in real life. */
#define ADDRESS_LOCAL_MAX 255
#define ADDRESS_DOMAIN_MAX 255 /* RFC 5321 section 4.5.3.1.2 */
#define ADDRESS_MAX (ADDRESS_LOCAL_MAX + 1 + ADDRESS_DOMAIN_MAX)
#define ADDRESS_ROUTE_MAX 1024 /* octets of a source route, which is stripped */

/* What a caller takes beside plain ASCII local@domain. */
enum {
    ADDRESS_NULL = 1,       /* "<>", the sender of reports; local and domain are empty then */
    ADDRESS_POSTMASTER = 2, /* "<postmaster>" in any case; the domain is empty then (RFC 5321 section 4.1.1.3) */
    ADDRESS_UTF8 = 4,       /* SMTPUTF8 was asked for */
    ADDRESS_LOCAL = 8,      /* any local part without a domain: for rules and settings, not for SMTP */
};

struct address {
    struct span text;   /* the whole, without < > and source route */
    struct span local;  /* as written, with its quotes */
    struct span domain; /* as written; with its brackets when it is a literal */
    bool is_quoted;     /* the local part is a quoted string */
    bool is_literal;    /* the domain is [1.2.3.4] or [IPv6:...] */
    bool is_utf8;       /* something in it is not ASCII: it can only travel with SMTPUTF8 */
};

static inline bool address_is_null(const struct address *address) { return address->text.n == 0; }

/* Takes a path ("<...>") off the front of `in`, as it stands behind MAIL FROM: and RCPT TO:.
 *
 * On OK `in` begins behind the ">"; otherwise neither changes. SYNTAX: not a path, or something in it that
 * `allow` does not include. TOO_LONG: a part is over its limit. DENIED: it would be one with ADDRESS_UTF8.
 */
MUST_CHECK enum status address_path_take(struct span *in, unsigned allow, struct address *ret);
/* The same for a whole text without brackets and source route: "anna@example.org". */
MUST_CHECK enum status address_parse(struct span text, unsigned allow, struct address *ret);

/* A domain alone ("example.org", "[192.0.2.1]"); `allow` matters for ADDRESS_UTF8. */
MUST_CHECK enum status address_domain_check(struct span domain, unsigned allow);
/* Copies it with its ASCII letters made lower case. Returns the text, which lies in `ret`.
 * `domain` must be one that was checked. */
struct span address_domain_lower(struct span domain, char ret[ADDRESS_DOMAIN_MAX]);

/* Local part as it is, quotes removed where they are needless; domain in lower case. Two addresses are the same
 * exactly when these are. Returns the text, which lies in `ret`; never longer than address->text. */
struct span address_canonical(const struct address *address, char ret[ADDRESS_MAX]);
/* The local part without quotes and backslashes: what it means. Lies in `ret`. */
struct span address_local_plain(const struct address *address, char ret[ADDRESS_LOCAL_MAX]);
/* The canonical form of the address whose plus-address this one is: "anna+shop@a.org" -> "anna@a.org". One
 * without a plus sign behind its first octet, and one that needs its quotes, is its own base. */
struct span address_base(const struct address *address, char ret[ADDRESS_MAX]);

/* Local parts octet for octet, quotes aside; domains ignoring case. */
bool address_eq(const struct address *a, const struct address *b);
/* Both ignoring case: how we recognise our own accounts. */
bool address_eq_case(const struct address *a, const struct address *b);
