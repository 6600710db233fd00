/* The nodes that count something, and the memory they take. */
#include "base/hash.h"
#include "limits/tree_priv.h"
#include <stdlib.h>

enum {
    MALLOC_OCTETS = 16,
    FIRST_OCTETS = 2 * 8 + MALLOC_OCTETS, /* of a window's first entries */
    LOOK_MOST = 64, /* places that one new place looks through for idle ones */
};

struct limits_tree *limits_tree_new(const struct limits_tree_setup *setup)
{
    struct limits_tree *tree = calloc(1, sizeof *tree);
    if (!tree)
        return NULL;
    tree->setup = *setup;
    if (tree->setup.most_octets == 0)
        tree->setup.most_octets = LIMITS_MEMORY_DEFAULT;
    tree->wait_most_ms = LIMITS_WAIT_DEFAULT_MS;
    list_init(&tree->all);
    list_init(&tree->to_write);
    list_init(&tree->to_share);
    return tree;
}

void limits_tree_free(struct limits_tree *tree)
{
    if (!tree)
        return;
    for (LIST_EACH(link, &tree->all))
        limits_place_remove(tree, CONTAINER(link, struct limits_place, all));
    map_done(&tree->places);
    free(tree);
}

/* With an eighth for what malloc loses to pieces that fit nobody: so much was seen when windows grow one after another. */
size_t limits_tree_octets(const struct limits_tree *tree)
{
    return tree->octets + tree->octets / 8 + tree->places.room * sizeof *tree->places.buckets;
}

bool limits_tree_may_grow(const struct limits_tree *tree)
{
    return limits_tree_octets(tree) + LIMITS_WINDOW_ENTRIES * sizeof(uint64_t) <= tree->setup.most_octets;
}

struct key {
    uint8_t kind;
    struct span name;
};

static uint64_t key_hash(const struct key *key) { return hash_bytes(key->name) + key->kind; }

static bool is_place(const struct map_node *node, const void *arg)
{
    const struct limits_place *place = CONTAINER(node, const struct limits_place, by_name);
    const struct key *key = arg;
    return place->kind == key->kind && span_eq(limits_place_name(place), key->name);
}

struct limits_place *limits_place_find(const struct limits_tree *tree, enum limits_kind kind, struct span name)
{
    struct key key = { (uint8_t)kind, name };
    struct map_node *node = map_find(&tree->places, key_hash(&key), is_place, &key);
    return node ? CONTAINER(node, struct limits_place, by_name) : NULL;
}

static size_t place_octets(size_t name_n) { return sizeof(struct limits_place) + name_n + 1 + MALLOC_OCTETS; }
static size_t counters_octets(size_t n) { return n ? n * sizeof(struct limits_counter) + MALLOC_OCTETS : 0; }

static bool place_is_idle(const struct limits_place *place, int64_t now_ms)
{
    for (unsigned i = 0; i < place->n; i++) {
        const struct limits_counter *counter = &place->counters[i];
        if (limits_counter_is_level(counter) ? counter->level != 0
                                             : limits_away_count(counter, now_ms) || !limits_run_is_idle(counter, now_ms) || !limits_window_is_idle(&counter->window, now_ms))
            return false;
    }
    return true;
}

/* Windows in which nothing counts give their memory back. */
static void trim(struct limits_tree *tree, struct limits_place *place, int64_t now_ms)
{
    for (unsigned i = 0; i < place->n; i++) {
        struct limits_counter *counter = &place->counters[i];
        if (limits_counter_is_level(counter) || !limits_run_is_idle(counter, now_ms) || !limits_window_is_idle(&counter->window, now_ms))
            continue;
        counter->run = (struct limits_run){ 0 };
        tree->octets -= limits_window_octets(&counter->window);
        limits_window_done(&counter->window);
    }
}

void limits_tree_sweep(struct limits_tree *tree, int64_t now_ms, size_t most)
{
    for (size_t i = MIN(most, tree->places.n); i && !list_is_empty(&tree->all); i--) {
        struct limits_place *place = CONTAINER(list_first(&tree->all), struct limits_place, all);
        if (!place->is_pinned && place_is_idle(place, now_ms)) {
            limits_place_remove(tree, place);
        } else {
            if (!place->is_pinned)
                trim(tree, place, now_ms);
            list_remove(&place->all);
            list_add_last(&tree->all, &place->all);
        }
    }
}

/* Room for so many octets more, made by places in which nothing counts any more where it must be. */
static bool find_room(struct limits_tree *tree, size_t octets, int64_t now_ms)
{
    if (limits_tree_octets(tree) + octets <= tree->setup.most_octets)
        return true;
    limits_tree_sweep(tree, now_ms, LOOK_MOST);
    if (limits_tree_octets(tree) + octets <= tree->setup.most_octets)
        return true;
    tree->refused_full++;
    return false;
}

