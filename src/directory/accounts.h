/* directory/accounts.h -- the accounts database (SQLite): who exists, what opens the door, which addresses are whose.
 *
 * The directory process reads it; `goniec account` and panels change it meanwhile (WAL: readers and writers do not
 * wait for each other). Answers are never older than the current turn of the loop, because reading happens in one
 * transaction per turn. Logins and aliases are kept in the spelling of policy/address.h. docs/formats/accounts.md
 * describes the tables, so that a panel may write to them itself.
 *
 * An account is a sender: a leaf of the tree of directory/tree.h, opened by the credentials of directory/credential.h. This
 * header has what a login and a message ask, and what whole accounts need.
 */
#pragma once
#include "base/buf.h"
#include "directory/secret.h"

struct accounts;

#define ACCOUNTS_LOGIN_MAX 511
#define ACCOUNTS_ROOM 6144

/* A sender, and the credential that was asked about. Passed by pointer: spans lie in `room`. */
struct account {
    int64_t row;             /* the sender's node (directory/tree.h) */
    bool suspended;          /* it, or a node above it; of several the highest is told */
    struct span who, reason; /* "customer acme", "unpaid bill" */
    int64_t domain, customer;/* the nodes above it; 0: none */
    bool has_credential;     /* the one that was asked about is this sender's */
    int64_t expires_ms;      /* its end; 0: never. The rest as in directory/credential.h */
    struct span credential, networks, senders;
    char room[ACCOUNTS_ROOM];
};

/* A stored form that a password may be checked against. */
struct account_secret {
    int64_t credential;
    struct span stored; /* borrowed */
};

/* Opens for reading; an older version's tables are brought up to date first. NOT_FOUND: there is no such file yet. EXISTS:
 * it was made by a newer goniec. DENIED, IO, DAMAGED: accounts_why() tells. On any failure `ret` is still an object
 * (accounts_why() speaks of it); NULL only when out of memory. */
MUST_CHECK enum status accounts_open(const char *path, struct accounts **ret);
/* Opens for changes; makes the file (mode 0640, owned by `owner` and `group` unless -1) and its tables, or brings
 * older tables up to date. EXISTS: it was made by a newer goniec. */
MUST_CHECK enum status accounts_open_to_change(const char *path, int owner, int group, struct accounts **ret);
void accounts_close(struct accounts *accounts);
/* A copy of all as it is now, in a new file. */
MUST_CHECK enum status accounts_copy(struct accounts *accounts, const char *path);
const char *accounts_why(const struct accounts *accounts); /* the last failure, for the log */
/* Who makes the changes from now on, for the audit log. */
void accounts_set_who(struct accounts *accounts, struct span who);

/* What was done since the opening, for tests of cost. */
struct accounts_cost {
    uint64_t statements;   /* begun, with those that open and end transactions */
    uint64_t transactions; /* committed */
};
struct accounts_cost accounts_cost(const struct accounts *accounts);

/* The spelling under which a login is kept. SYNTAX: empty, not UTF-8, spaces or control characters. TOO_LONG. */
MUST_CHECK enum status accounts_login_key(struct span login, struct buf *ret);

/* `login` is a key, `credential` an id or 0. One question. NOT_FOUND; IO or DAMAGED: nothing can be said now. */
MUST_CHECK enum status accounts_find(struct accounts *accounts, struct span login, int64_t credential, struct account *ret);
/* What this password may be checked against, the likeliest first, at most `most`; the texts are added to `room`, which must
 * not grow past its ceiling. One question. `ret_n` 0: there is no such login, or it has no password. */
MUST_CHECK enum status accounts_secrets(struct accounts *accounts, struct span login, struct span password, size_t most,
                                        struct buf *room, struct account_secret *ret, size_t *ret_n);
/* The stored form of its credential "password", added to `ret`. NOT_FOUND: it has none. */
MUST_CHECK enum status accounts_password(struct accounts *accounts, struct span login, int64_t *ret_credential, struct buf *ret);
/* Some account's stored form, chosen by `pick`, added to `ret`: NOT_FOUND when there is none. */
MUST_CHECK enum status accounts_any_stored(struct accounts *accounts, uint64_t pick, struct buf *ret);
/* Does the account own the key as an alias? OK, NOT_FOUND, IO, DAMAGED. */
MUST_CHECK enum status accounts_owns(struct accounts *accounts, int64_t row, struct span key);
/* Is the key anybody's login or alias? */
MUST_CHECK enum status accounts_has_address(struct accounts *accounts, struct span key);
/* Calls `each` for up to `most` aliases, in order; `ret_total` is how many there are. */
typedef void accounts_each_alias(void *arg, struct span address);
MUST_CHECK enum status accounts_aliases(struct accounts *accounts, int64_t row, size_t most, accounts_each_alias *each,
                                        void *arg, size_t *ret_total);
/* Ends this turn's view; the next question sees what was changed meanwhile. */
void accounts_turn_end(struct accounts *accounts);

/* One row of `goniec account list`; spans are valid during the call. */
struct accounts_row {
    int64_t row;
    struct span login, name, stored; /* stored: of the credential "password"; empty: none */
    struct span domain, customer;
    bool suspended;                  /* itself */
    struct span reason;
    int64_t created_ms, changed_ms;  /* wall clock */
    size_t aliases, credentials;
};
typedef void accounts_each(void *arg, const struct accounts_row *row);
/* All accounts by login, or the one with this key. NOT_FOUND: it does not exist. */
MUST_CHECK enum status accounts_list(struct accounts *accounts, struct span login, accounts_each *each, void *arg);

/* Changes; each is one transaction (or part of tree_begin()'s), on disk when it returns OK. `login` is a key, `now_ms` the
 * wall clock. */

/* The node that a sender of this login lies below: its domain's, which is made below `customer` (its node; 0: the customer
 * "default") where it is missing; the customer itself for a login that is no address. */
MUST_CHECK enum status accounts_place(struct accounts *accounts, struct span login, int64_t customer, int64_t now_ms,
                                      int64_t *ret_parent);
/* At its place, with the credential "password". EXISTS. */
MUST_CHECK enum status accounts_add(struct accounts *accounts, struct span login, struct span stored, struct span name,
                                    int64_t now_ms);
/* The same below this node. */
MUST_CHECK enum status accounts_add_below(struct accounts *accounts, int64_t parent, struct span login, struct span stored,
                                          struct span name, int64_t now_ms);
/* Of the credential "password", which is made if there is none; if there is, it gets another number, which ends the sessions
 * that the old password opened. NOT_FOUND */
MUST_CHECK enum status accounts_set_stored(struct accounts *accounts, struct span login, struct span stored,
                                           int64_t now_ms);
MUST_CHECK enum status accounts_remove(struct accounts *accounts, struct span login, int64_t now_ms); /* NOT_FOUND */
/* `alias` is a key or a wildcard. NOT_FOUND: no such account. EXISTS: it has it already. */
MUST_CHECK enum status accounts_alias_add(struct accounts *accounts, struct span login, struct span alias, int64_t now_ms);
MUST_CHECK enum status accounts_alias_remove(struct accounts *accounts, struct span login, struct span alias,
                                             int64_t now_ms);
