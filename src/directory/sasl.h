/* directory/sasl.h -- the words of a login: PLAIN (RFC 4616), LOGIN (the old habit of many mail programs), SCRAM-SHA-256 and
 * SCRAM-SHA-256-PLUS (directory/scram.h).
 *
 * Pure: messages in; a challenge, the credentials or a proof out. Done here and not by a SASL library because credentials
 * are checked on another thread while the exchange waits, and because every copy of a password has to be wiped.
 */
#pragma once
#include "base/buf.h"
#include "directory/scram.h"

#define SASL_FIELD_MAX 1024 /* octets of a login or a password as the client sent it */

enum sasl_step {
    SASL_CHALLENGE,   /* send `challenge`, wait for the client */
    SASL_CREDENTIALS, /* `login` and `password` are there; no more messages come */
    SASL_LOGIN,       /* SCRAM: `login` is there; sasl_verifier() goes on */
    SASL_PROOF,       /* SCRAM: `proof_fits` tells; if that may count, sasl_accept() goes on */
    SASL_DONE,        /* SCRAM: the client has seen our signature: logged in */
    SASL_BROKEN,      /* not what the mechanism allows: 501 5.5.2 */
    SASL_DENIED,      /* answered as a wrong password; `why` tells */
    SASL_UNBOUND,     /* SCRAM: the login is not of this connection; `why` tells */
};

struct sasl_mechanism;

struct sasl {
    const struct sasl_mechanism *mechanism; /* NULL: not begun */
    unsigned stage;
    struct span challenge;     /* lies here, or static text; until the next call */
    const char *why;           /* of a denial, for the log */
    bool proof_fits;
    struct buf login, password;
    struct buf words;          /* the challenge of SCRAM */
    struct scram *scram;
};

/* All that sasl_begin() knows, with a space between; `with_scram` false: without SCRAM. */
struct span sasl_names(bool with_scram);
/* NOT_FOUND: no such mechanism; MEMORY. `ret` needs no care before, and sasl_done() after OK. */
MUST_CHECK enum status sasl_begin(struct span name, const struct scram_bindings *bindings, struct sasl *ret);
void sasl_done(struct sasl *sasl); /* wipes */
const char *sasl_name(const struct sasl *sasl);
/* One message of the client. `initial` without content is given as `has_message` false when the client
 * sent none: the mechanism then asks. */
enum sasl_step sasl_feed(struct sasl *sasl, bool has_message, struct span message);
/* After LOGIN: what is stored for it. CHALLENGE; BROKEN without memory. */
enum sasl_step sasl_verifier(struct sasl *sasl, const struct scram_verifier *verifier);
/* After PROOF. CHALLENGE; BROKEN without memory. */
enum sasl_step sasl_accept(struct sasl *sasl);
