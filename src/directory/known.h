/* directory/known.h -- to whom everybody has written before (limits/new_recipients.h), kept in a database of its own beside the
 * accounts' ("accounts.db-known"): keyed hashes of addresses, a few octets each.
 *
 * Read when somebody sends, written a second later. What was written to for the last time KNOWN_DAYS ago by an account that sends
 * nothing any more is forgotten. Without the file all goes on from what is in memory.
 */
#pragma once
#include "base/log.h"
#include "base/list.h"
#include "base/map.h"
#include "limits/new_recipients.h"

#define KNOWN_DAYS 400
#define KNOWN_MEMORY (size_t)(64u << 20) /* octets of sets in memory; those not used for longest are written and given up */

struct known {
    struct map map;
    struct list by_use;         /* struct known_set: the latest used first */
    struct list dirty;          /* those that have to be written */
    size_t octets;
    struct log *log;
    char *path;
    struct sqlite3 *db;         /* opened at first use */
    struct sqlite3_stmt *get, *put;
    uint64_t key;
    bool is_open;               /* or was tried */
    bool is_broken;             /* told */
};

/* `database`: the accounts'. MEMORY. */
MUST_CHECK enum status known_init(struct known *known, struct log *log, const char *database);
void known_done(struct known *known, int64_t wall_ms); /* writes what has to be */
/* Has the account written to this address before? */
bool known_has(struct known *known, struct span account, struct span address);
void known_add(struct known *known, struct span account, struct span address);
/* Writes what changed, some megabytes at a time. */
void known_write(struct known *known, int64_t wall_ms);