struct limits_place *limits_place_make(struct limits_tree *tree, enum limits_kind kind, struct span name, int64_t now_ms)
{
    struct limits_place *place = limits_place_find(tree, kind, name);
    struct key key = { (uint8_t)kind, name };
    if (place)
        return place;
    if (name.n > LIMITS_NAME_MOST || !find_room(tree, place_octets(name.n), now_ms))
        return NULL;
    place = calloc(1, sizeof *place + name.n + 1);
    if (!place || map_add(&tree->places, &place->by_name, key_hash(&key)) != STATUS_OK) {
        free(place);
        return NULL;
    }
    place->kind = (uint8_t)kind;
    place->name_n = (uint16_t)name.n;
    if (name.n)
        memcpy(place->name, name.p, name.n);
    list_init(&place->to_write);
    list_init(&place->to_share);
    list_add_last(&tree->all, &place->all);
    tree->octets += place_octets(name.n);
    return place;
}

static void empty(struct limits_tree *tree, struct limits_place *place)
{
    for (unsigned i = 0; i < place->n; i++) {
        tree->octets -= limits_window_octets(&place->counters[i].window);
        limits_window_done(&place->counters[i].window);
        limits_away_free(tree, &place->counters[i]);
    }
    tree->octets -= counters_octets(place->n);
    free(place->counters);
    place->counters = NULL;
    place->n = 0;
}

void limits_place_remove(struct limits_tree *tree, struct limits_place *place)
{
    empty(tree, place);
    map_remove(&tree->places, &place->by_name);
    list_remove(&place->all);
    list_remove(&place->to_write);
    list_remove(&place->to_share);
    tree->whole_due -= place->is_whole_due;
    tree->octets -= place_octets(place->name_n);
    free(place);
}

void limits_place_changed(struct limits_tree *tree, struct limits_place *place)
{
    if (tree->is_shared)
        limits_share_changed(tree, place);
    if (place->is_changed)
        return;
    place->is_changed = true;
    list_remove(&place->to_write);
    list_add_first(&tree->to_write, &place->to_write);
}

static bool is_counter(const struct limits_counter *counter, unsigned what, uint32_t per_ms, unsigned order)
{
    return counter->what == what && counter->per_ms == per_ms && counter->order == order;
}

struct limits_counter *limits_counter_find(const struct limits_place *place, unsigned what, uint32_t per_ms,
                                           unsigned order, unsigned guess)
{
    if (guess < place->n && is_counter(&place->counters[guess], what, per_ms, order))
        return &place->counters[guess];
    for (unsigned i = 0; i < place->n; i++)
        if (is_counter(&place->counters[i], what, per_ms, order))
            return &place->counters[i];
    return NULL;
}

static bool reserve(struct limits_tree *tree, struct limits_counter *counter)
{
    if (limits_counter_is_level(counter) || counter->window.room)
        return true;
    bool good = limits_window_reserve(&counter->window);
    tree->octets += limits_window_octets(&counter->window);
    return good;
}

void limits_counter_drop(struct limits_tree *tree, struct limits_place *place, unsigned at)
{
    tree->octets -= limits_window_octets(&place->counters[at].window);
    limits_window_done(&place->counters[at].window);
    limits_away_free(tree, &place->counters[at]);
    place->n--;
    memmove(&place->counters[at], &place->counters[at + 1], (place->n - at) * sizeof *place->counters);
    tree->octets -= sizeof *place->counters + (place->n ? 0 : MALLOC_OCTETS);
}

void limits_place_forget(struct limits_tree *tree, struct limits_place *place)
{
    for (unsigned i = place->n; i--;)
        if (!limits_counter_is_level(&place->counters[i]))
            limits_counter_drop(tree, place, i);
}

struct limits_counter *limits_counter_make(struct limits_tree *tree, struct limits_place *place, unsigned what,
                                           uint32_t per_ms, unsigned order, int64_t now_ms)
{
    struct limits_counter *counter = limits_counter_find(place, what, per_ms, order, place->n);
    if (counter)
        return reserve(tree, counter) ? counter : NULL;
    if (place->n == LIMITS_COUNTERS_MOST || !find_room(tree, sizeof *counter + FIRST_OCTETS, now_ms))
        return NULL;
    struct limits_counter *counters = reallocarray(place->counters, place->n + 1u, sizeof *counters);
    if (!counters)
        return NULL;
    tree->octets -= counters_octets(place->n);
    tree->octets += counters_octets(place->n + 1u);
    place->counters = counters;
    counter = &counters[place->n++];
    *counter = (struct limits_counter){ .what = (uint8_t)what, .order = (uint8_t)order, .per_ms = per_ms };
    limits_window_init(&counter->window, per_ms);
    return reserve(tree, counter) ? counter : NULL;
}

void limits_counter_add(struct limits_tree *tree, struct limits_counter *counter, struct limits_allowance allowance,
                        uint64_t n, int64_t now_ms)
{
    if (limits_counter_is_level(counter)) {
        counter->level = MIN(counter->level + MIN(n, LIMITS_COUNT_MOST), LIMITS_COUNT_MOST);
        return;
    }
    size_t before = limits_window_octets(&counter->window);
    if (!limits_window_add(&counter->window, allowance, n, now_ms, limits_tree_may_grow(tree)))
        tree->coarse++;
    tree->octets += limits_window_octets(&counter->window) - before;
    counter->unsaved += (int64_t)MIN(n, LIMITS_COUNT_MOST);
}

struct limits_tree_totals limits_tree_totals(const struct limits_tree *tree)
{
    return (struct limits_tree_totals){ tree->places.n, limits_tree_octets(tree), tree->setup.most_octets,
                                        tree->refused_full, tree->coarse };
}
