/* limits/store.h -- the counters as octets: what changed since the last time, and back again after a restart.
 *
 * The caller appends a batch of changes to a file about once a second, so a kill costs at most what was counted since. A
 * batch has a checksum and a number that goes up by one; what follows the last good one is a torn tail or older
 * contents of the file, and is cut off. To keep the file short the caller begins the other file of a pair with
 * limits_store_rewrite(): the next batches hold all nodes whole, those that change first, and once
 * limits_store_is_rewritten() the old file is done with. A start replays the file whose first number is lower, then the
 * other one.
 *
 * Levels are not stored: who restarts counts them anew. Batches hold ages, not times, and the wall clock of the writing:
 * one that was set back meanwhile lets no time pass.
 *
 * Pure: octets in and out. The octets of a file are not trusted.
 */
#pragma once
#include "limits/tree.h"

#define LIMITS_STORE_BATCH_MOST (size_t)(4u << 20) /* octets; more waits for the next batch */

/* Numbers of batches; begins as zero, or as replay left it. */
struct limits_store {
    uint64_t last;   /* number of the last batch */
};

/* Adds one batch to `ret` (with a ceiling of twice LIMITS_STORE_BATCH_MOST it always fits) and marks what is in it as
 * written; nothing when nothing changed. On a failure (FULL, MEMORY) `ret` and the marks are as before. A caller that
 * could not write what he got calls limits_store_rewrite(). */
MUST_CHECK enum status limits_store_changes(struct limits_store *store, struct limits_tree *tree, int64_t now_ms,
                                            int64_t wall_ms, struct buf *ret);
/* All nodes are to be written whole by the next batches. */
void limits_store_rewrite(struct limits_tree *tree);
bool limits_store_is_rewritten(const struct limits_tree *tree);
/* Something waits to be written. */
bool limits_store_is_dirty(const struct limits_tree *tree);

/* Number of the first batch of a file; 0 when it does not begin with a good one. */
uint64_t limits_store_first(struct span file);
/* Counts what the batches of `file` hold into the tree. Returns the octets of good batches; behind them one may go on
 * appending. `now_ms` and `wall_ms` are of the start. */
size_t limits_store_replay(struct limits_store *store, struct limits_tree *tree, struct span file, int64_t now_ms,
                           int64_t wall_ms);
