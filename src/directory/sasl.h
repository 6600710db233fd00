/* directory/sasl.h -- the words of a login: PLAIN (RFC 4616) and LOGIN (the old habit of many mail programs).
 *
 * Pure: messages in, a challenge or the credentials out. Done here and not by a SASL library because the
 * credentials are then checked on another thread while the exchange waits, and because every copy of a
 * password has to be wiped; both mechanisms are a few lines.
 */
#pragma once
#include "base/buf.h"

#define SASL_FIELD_MAX 1024 /* octets of a login or a password as the client sent it */

enum sasl_step {
    SASL_CHALLENGE,   /* send `challenge`, wait for the client */
    SASL_CREDENTIALS, /* `login` and `password` are there; no more messages come */
    SASL_BROKEN,      /* not what the mechanism allows: 501 5.5.2 */
    SASL_DENIED,      /* wants to act for somebody else: answered as a wrong password */
};

struct sasl_mechanism;

struct sasl {
    const struct sasl_mechanism *mechanism; /* NULL: not begun */
    unsigned stage;
    struct span challenge; /* static text */
    struct buf login, password;
};

/* All that sasl_begin() knows: "PLAIN LOGIN". */
struct span sasl_names(void);
/* NOT_FOUND: no such mechanism. `ret` needs no care before, and sasl_done() after. */
MUST_CHECK enum status sasl_begin(struct span name, struct sasl *ret);
void sasl_done(struct sasl *sasl); /* wipes */
/* One message of the client. `initial` without content is given as `has_message` false when the client
 * sent none: the mechanism then asks. */
enum sasl_step sasl_feed(struct sasl *sasl, bool has_message, struct span message);
