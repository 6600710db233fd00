/* directory/secret.h -- passwords and what is stored instead of them.
 *
 * Stored forms: those of crypt(3) ($y$ yescrypt, $2b$ $2y$ $2a$ bcrypt, $6$ and $5$ SHA-crypt) and $argon2id$
 * or $argon2i$ (libsodium). New ones are yescrypt. Pure computation and slow by purpose: called from worker
 * threads; touches nothing shared.
 */
#pragma once
#include "base/buf.h"

#define SECRET_STORED_MAX 384   /* octets of a stored form (crypt(3): CRYPT_OUTPUT_SIZE) */
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

/* Takes a scheme in front as some panels store it ("{BLF-CRYPT}$2y$...") off; SYNTAX: the rest is none of ours. */
MUST_CHECK enum status secret_import(struct span text, struct span *ret);
/* "yescrypt", "bcrypt", ...; NULL for what is none of ours. */
const char *secret_form(struct span stored);
/* A stored form that no password fits, as slow as our own. */
struct span secret_nobody(void);
