/* All numbers are little-endian.
 *
 *     key      u8 kind of node, the name
 *     value    counters until its end: u8 what, u8 order, u8 entries, u8 zero, u32 window in ms, the entries
 *     entry    u32 age in ms, u64 count; the oldest first
 */
#include "limits/share.h"
#include "limits/tree_priv.h"
#include <endian.h>
#include <stdlib.h>

#define COUNTER_OCTETS 8
#define ENTRY_OCTETS 12

uint64_t limits_away_count(const struct limits_counter *counter, int64_t at_ms)
{
    uint64_t total = 0;
    for (const struct limits_away *away = counter->away; away; away = away->next)
        for (unsigned i = away->n; i-- && away->entries[i].at_ms + counter->per_ms > at_ms;)
            total += away->entries[i].count;
    return total;
}

unsigned limits_away_machines(const struct limits_counter *counter, int64_t at_ms)
{
    unsigned n = 0;
    for (const struct limits_away *away = counter->away; away; away = away->next)
        n += away->n && away->entries[away->n - 1u].at_ms + counter->per_ms > at_ms;
    return n;
}

int64_t limits_away_change(const struct limits_counter *counter, int64_t at_ms)
{
    int64_t next_ms = LIMITS_NEVER;
    for (const struct limits_away *away = counter->away; away; away = away->next)
        for (unsigned i = away->n; i-- && away->entries[i].at_ms + counter->per_ms > at_ms;)
            next_ms = MIN(next_ms, away->entries[i].at_ms + counter->per_ms);
    return next_ms;
}

static size_t away_octets(unsigned n)
{
    struct limits_away *away = NULL;
    return sizeof *away + n * sizeof away->entries[0] + 16; /* malloc's header */
}

/* Forgets what that machine told. */
static void drop(struct limits_tree *tree, struct limits_counter *counter, unsigned machine)
{
    for (struct limits_away **at = &counter->away; *at; at = &(*at)->next) {
        struct limits_away *away = *at;
        if (away->machine != machine)
            continue;
        *at = away->next;
        tree->octets -= away_octets(away->n);
        free(away);
        return;
    }
}

void limits_away_free(struct limits_tree *tree, struct limits_counter *counter)
{
    while (counter->away)
        drop(tree, counter, counter->away->machine);
}

/* -- telling -- */

void limits_share_changed(struct limits_tree *tree, struct limits_place *place)
{
    if (!list_is_linked(&place->to_share))
        list_add_last(&tree->to_share, &place->to_share);
}

void limits_share_all(struct limits_tree *tree)
{
    tree->is_shared = true;
    for (LIST_EACH(link, &tree->all))
        limits_share_changed(tree, CONTAINER(link, struct limits_place, all));
}

static void put(struct buf *ret, uint64_t value, unsigned octets)
{
    value = htole64(value);
    buf_add(ret, span_of(&value, octets));
}

static void put_counter(const struct limits_counter *counter, int64_t now_ms, struct buf *ret)
{
    const struct limits_window *window = &counter->window;
    put(ret, counter->what, 1);
    put(ret, counter->order, 1);
    put(ret, window->n, 2);
    put(ret, counter->per_ms, 4);
    for (unsigned i = 0; i < window->n; i++) {
        int64_t at_ms;
        uint64_t count;
        limits_window_entry(window, i, &at_ms, &count);
        put(ret, (uint64_t)MIN(MAX(now_ms - at_ms, 0), (int64_t)UINT32_MAX), 4);
        put(ret, count, 8);
    }
}

bool limits_share_next(struct limits_tree *tree, int64_t now_ms, struct buf *key, struct buf *value)
{
    if (list_is_empty(&tree->to_share))
        return false;
    struct limits_place *place = CONTAINER(list_first(&tree->to_share), struct limits_place, to_share);
    list_remove(&place->to_share);
    put(key, place->kind, 1);
    buf_add(key, limits_place_name(place));
    for (unsigned i = 0; i < place->n; i++)
        if (!limits_counter_is_level(&place->counters[i]))
            put_counter(&place->counters[i], now_ms, value);
    return true;
}

/* -- being told -- */

struct told {
    unsigned what, order, n;
    uint32_t per_ms;
    struct span entries;
};

static uint64_t number(struct span octets, size_t at, unsigned n)
{
    uint64_t value = 0;
    memcpy(&value, octets.p + at, n);
    return le64toh(value);
}

