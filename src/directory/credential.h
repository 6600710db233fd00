/* directory/credential.h -- what opens the door for a sender: its password, app passwords, each revocable alone.
 *
 * A sender has any number of credentials (up to CREDENTIALS_MAX), told apart by name. One that goniec made begins with its
 * handle ("k3fw9z-..."), which is no secret: a password that begins so is checked against that credential alone, so that many
 * cost no more hashes than one. Those without a handle (the sender's own password, what a panel brought ready-made) are tried
 * one after the other, so there are at most CREDENTIALS_BARE_MAX of them.
 */
#pragma once
#include "directory/accounts.h"

#define CREDENTIALS_MAX 64          /* of one sender */
#define CREDENTIALS_BARE_MAX 4      /* of these without a handle */
#define CREDENTIALS_TRIED_MAX (CREDENTIALS_BARE_MAX + 1) /* one may fit by its handle */
#define CREDENTIAL_NAME_MAX 64
#define CREDENTIAL_HANDLE 6         /* octets of a handle, without the hyphen behind it */
#define CREDENTIAL_TEXT_MAX 2048    /* octets of its networks, senders or limits */
#define CREDENTIAL_PASSWORD "password" /* the name of a sender's own */

struct credential {
    int64_t id, sender;
    struct span name;
    struct span handle;    /* empty: none */
    struct span stored;    /* stored forms of the password (directory/secret.h) */
    int64_t expires_ms;    /* wall clock; 0: never */
    struct span networks;  /* from where alone it opens, with a space between; empty: from anywhere */
    struct span senders;   /* as whom alone it may send: addresses or *@domain, with a space between; empty: as the sender may */
    struct span limits;    /* rules of its own, one a line */
    int64_t created_ms, changed_ms;
};

/* Calls `each` for the sender's credentials, by name; the spans are valid during the call. */
typedef void credential_each(void *arg, const struct credential *credential);
MUST_CHECK enum status credential_list(struct accounts *accounts, int64_t sender, credential_each *each, void *arg);

/* `credential->sender` and `name` say which; id and times are not looked at. EXISTS: the name, or the handle, is taken.
 * FULL: CREDENTIALS_MAX or CREDENTIALS_BARE_MAX. */
MUST_CHECK enum status credential_add(struct accounts *accounts, const struct credential *credential, int64_t now_ms);
/* Instead of what it was, but for its times. NOT_FOUND. */
MUST_CHECK enum status credential_set(struct accounts *accounts, const struct credential *credential, int64_t now_ms);
MUST_CHECK enum status credential_revoke(struct accounts *accounts, int64_t sender, struct span name, int64_t now_ms);

/* What may be the handle of this password: its first octets, if a hyphen is behind them; or "-", which is no handle. */
struct span credential_handle_of(struct span password);
/* A new handle and password ("k3fw9z-abcde-..."); the handle is its first CREDENTIAL_HANDLE octets. IO: no chance. */
MUST_CHECK enum status credential_generate(struct buf *ret);
/* May somebody from this address (text) use it? True when `networks` is empty. */
bool credential_allows_network(struct span networks, struct span client);
/* Is this key (policy/address.h), or its base or domain, among `senders`? True when that is empty. */
bool credential_allows_sender(struct span senders, struct span address);
/* Do the texts hold what they may? False: `why`. */
MUST_CHECK bool credential_check(const struct credential *credential, struct buf *why);
