/* mail/dsn.h -- writes the reports that go back to a sender: failed, late, delivered, relayed, expanded.
 *
 * Pure: structs in, a whole message out (header, empty line, body; CRLF line ends). The envelope is the caller's:
 * null sender, to the original sender. What other servers said is hostile text and is made safe here: one line,
 * bounded, and UTF-8 only where the report is labelled so.
 * RFC 3461 (what is owed), RFC 3464 (fields), RFC 6522 (multipart/report), RFC 6533 (UTF-8 addresses), RFC 3834.
 */
#pragma once
#include "base/buf.h"
#include "mail/status_code.h"

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };
enum dsn_return { DSN_RETURN_HEADERS, DSN_RETURN_FULL };

#define DSN_RECIPIENTS_MAX 1000 /* written out in one report; the caller splits longer lists */
#define DSN_TEXT_MAX 1000       /* octets kept of another server's words */

struct dsn_recipient {
    struct span address;          /* whom we tried */
    struct span original;         /* ORCPT as it was given, "rfc822;..." still in xtext; or empty */
    enum dsn_action action;
    struct status_code status;    /* 5.1.1 and so on */
    struct span remote_host;      /* the server that spoke, by name; empty when none was reached */
    struct span remote_address;   /* its IP address; or empty */
    int reply;                    /* its SMTP reply code, 0 when there was none */
    struct span text;             /* its own words with their enhanced code (with reply), or our reason (without) */
    int64_t attempt_wall_ms;      /* the last attempt; 0 when there was none */
    int64_t retry_until_wall_ms;  /* for DELAYED: until when it is tried; 0 leaves it out */
};

struct dsn {
    struct span hostname;         /* our name */
    struct span postmaster;       /* From: of the report ("postmaster@example.org") */
    struct span to;               /* the original sender: the header's To: */
    uint64_t report_id;           /* names the report: its Message-ID and boundary */
    uint64_t message_id;          /* the message that it tells about, as our log calls it */
    int64_t now_wall_ms;
    int64_t arrival_wall_ms;      /* when we accepted it */
    struct span envid;            /* ENVID in xtext, or empty */
    struct span received_from;    /* name the client gave itself, or empty */
    const struct dsn_recipient *recipients;
    size_t recipient_count;       /* 1 .. DSN_RECIPIENTS_MAX */
    struct span header;           /* the original's header block without the empty line; or empty */
    struct span body;             /* the original's body (behind the empty line); may be empty when not wanted */
    enum dsn_return ret;          /* RET; FULL falls back to HEADERS over `return_max` */
    size_t return_max;            /* octets of the original that are returned at most */
};

/* Appends the report to `ret`. `ret_utf8` says whether it has to be sent with SMTPUTF8 (the sender's own address
 * is not ASCII; other people's are written in the ASCII form of RFC 6533). FULL: it does not fit, or no memory. */
MUST_CHECK enum status dsn_write(const struct dsn *dsn, struct buf *ret, bool *ret_utf8);
