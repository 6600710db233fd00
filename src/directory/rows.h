/* directory/rows.h -- the accounts' tables as rows of JSON: what a change touched, and rows that others have changed.
 *
 * Knows no column by name: keys are JSON lists of the table's primary key, rows JSON objects of all columns. Tables: nodes, credentials,
 * settings, aliases; the audit log is each machine's own.
 */
#pragma once
#include "directory/accounts.h"

/* `row` NULL: it is gone. Texts are valid during the call. False: stop. */
typedef bool accounts_each_changed(void *arg, const char *table, const char *key, const char *row);

/* A transaction around all that follows, whatever it begins and ends itself; what it touches is noted. */
MUST_CHECK enum status accounts_hold(struct accounts *accounts);
/* Calls `each` for what was touched; `all`: for everything that there is. */
MUST_CHECK enum status accounts_rows_changed(struct accounts *accounts, bool all, accounts_each_changed *each, void *arg);
/* Ends the hold. `good` false, or something inside was rolled back: nothing was changed. DENIED says the latter. */
MUST_CHECK enum status accounts_release(struct accounts *accounts, bool good);
bool accounts_hold_is_good(const struct accounts *accounts);

/* Whose rows these are, and up to which change. An empty id: nobody's but this machine's. */
MUST_CHECK enum status accounts_rows_state(struct accounts *accounts, struct buf *id, int64_t *ret_revision);
MUST_CHECK enum status accounts_rows_set_state(struct accounts *accounts, const char *id, int64_t revision);

/* Others' rows, in one transaction: begin, put those that are gone, then the others, end. `anew`: all that is there goes first. */
MUST_CHECK enum status accounts_rows_begin(struct accounts *accounts, bool anew);
MUST_CHECK enum status accounts_rows_put(struct accounts *accounts, const char *table, const char *key, const char *row);
MUST_CHECK enum status accounts_rows_end(struct accounts *accounts, bool good, const char *id, int64_t revision);
