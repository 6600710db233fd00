/* net/tls_key.h -- a private key in the process that keeps it: signs what a TLS server signs in a handshake, and nothing else.
 *
 * Who serves TLS has only the certificate (net/tls.h: struct tls_signer) and sends what is to be signed. It may have been
 * broken into, so what it sends is looked at: whatever does not have the form of a server's handshake is refused.
 * A key may be used by several threads at once; references are counted by one.
 */
#pragma once
#include "net/tls.h"

struct tls_key;
/* `pem`: without a passphrase. SYNTAX or DENIED with a sentence in `error`; MEMORY. */
MUST_CHECK enum status tls_key_new(struct span pem, char error[TLS_ERROR_SIZE], struct tls_key **ret);
struct tls_key *tls_key_ref(struct tls_key *key);
void tls_key_unref(struct tls_key *key); /* NULL is fine; the last one overwrites the key */
const unsigned char *tls_key_id(const struct tls_key *key); /* TLS_KEY_ID octets */
/* A signature takes less time than waking another thread up for it (P-256, Ed25519). */
bool tls_key_is_quick(const struct tls_key *key);

/* The form of what a server signs: TLS 1.3's CertificateVerify (RFC 8446 section 4.4.3), or TLS 1.2's parameters of
 * ECDHE behind both randoms (RFC 8422 section 5.4), of which ours says that TLS 1.3 would have been possible
 * (RFC 8446 section 4.1.3), so that nobody can use it against a client that speaks it. SYNTAX: something else. */
MUST_CHECK enum status tls_content_check(struct span content, bool only_tls13);
/* `scheme`: RFC 8446 section 4.2.3. SYNTAX: tls_content_check(); DENIED: not with this key; MEMORY. */
MUST_CHECK enum status tls_key_sign(const struct tls_key *key, uint16_t scheme, struct span content, bool only_tls13,
                                    unsigned char ret[TLS_SIGNATURE_MAX], size_t *ret_n);
