#include "base/map.h"
#include <stdlib.h>

void map_done(struct map *map)
{
    free(map->buckets);
    *map = MAP_EMPTY;
}

struct map_node *map_find(const struct map *map, uint64_t hash, map_is *is, const void *key)
{
    if (map->room == 0)
        return NULL;
    for (struct map_node *node = map->buckets[hash & (map->room - 1)]; node; node = node->next)
        if (node->hash == hash && is(node, key))
            return node;
    return NULL;
}

static enum status grow(struct map *map)
{
    size_t room = map->room ? map->room * 2 : 16;
    struct map_node **buckets = calloc(room, sizeof *buckets);
    if (!buckets)
        return STATUS_MEMORY;
    for (size_t i = 0; i < map->room; i++)
        for (struct map_node *node = map->buckets[i], *next; node; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (room - 1)];
            buckets[node->hash & (room - 1)] = node;
        }
    free(map->buckets);
    map->buckets = buckets;
    map->room = room;
    return STATUS_OK;
}

enum status map_add(struct map *map, struct map_node *node, uint64_t hash)
{
    if (map->n >= map->room && grow(map) != STATUS_OK && map->room == 0)
        return STATUS_MEMORY;
    struct map_node **bucket = &map->buckets[hash & (map->room - 1)];
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    map->n++;
    return STATUS_OK;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_node **at = &map->buckets[node->hash & (map->room - 1)];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    map->n--;
}

static struct map_node *first_from(const struct map *map, size_t bucket)
{
    for (; bucket < map->room; bucket++)
        if (map->buckets[bucket])
            return map->buckets[bucket];
    return NULL;
}

struct map_node *map_first(const struct map *map)
{
    return first_from(map, 0);
}

struct map_node *map_next(const struct map *map, const struct map_node *node)
{
    return node->next ? node->next : first_from(map, (node->hash & (map->room - 1)) + 1);
}
