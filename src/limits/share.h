/* limits/share.h -- what several machines count together: each tells the others its windows, and counts theirs in.
 *
 * A machine tells of a node all that it has counted itself, whole, whenever that changed; what it told before is replaced by
 * that. So nothing is counted twice, however often it is told or lost on the way. Times are ages, so the machines' clocks need
 * not agree. Between a count and its arrival at the others they do not know of it: for so long each may let pass as much as
 * it would alone. Levels (what waits now, open connections) are each machine's own; so is a burst.
 *
 * Pure: octets in and out; those that come are not trusted.
 */
#pragma once
#include "limits/tree.h"

#define LIMITS_MACHINES_MOST 32
#define LIMITS_SHARE_KEY_MOST (1 + LIMITS_NAME_MOST)
#define LIMITS_SHARE_VALUE_MOST 32768 /* octets of a node's windows, all full */

/* From now on what changes is to be told; and everything that is there. */
void limits_share_all(struct limits_tree *tree);
/* The next node that changed since it was told: adds its key (kind and name) and its windows. False: there is none. */
bool limits_share_next(struct limits_tree *tree, int64_t now_ms, struct buf *key, struct buf *value);

/* What machine number `machine` (below LIMITS_MACHINES_MOST) told `age_ms` ago takes the place of what it told before.
 * SYNTAX: those are no windows, and nothing changed. MEMORY: there is no room for them. */
MUST_CHECK enum status limits_share_set(struct limits_tree *tree, unsigned machine, struct span key, int64_t age_ms, struct span value,
                                        int64_t now_ms);
