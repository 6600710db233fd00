/* directory/accounts.h -- the accounts database (SQLite): who exists, what opens the door, which addresses are whose.
 *
 * The directory process reads it; `goniec account` and panels change it meanwhile (WAL: readers and writers do not
 * wait for each other). Answers are never older than the current turn of the loop, because reading happens in one
 * transaction per turn. Logins and aliases are kept in the spelling of policy/address.h. docs/formats/accounts.md
 * describes the tables, so that a panel may write to them itself.
 */
#pragma once
#include "base/buf.h"
#include "directory/secret.h"

struct accounts;

#define ACCOUNTS_LOGIN_MAX 511

struct account {
    int64_t row;
    bool enabled;
    struct span stored; /* the password's stored form; lies in `room` */
    char room[SECRET_STORED_MAX];
};

/* Opens for reading. NOT_FOUND: there is no such file yet. DENIED, IO, DAMAGED: accounts_why() tells. On any
 * failure `ret` is still an object (accounts_why() speaks of it); NULL only when out of memory. */
MUST_CHECK enum status accounts_open(const char *path, struct accounts **ret);
/* Opens for changes; makes the file (mode 0640, owned by `owner` and `group` unless -1) and its tables, or brings
 * older tables up to date. EXISTS: it was made by a newer goniec. */
MUST_CHECK enum status accounts_open_to_change(const char *path, int owner, int group, struct accounts **ret);
void accounts_close(struct accounts *accounts);
const char *accounts_why(const struct accounts *accounts); /* the last failure, for the log */

/* The spelling under which a login is kept. SYNTAX: empty, not UTF-8, spaces or control characters. TOO_LONG. */
MUST_CHECK enum status accounts_login_key(struct span login, struct buf *ret);

/* `login` is a key. NOT_FOUND; IO or DAMAGED: nothing can be said now. */
MUST_CHECK enum status accounts_find(struct accounts *accounts, struct span login, struct account *ret);
/* Some account's stored form, chosen by `pick`: NOT_FOUND when there is none. */
MUST_CHECK enum status accounts_any_stored(struct accounts *accounts, uint64_t pick, struct account *ret);
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
    struct span login, name, stored;
    bool enabled;
    int64_t created_ms, changed_ms; /* wall clock */
    size_t aliases;
};
typedef void accounts_each(void *arg, const struct accounts_row *row);
/* All accounts by login, or the one with this key. NOT_FOUND: it does not exist. */
MUST_CHECK enum status accounts_list(struct accounts *accounts, struct span login, accounts_each *each, void *arg);

/* Changes; each is one transaction, on disk when it returns OK. `login` is a key, `now_ms` the wall clock. */
MUST_CHECK enum status accounts_add(struct accounts *accounts, struct span login, struct span stored, struct span name,
                                    int64_t now_ms); /* EXISTS */
MUST_CHECK enum status accounts_set_stored(struct accounts *accounts, struct span login, struct span stored,
                                           int64_t now_ms); /* NOT_FOUND */
MUST_CHECK enum status accounts_set_enabled(struct accounts *accounts, struct span login, bool enabled,
                                            int64_t now_ms); /* NOT_FOUND */
MUST_CHECK enum status accounts_remove(struct accounts *accounts, struct span login); /* NOT_FOUND */
/* `alias` is a key or a wildcard. NOT_FOUND: no such account. EXISTS: it has it already. */
MUST_CHECK enum status accounts_alias_add(struct accounts *accounts, struct span login, struct span alias);
MUST_CHECK enum status accounts_alias_remove(struct accounts *accounts, struct span login, struct span alias);
