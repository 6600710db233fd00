/* limits/window.h -- how many in the last hour: a sliding count in little memory.
 *
 * Up to LIMITS_WINDOW_ENTRIES entries of (when, how many), the oldest first. What comes within 1/52 of the window after
 * an entry was begun joins it, and the entry takes the time of its youngest. So an entry counts until its youngest is as old as the
 * window: in any window of the stated length never more than the amount passes, at no edge twice; and each single one
 * counts for at most 1.96 % longer than stated. Few events (52 and less, not crowded) are counted to 1/4096 of the window.
 *
 * An entry costs 8 octets, and only as many are allocated as were used at a time since limits_window_done(). Where no memory is had for another entry the
 * youngest takes what comes: it is counted for longer, never less.
 *
 * Times are milliseconds of a clock that should not go back (limits/clock.h); one that does stands still meanwhile.
 */
#pragma once
#include "base/attr.h"

#define LIMITS_WINDOW_SLOTS 52
#define LIMITS_WINDOW_ENTRIES 56
#define LIMITS_COUNT_MOST ((UINT64_C(1) << 44) - 1) /* one entry; more is kept as this */
#define LIMITS_NEVER INT64_MAX

struct limits_window {
    uint64_t *entries;   /* tick (20 bits), count (44 bits) */
    uint64_t total;      /* of all entries */
    int64_t now_ms;      /* the latest time it has seen */
    int64_t opened_ms;   /* when the youngest entry was begun */
    uint64_t debt;       /* of a burst: how many are not back yet */
    uint32_t debt_rest;  /* and this part of one, in per_ms-ths */
    uint32_t per_ms;
    uint8_t first, n, room; /* entries first..first+n-1 of `room` */
};

/* How much is allowed: of a rule. */
struct limits_allowance {
    uint64_t amount, burst; /* burst 0: none */
};

void limits_window_init(struct limits_window *window, uint32_t per_ms); /* at least 1 */
void limits_window_done(struct limits_window *window); /* as after init */
static inline size_t limits_window_octets(const struct limits_window *window)
{
    return window->room ? window->room * sizeof *window->entries + 16 : 0; /* malloc's header */
}

/* All functions go on to `now_ms` first: what no longer counts is forgotten, what came back of a burst is off the debt. */
uint64_t limits_window_count(struct limits_window *window, struct limits_allowance allowance, int64_t now_ms);
/* How many of them would still count at a later time, if none came. */
uint64_t limits_window_count_at(const struct limits_window *window, int64_t at_ms);
/* How many more may pass, now or, if none comes until then, later. */
uint64_t limits_window_room(struct limits_window *window, struct limits_allowance allowance, int64_t now_ms);
uint64_t limits_window_room_at(const struct limits_window *window, struct limits_allowance allowance, int64_t at_ms);
/* When `n` more may pass if none comes before; LIMITS_NEVER when that is more than is ever allowed at once. */
int64_t limits_window_clear(struct limits_window *window, struct limits_allowance allowance, uint64_t n,
                            int64_t now_ms);
/* Room for a first entry, if there is none. False: no memory, and nothing could be counted. */
MUST_CHECK bool limits_window_reserve(struct limits_window *window);
/* Counts `n`, whether they may pass or not, in a window that has entries or was reserved. `may_grow`: another entry may
 * be allocated. False: they had to join an older entry. */
bool limits_window_add(struct limits_window *window, struct limits_allowance allowance, uint64_t n, int64_t now_ms,
                       bool may_grow);
/* Takes back `n` that were counted at `at_ms`; what is not found there any more has gone by itself. */
void limits_window_undo(struct limits_window *window, struct limits_allowance allowance, uint64_t n, int64_t at_ms,
                        int64_t now_ms);
/* Nothing counts any more (a burst is never owed for longer: it is at most the amount). */
bool limits_window_is_idle(const struct limits_window *window, int64_t now_ms);

/* For who writes windows down and reads them back. Entry `i` of `n`, the oldest first: until when it was added to, and
 * how many it counts. */
void limits_window_entry(const struct limits_window *window, unsigned i, int64_t *ret_ms, uint64_t *ret_count);
/* The entry as it was, behind the others; in a window that was reserved, and never the entry of an older time. */
void limits_window_append(struct limits_window *window, int64_t at_ms, uint64_t count, bool may_grow);
/* The `n` youngest are taken back. */
void limits_window_drop(struct limits_window *window, uint64_t n);
