/* base/map.h -- a hash table whose nodes live inside its members; grows by itself.
 *
 * The map holds no keys: the caller gives the hash and says which member is meant.
 */
#pragma once
#include "base/attr.h"
#include "base/status.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t room;  /* number of buckets, a power of two; 0 before the first member */
    size_t n;
};

#define MAP_EMPTY ((struct map){ NULL, 0, 0 })

typedef bool map_is(const struct map_node *node, const void *key);

void map_done(struct map *map); /* frees the buckets; the members are the caller's */
/* The member with this hash for which `is` says yes, or NULL. */
struct map_node *map_find(const struct map *map, uint64_t hash, map_is *is, const void *key);
/* MEMORY when the first buckets cannot be had; a table that merely cannot grow goes on, slower. */
MUST_CHECK enum status map_add(struct map *map, struct map_node *node, uint64_t hash);
void map_remove(struct map *map, struct map_node *node); /* must be a member */

/* for (MAP_EACH(node, &map)): the current node may be removed inside. */
struct map_node *map_first(const struct map *map);
struct map_node *map_next(const struct map *map, const struct map_node *node);
#define MAP_EACH(node, map)                                                                       \
    struct map_node *node = map_first(map), *node##_next = node ? map_next(map, node) : NULL; node; \
    node = node##_next, node##_next = node ? map_next(map, node) : NULL
