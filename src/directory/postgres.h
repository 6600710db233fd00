/* directory/postgres.h -- the accounts of several machines in PostgreSQL: two tables, which are made where they are missing.
 *
 *     goniec_state   one row: id (of this set of accounts), revision (of its last change)
 *     goniec_rows    name (of a table), key, row (JSON; NULL: gone), revision
 *
 * Who changes holds the lock of goniec_state's row until his end, so revisions become visible in their order. Each call waits for the server,
 * a few seconds at most. docs/several-machines.md.
 */
#pragma once
#include "directory/rows.h"

struct postgres;

/* Adds the connection string: the setting itself or, if that is an absolute path, what stands in that file, with the host's addresses where it has
 * a name. False: `why` says it. */
MUST_CHECK bool postgres_place(const char *setting, struct buf *ret, struct buf *why);
#define POSTGRES_FILES_MOST 5
/* The files, by absolute paths, that connecting reads: certificates, their key, passwords; at most POSTGRES_FILES_MOST. */
void postgres_files(const char *place, void (*on_file)(void *arg, struct span path), void *arg);
/* NULL: `why` says it. */
struct postgres *postgres_new(const char *place, struct buf *why);
void postgres_free(struct postgres *postgres); /* what was begun and not ended is undone */

/* False: the connection is of no use any more, and postgres_why() tells. */
const char *postgres_why(const struct postgres *postgres);
/* Begins: `to_change` with the lock. What there is then. `id` is at most 64 octets. */
MUST_CHECK bool postgres_begin(struct postgres *postgres, bool to_change, struct buf *id, int64_t *ret_revision);
/* Brings the mirror from its state to what postgres_begin() told. */
MUST_CHECK bool postgres_pull(struct postgres *postgres, struct accounts *accounts, const char *id, int64_t revision, bool *ret_changed);
MUST_CHECK bool postgres_put(struct postgres *postgres, const char *table, const char *key, const char *row, int64_t revision);
MUST_CHECK bool postgres_commit(struct postgres *postgres, int64_t revision); /* 0: as it was */
