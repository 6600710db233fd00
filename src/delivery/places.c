#include "delivery/places.h"
#include "base/hash.h"
#include <stdlib.h>
#include <unistd.h>

static bool is_place(const struct map_node *node, const void *key)
{
    return CONTAINER(node, struct place, node)->number == *(const uint64_t *)key;
}

static struct map *map_of(struct places *places, bool is_body)
{
    return is_body ? &places->bodies : &places->segments;
}

static struct place *find(struct map *map, uint64_t number)
{
    struct map_node *node = map_find(map, hash_u64(number), is_place, &number);
    return node ? CONTAINER(node, struct place, node) : NULL;
}

struct place *place_again(struct place *place)
{
    if (place)
        place->refs++;
    return place;
}

void place_release(struct place *place)
{
    if (!place || --place->refs > 0)
        return;
    close(place->fd);
    free(place);
}

static void drop(struct map *map, struct place *place)
{
    map_remove(map, &place->node);
    place_release(place);
}

static void drop_all(struct map *map)
{
    for (MAP_EACH(node, map))
        drop(map, CONTAINER(node, struct place, node));
    map_done(map);
}

void places_done(struct places *places)
{
    drop_all(&places->segments);
    drop_all(&places->bodies);
}

void places_gone(struct places *places, bool is_body, uint64_t number)
{
    struct map *map = map_of(places, is_body);
    struct place *place = find(map, number);
    if (place)
        drop(map, place);
}

bool places_add(struct places *places, bool is_body, uint64_t number, int fd)
{
    places_gone(places, is_body, number);
    struct map *map = map_of(places, is_body);
    struct place *place = calloc(1, sizeof *place);
    if (place)
        *place = (struct place){ .number = number, .fd = fd, .refs = 1, .is_body = is_body };
    if (!place || map_add(map, &place->node, hash_u64(number)) != STATUS_OK) {
        close(fd);
        free(place);
        return false;
    }
    return true;
}

struct place *places_take(struct places *places, bool is_body, uint64_t number)
{
    return place_again(find(map_of(places, is_body), number));
}
