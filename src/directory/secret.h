/* directory/secret.h -- passwords and what is stored instead of them.
 *
 * Stored forms: those of crypt(3) ($y$ yescrypt, $2b$ $2y$ $2a$ bcrypt, $6$ and $5$ SHA-crypt) and $argon2id$
 * or $argon2i$ (libsodium), and verifiers of SCRAM-SHA-256 (directory/scram.h). New ones are yescrypt and a verifier. Pure computation and slow by purpose: called from worker
 * threads; touches nothing shared.
 */
#pragma once
#include "base/buf.h"

#define SECRET_STORED_MAX 384   /* octets of a stored form (crypt(3): CRYPT_OUTPUT_SIZE), and of two of ours */
#define SECRET_PASSWORD_MAX 511 /* octets (crypt(3): CRYPT_MAX_PASSPHRASE_SIZE) */

/* Call once, before threads start. */
MUST_CHECK enum status secret_init(void);

/* OK: this is the password. DENIED: it is not. SYNTAX: the stored form is none of ours.
 * MEMORY: the hash could not be computed now. */
MUST_CHECK enum status secret_check(struct span stored, struct span password);
/* Adds the stored form of `password` to `ret`. SYNTAX: secret_complaint() tells. IO. */
MUST_CHECK enum status secret_make(struct span password, struct buf *ret);
/* What is wrong with a password that is to be set, for a person; NULL: nothing. */
const char *secret_complaint(struct span password);
/* Fewer than 8 characters (NIST SP 800-63B section 5.1.1.1): worth a warning. */
bool secret_is_short(struct span password);
/* May such a password have been set at all? Well-formed UTF-8 without control characters (RFC 4013 section 2.3). */
bool secret_is_text(struct span password);

/* What is stored for an account may be two of these forms, a line each: a hash, and a verifier of SCRAM. The one that a
 * password is checked against, which is the hash where there is one; the verifier, or SPAN_NONE. */
struct span secret_for_password(struct span stored);
struct span secret_for_scram(struct span stored);

#define SECRET_ITERATIONS 32768 /* of verifiers, where no setting says otherwise */
struct secret_wish {
    bool hash, scram;      /* one of them at least */
    uint32_t iterations;   /* of the verifier */
};
/* Adds what is to be stored for a new password. SYNTAX: secret_complaint() tells. IO, MEMORY. */
MUST_CHECK enum status secret_make_wished(struct span password, const struct secret_wish *wish, struct buf *ret);

/* Takes a scheme in front as some panels store it ("{BLF-CRYPT}$2y$...") off; SYNTAX: the rest is none of ours. */
MUST_CHECK enum status secret_import(struct span text, struct span *ret);
/* "yescrypt", "bcrypt", ...; NULL for what is none of ours. */
const char *secret_form(struct span stored);
/* A stored form that no password fits, as slow as our own. */
struct span secret_nobody(void);
