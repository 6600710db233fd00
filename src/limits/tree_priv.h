/* limits/tree_priv.h -- the nodes and counters of a tree, and the memory they may have. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "limits/tree.h"

/* Of a place: those of its rules, and as many of rules that are no more. */
#define LIMITS_COUNTERS_MOST (2 * LIMITS_RULES_MOST)

/* What was accepted without room and is let out evenly: number k of the run at begin_ms + k * per_ms / amount. */
struct limits_run {
    int64_t begin_ms;
    uint64_t amount;             /* of the rule when the run began; 0: there is none */
    uint64_t n, done;            /* booked; and counted in the window, as their time has come */
};

/* What one other machine has counted (limits/share.h). */
struct limits_away {
    struct limits_away *next;
    uint8_t machine, n;
    struct { int64_t at_ms; uint64_t count; } entries[]; /* the oldest first */
};

/* One rule's counter. Rules are known by what and when they count, so that another amount goes on with the count; several
 * rules of a node that have both alike are told apart by their order. */
struct limits_counter {
    struct limits_window window; /* not of a level */
    union {
        int64_t unsaved;         /* counted since it was written, less what was undone */
        uint64_t level;          /* per_ms 0 */
    };
    int64_t warned_ms[2];        /* at 80 and at 100 %; 0: not yet */
    struct limits_run run;       /* what pace and hold let out later; not of a level */
    struct limits_away *away;    /* of the other machines; NULL: nothing */
    uint32_t per_ms;
    uint8_t what, order;
};

struct limits_place {
    struct map_node by_name;     /* in tree->places */
    struct list all;             /* in tree->all: the next one to be looked at by the sweep first */
    struct list to_write;        /* in tree->to_write, or alone */
    struct limits_counter *counters;
    uint8_t kind, n;
    struct list to_share;        /* in tree->to_share, or alone */
    bool is_changed;             /* since it was written; stands in front of those that are only to be rewritten */
    bool is_whole_due;           /* is to be written whole */
    bool is_pinned;              /* in use: stays, even if nothing counts in it */
    uint16_t name_n;
    char name[];
};

struct limits_tree {
    struct limits_tree_setup setup;
    struct map places;
    struct list all, to_write, to_share;
    bool is_shared;              /* other machines want to know what changes */
    int64_t wait_most_ms;        /* of pace and hold */
    size_t whole_due;            /* places that are */
    size_t octets;               /* of places, counters and windows; the map's come on top */
    uint64_t refused_full, coarse;
};

static inline struct span limits_place_name(const struct limits_place *place)
{
    return span_of(place->name, place->name_n);
}
static inline bool limits_counter_is_level(const struct limits_counter *counter) { return counter->per_ms == 0; }

/* -- runs (limits/run.c) -- */

static inline bool limits_run_goes_on(const struct limits_counter *counter) { return counter->run.n > counter->run.done; }
/* None of it counts any more. */
bool limits_run_is_idle(const struct limits_counter *counter, int64_t now_ms);
/* Its last is let out then. */
int64_t limits_run_end(const struct limits_counter *counter);
/* Counts those in the window whose time has come. Before anything else is done with the window. */
void limits_run_settle(struct limits_tree *tree, struct limits_place *place, struct limits_counter *counter,
                       struct limits_allowance allowance, int64_t now_ms);
/* When `n` more (at most the amount, at least 1) would be let out, all of them. */
int64_t limits_run_slot(struct limits_counter *counter, struct limits_allowance allowance, uint64_t n, int64_t now_ms);
/* Books them for that time. */
void limits_run_book(struct limits_counter *counter, struct limits_allowance allowance, uint64_t n, int64_t now_ms);
/* Takes back up to `n` of the last ones; how many it were. */
uint64_t limits_run_undo(struct limits_counter *counter, uint64_t n);

size_t limits_tree_octets(const struct limits_tree *tree);
/* May a window get more entries? */
bool limits_tree_may_grow(const struct limits_tree *tree);

struct limits_place *limits_place_find(const struct limits_tree *tree, enum limits_kind kind, struct span name);
/* Finds or makes it. NULL: no memory, even after others were looked through for idle ones. */
struct limits_place *limits_place_make(struct limits_tree *tree, enum limits_kind kind, struct span name, int64_t now_ms);
void limits_place_remove(struct limits_tree *tree, struct limits_place *place);
void limits_place_changed(struct limits_tree *tree, struct limits_place *place);
/* Its windows are forgotten; its levels are what is there, not what was. */
void limits_place_forget(struct limits_tree *tree, struct limits_place *place);

/* `guess` is where it is likely to be. NULL: there is none. */
struct limits_counter *limits_counter_find(const struct limits_place *place, unsigned what, uint32_t per_ms,
                                           unsigned order, unsigned guess);
/* Finds or makes it, with room for a first count. NULL: no memory, or the place has LIMITS_COUNTERS_MOST. May move the
 * others of its place. */
struct limits_counter *limits_counter_make(struct limits_tree *tree, struct limits_place *place, unsigned what,
                                           uint32_t per_ms, unsigned order, int64_t now_ms);
void limits_counter_drop(struct limits_tree *tree, struct limits_place *place, unsigned at);
/* Counts, with the memory that there is. */
void limits_counter_add(struct limits_tree *tree, struct limits_counter *counter, struct limits_allowance allowance,
                        uint64_t n, int64_t now_ms);

/* -- other machines (limits/share.c) -- */

/* What they have counted, so far as it still counts at that time. */
uint64_t limits_away_count(const struct limits_counter *counter, int64_t at_ms);
/* How many of them have counted something that still counts. */
unsigned limits_away_machines(const struct limits_counter *counter, int64_t at_ms);
/* When the next entry after `at_ms` counts no more; LIMITS_NEVER: there is none. */
int64_t limits_away_change(const struct limits_counter *counter, int64_t at_ms);
void limits_away_free(struct limits_tree *tree, struct limits_counter *counter);
void limits_share_changed(struct limits_tree *tree, struct limits_place *place);
