/* mail/notice.h -- a letter of the server's own to one of its users: plain text, to nobody's surprise in 7-bit lines.
 * RFC 5322, RFC 3834 section 5 (Auto-Submitted), RFC 2045.
 */
#pragma once
#include "base/buf.h"
#include "mail/address.h"

struct notice {
    struct span hostname;   /* our name */
    struct span postmaster; /* From: */
    struct span to;         /* a canonical address */
    struct span subject;    /* UTF-8, one line */
    struct span text;       /* UTF-8, lines end with LF */
    uint64_t id;            /* names it: its Message-ID */
    int64_t now_wall_ms;
};

/* Appends the letter. `ret_utf8`: it has to be sent with SMTPUTF8, as `to` is not ASCII. SYNTAX: an address that cannot stand in a
 * header. FULL: it does not fit, or no memory. */
MUST_CHECK enum status notice_write(const struct notice *notice, struct buf *ret, bool *ret_utf8);
