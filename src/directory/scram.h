/* directory/scram.h -- SCRAM-SHA-256 (RFC 5802, RFC 7677): what is stored instead of a password, and the server's half of a login.
 *
 * The client proves that it knows the password and learns that the server does; the password itself does not cross the wire,
 * and what the server stores opens no door. With -PLUS the proof holds for one TLS connection only (channel binding).
 *
 * Pure but for chance: messages in, messages out. Done here because GNU SASL's server knows no tls-server-end-point
 * (RFC 5929), wants its secrets by callbacks on the spot, and wipes nothing; passwords are prepared by it (SASLprep), and
 * its client is what this is tested with.
 *
 *     scram_begin()         what this connection can be bound to
 *     scram_first()         the client's first message -> its login
 *     scram_challenge()     what is stored for that login -> the answer
 *     scram_final()         the client's second message: is its proof right?
 *     scram_signature()     the last word, by which the client sees that we know it, too
 */
#pragma once
#include "base/buf.h"

#define SCRAM_HASH 32                    /* octets */
#define SCRAM_SALT 16                    /* octets of ours */
#define SCRAM_SALT_MAX 64
#define SCRAM_ITERATIONS_LEAST 4096      /* RFC 7677 section 4 */
#define SCRAM_ITERATIONS_MOST 10000000
#define SCRAM_MESSAGE_MAX 2048           /* octets of a message */
#define SCRAM_NONCE_MAX 256              /* octets of the client's */
#define SCRAM_BINDING_MAX 64

/* -- what is stored: "{SCRAM-SHA-256}iterations,salt,StoredKey,ServerKey" (base64), as Dovecot writes it, or
 *    "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey", as PostgreSQL does (RFC 5803) -- */

struct scram_verifier {
    uint32_t iterations;
    uint32_t salt_n;
    unsigned char salt[SCRAM_SALT_MAX], stored[SCRAM_HASH], server[SCRAM_HASH];
};

bool scram_is_verifier(struct span text); /* looks at the beginning only */
MUST_CHECK enum status scram_verifier_parse(struct span text, struct scram_verifier *ret); /* SYNTAX */
enum status scram_verifier_print(const struct scram_verifier *verifier, struct buf *ret);
/* Slow by purpose (PBKDF2). Uses `salt_n` and `salt` of `ret`, which the caller has filled, and its `iterations`. */
MUST_CHECK enum status scram_verifier_fill(struct span password, struct scram_verifier *ret); /* MEMORY */
/* Is this the password? As slow. OK, DENIED, MEMORY. */
MUST_CHECK enum status scram_verifier_check(const struct scram_verifier *verifier, struct span password);
/* For a login that nobody has: the same salt each time, and keys that no password fits. */
void scram_verifier_fake(const unsigned char secret[SCRAM_HASH], struct span login, uint32_t iterations, uint32_t salt_n,
                         struct scram_verifier *ret);

/* -- a login -- */

/* Channel bindings of this connection; empty: it has none of that kind. Borrowed until scram_begin() returns. */
struct scram_bindings {
    struct span exporter, unique, end_point;
};

enum scram_result {
    SCRAM_GOOD,
    SCRAM_BROKEN,     /* not what the grammar allows */
    SCRAM_OTHER,      /* wants to act for another login */
    SCRAM_WRONG,      /* the proof is of another password */
    SCRAM_UNBOUND,    /* bound to another connection: who sent it does not talk to us, but to somebody between */
    SCRAM_NO_SUCH_BINDING, /* of a kind that this connection does not have */
    SCRAM_DOWNGRADED, /* the client was told that we cannot bind logins, and we did not tell it so */
};

struct scram;

/* NULL: out of memory. `plus`: SCRAM-SHA-256-PLUS. */
struct scram *scram_begin(bool plus, const struct scram_bindings *bindings);
void scram_free(struct scram *scram); /* wipes; NULL is fine */
/* GOOD: `ret_login` got what the client calls itself. BROKEN, OTHER, NO_SUCH_BINDING, DOWNGRADED. */
MUST_CHECK enum scram_result scram_first(struct scram *scram, struct span message, struct buf *ret_login);
/* Adds the server's first message to `ret`. `verifier` is copied. */
enum status scram_challenge(struct scram *scram, const struct scram_verifier *verifier, struct buf *ret);
/* Is that the verifier of the challenge? (It may have been changed meanwhile.) */
bool scram_is_of(const struct scram *scram, const struct scram_verifier *verifier);
/* GOOD, BROKEN, WRONG, UNBOUND. */
MUST_CHECK enum scram_result scram_final(struct scram *scram, struct span message);
/* Adds the server's last message. Only after GOOD. */
enum status scram_signature(const struct scram *scram, struct buf *ret);