/* The next counter off the front. */
static bool cut(struct span *value, struct told *ret)
{
    if (value->n < COUNTER_OCTETS)
        return false;
    *ret = (struct told){ (unsigned)number(*value, 0, 1), (unsigned)number(*value, 1, 1), (unsigned)number(*value, 2, 2),
                          (uint32_t)number(*value, 4, 4), span_from(*value, COUNTER_OCTETS) };
    size_t octets = (size_t)ret->n * ENTRY_OCTETS;
    if (ret->what >= LIMITS_WHAT_COUNT || ret->order >= LIMITS_RULES_MOST || ret->n > LIMITS_WINDOW_ENTRIES || ret->per_ms < LIMITS_PER_LEAST_MS ||
        ret->per_ms > LIMITS_PER_MOST_MS || ret->entries.n < octets)
        return false;
    ret->entries = span_head(ret->entries, octets);
    *value = span_from(*value, COUNTER_OCTETS + octets);
    return true;
}

static bool is_good(struct span value)
{
    struct told told;
    unsigned n = 0;
    while (value.n && n++ < LIMITS_COUNTERS_MOST && cut(&value, &told)) {
        uint64_t before = UINT32_MAX;
        for (unsigned i = 0; i < told.n; i++) {
            uint64_t age = number(told.entries, i * ENTRY_OCTETS, 4);
            if (age > before || number(told.entries, i * ENTRY_OCTETS + 4, 8) > LIMITS_COUNT_MOST)
                return false;
            before = age;
        }
    }
    return value.n == 0;
}

static int64_t at_of(const struct told *told, unsigned i, int64_t told_ms)
{
    return told_ms - (int64_t)number(told->entries, i * ENTRY_OCTETS, 4);
}

/* So many of the oldest count no more. */
static unsigned over(const struct told *told, int64_t told_ms, int64_t now_ms)
{
    unsigned n = 0;
    while (n < told->n && at_of(told, n, told_ms) + told->per_ms <= now_ms)
        n++;
    return n;
}

static enum status set_counter(struct limits_tree *tree, struct limits_counter *counter, unsigned machine, const struct told *told,
                               int64_t told_ms, int64_t now_ms)
{
    unsigned skip = over(told, told_ms, now_ms), n = told->n - skip;
    if (limits_tree_octets(tree) + away_octets(n) > tree->setup.most_octets)
        return STATUS_MEMORY;
    struct limits_away *away = malloc(away_octets(n));
    if (!away)
        return STATUS_MEMORY;
    away->machine = (uint8_t)machine;
    away->n = (uint8_t)n;
    for (unsigned i = 0; i < n; i++) {
        away->entries[i].at_ms = MIN(at_of(told, skip + i, told_ms), now_ms);
        away->entries[i].count = number(told->entries, (skip + i) * ENTRY_OCTETS + 4, 8);
    }
    away->next = counter->away;
    counter->away = away;
    tree->octets += away_octets(n);
    return STATUS_OK;
}

static void forget(struct limits_tree *tree, enum limits_kind kind, struct span name, unsigned machine)
{
    struct limits_place *place = limits_place_find(tree, kind, name);
    for (unsigned i = 0; place && i < place->n; i++)
        drop(tree, &place->counters[i], machine);
}

enum status limits_share_set(struct limits_tree *tree, unsigned machine, struct span key, int64_t age_ms, struct span value,
                             int64_t now_ms)
{
    struct told told;
    int64_t told_ms = now_ms - MAX(age_ms, 0);
    if (key.n < 1 || key.n > LIMITS_SHARE_KEY_MOST || (unsigned char)key.p[0] >= LIMITS_KIND_COUNT || !is_good(value) ||
        machine >= LIMITS_MACHINES_MOST)
        return STATUS_SYNTAX;
    enum limits_kind kind = (enum limits_kind)key.p[0];
    struct span name = span_from(key, 1);
    forget(tree, kind, name, machine);
    while (value.n && cut(&value, &told)) {
        if (over(&told, told_ms, now_ms) == told.n)
            continue;
        struct limits_place *place = limits_place_make(tree, kind, name, now_ms);
        if (!place)
            return STATUS_MEMORY;
        place->is_pinned = true; /* others may have to go for the counter */
        struct limits_counter *counter = limits_counter_make(tree, place, told.what, told.per_ms, told.order, now_ms);
        place->is_pinned = false;
        if (counter)
            drop(tree, counter, machine); /* told twice */
        if (!counter || set_counter(tree, counter, machine, &told, told_ms, now_ms) != STATUS_OK)
            return STATUS_MEMORY;
    }
    return STATUS_OK;
}
