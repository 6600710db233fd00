/* directory/levels.h -- how much waits in the queue of each account, and of each node above it that has a limit about that.
 *
 * The queue tells of accounts; sums are kept for nodes with such limits alone. When the tree changes they are made anew, in
 * slices: until that is done they are too small, never too large.
 */
#pragma once
#include "base/list.h"
#include "directory/holders.h"

struct levels {
    struct map accounts, sums;
    struct list all;        /* of accounts: those whose share is not in the sums stand first */
    uint32_t epoch;
};

struct level_sum {
    uint64_t messages, octets;
};

void levels_init(struct levels *levels);
void levels_done(struct levels *levels);
/* What the queue said. MEMORY: it is left out. */
enum status levels_set(struct levels *levels, struct holders *holders, struct accounts *accounts, struct span account,
                       uint64_t messages, uint64_t octets);
/* The tree is another one. */
void levels_forget_sums(struct levels *levels);
/* Adds up to `most` accounts to the sums. False: all are in. */
bool levels_go_on(struct levels *levels, struct holders *holders, struct accounts *accounts, size_t most);
struct level_sum levels_of(const struct levels *levels, enum limits_kind kind, struct span name);
