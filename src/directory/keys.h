/* directory/keys.h -- the private keys of TLS. They are kept here, beside the passwords, and never where SMTP is parsed.
 *
 * A reload replaces them. Handshakes that began with an older certificate may still want the older key, so that stays for
 * KEYS_KEPT_MS.
 */
#pragma once
#include "base/time.h"
#include "conf/common.h"
#include "loop/loop.h"
#include "net/tls_key.h"
#include "wire/supervisor.h"

#define KEYS_KEPT_MS (5 * TIME_MINUTE_MS)

/* What settings ask for, not in force yet. */
struct key_set {
    struct tls_key *keys[WIRE_BLOBS_MAX];
    unsigned n;
    bool only_tls13;
};
/* NULL: `why` says what is wrong, for people. */
struct key_set *key_set_new(const struct supervisor_settings *settings, const struct conf_tls *tls, struct buf *why);
void key_set_free(struct key_set *set); /* NULL is fine */

struct keys {
    struct loop *loop;
    struct list all;         /* struct kept_key */
    struct loop_timer clean; /* runs while some are only kept */
    int64_t kept_ms;         /* KEYS_KEPT_MS */
    bool only_tls13;
};
void keys_init(struct keys *keys, struct loop *loop);
void keys_done(struct keys *keys);
/* From now on these are in force. Takes them out of `set`. MEMORY: the old ones stay. */
MUST_CHECK enum status keys_replace(struct keys *keys, struct key_set *set);
/* `id`: TLS_KEY_ID octets. NULL: there is none (any more). */
struct tls_key *keys_find(const struct keys *keys, struct span id);
