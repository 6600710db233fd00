/* spool/envelope.h -- the envelope as it is stored: who sent it, how it came, and to whom it goes.
 *
 * Decoding borrows every text from the stored octets and checks all of them once, so that reading recipient i of
 * 10,000 afterwards is one look into the offset table. Hostile octets give DAMAGED, never a wild pointer.
 */
#pragma once
#include "base/buf.h"

/* How the message came and what it needs. */
enum {
    SPOOL_8BIT = 1,            /* BODY=8BITMIME, or octets over 127 in it (RFC 6152) */
    SPOOL_SMTPUTF8 = 2,        /* RFC 6531 */
    SPOOL_LEADING_DOTS = 4,    /* some line of headers or body begins with a dot: DATA needs stuffing */
    SPOOL_SUBMISSION = 8,      /* came from a logged-in sender */
    SPOOL_REPORT = 16,         /* a DSN of ours; never answered with another */
    SPOOL_TLS = 32,            /* came over TLS */
    SPOOL_BINARY = 64,         /* BODY=BINARYMIME (RFC 3030); not announced today */
    SPOOL_REQUIRETLS = 128,    /* RFC 8689 */
    SPOOL_LONG_LINES = 256,    /* some line is longer than 998 octets */
};

/* RFC 3461 section 4.3. */
enum spool_ret { SPOOL_RET_NONE, SPOOL_RET_FULL, SPOOL_RET_HDRS };

/* RFC 3461 section 4.1; 0: no NOTIFY was given. */
enum { SPOOL_NOTIFY_NEVER = 1, SPOOL_NOTIFY_SUCCESS = 2, SPOOL_NOTIFY_FAILURE = 4, SPOOL_NOTIFY_DELAY = 8 };

struct spool_recipient {
    struct span address;       /* without angle brackets */
    struct span orcpt;         /* "rfc822;anna@example.org" as given (still xtext); empty: none */
    uint8_t notify;
    uint32_t wait_s;           /* after the acceptance, before the first attempt; 0: none */
};

struct spool_envelope {
    int64_t accepted_wall_ms;
    uint32_t flags;
    enum spool_ret ret;
    struct span account;       /* login; empty for relay mail without one */
    struct span sender;        /* empty: the null sender */
    struct span envid;         /* as given (still xtext) */
    struct span client;        /* address of the client, "192.0.2.1" */
    struct span helo;
    struct span protocol;      /* "ESMTPSA" ... (RFC 3848) */
    uint32_t recipient_count;
    const struct spool_recipient *recipients; /* for encoding; NULL after decoding: spool_envelope_recipient() */
    struct span stored;        /* the octets this was decoded from */
    uint32_t table;            /* where their offset table begins */
};

#define SPOOL_TEXT_MAX 4096u         /* octets of any single text */
#define SPOOL_RECIPIENTS_MAX 100000u

/* Appends the stored form. TOO_LONG: a text or the number of recipients is over its limit; FULL, MEMORY: the buffer. */
MUST_CHECK enum status spool_envelope_encode(const struct spool_envelope *envelope, struct buf *ret);
/* DAMAGED: not an envelope, or a control character where the sender, a recipient, ENVID or ORCPT stands, or a blank in ENVID or ORCPT: whoever writes the
 * log could put commands to other servers in there. Texts and `stored` borrow from `bytes`. */
MUST_CHECK enum status spool_envelope_decode(struct span bytes, struct spool_envelope *ret);
/* Recipient `i` (< recipient_count) of a decoded envelope; O(1). */
struct spool_recipient spool_envelope_recipient(const struct spool_envelope *envelope, uint32_t i);
