/* limits/tree_priv.h -- the nodes and counters of a tree, and the memory they may have. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "limits/tree.h"

/* Of a place: those of its rules, and as many of rules that are no more. */
#define LIMITS_COUNTERS_MOST (2 * LIMITS_RULES_MOST)

/* One rule's counter. Rules are known by what and when they count, so that another amount goes on with the count; several
 * rules of a node that have both alike are told apart by their order. */
struct limits_counter {
    struct limits_window window; /* not of a level */
    union {
        int64_t unsaved;         /* counted since it was written, less what was undone */
        uint64_t level;          /* per_ms 0 */
    };
    int64_t warned_ms[2];        /* at 80 and at 100 %; 0: not yet */
    uint32_t per_ms;
    uint8_t what, order;
};

struct limits_place {
    struct map_node by_name;     /* in tree->places */
    struct list all;             /* in tree->all: the next one to be looked at by the sweep first */
    struct list to_write;        /* in tree->to_write, or alone */
    struct limits_counter *counters;
    uint8_t kind, n;
    bool is_changed;             /* since it was written; stands in front of those that are only to be rewritten */
    bool is_whole_due;           /* is to be written whole */
    bool is_pinned;              /* in use: stays, even if nothing counts in it */
    uint16_t name_n;
    char name[];
};

struct limits_tree {
    struct limits_tree_setup setup;
    struct map places;
    struct list all, to_write;
    size_t whole_due;            /* places that are */
    size_t octets;               /* of places, counters and windows; the map's come on top */
    uint64_t refused_full, coarse;
};

static inline struct span limits_place_name(const struct limits_place *place)
{
    return span_of(place->name, place->name_n);
}
static inline bool limits_counter_is_level(const struct limits_counter *counter) { return counter->per_ms == 0; }

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
