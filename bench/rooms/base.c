#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/map.h"
#include "room.h"
#include <fcntl.h>

enum { MEMBERS = 1000 };

static struct member {
    struct map_node node;
    struct heap_node wake;
    uint64_t key;
} members[MEMBERS];
static struct map map;
static struct heap heap;
static struct log events;
static char block[4096];

static bool is_member(const struct map_node *node, const void *key)
{
    return CONTAINER(node, struct member, node)->key == *(const uint64_t *)key;
}

/* A thousand come, are looked up, and go. */
static void tables(void)
{
    for (uint64_t i = 0; i < MEMBERS; i++) {
        members[i].key = i;
        room_must(map_add(&map, &members[i].node, hash_u64(i)) == STATUS_OK);
    }
    for (uint64_t i = 0; i < MEMBERS; i++)
        room_must(map_find(&map, hash_u64(i), is_member, &i) != NULL);
    for (size_t i = 0; i < MEMBERS; i++)
        map_remove(&map, &members[i].node);
}

/* A thousand times, taken out in their order. */
static void times(void)
{
    for (size_t i = 0; i < MEMBERS; i++)
        room_must(heap_set(&heap, &members[i].wake, (int64_t)(i * 7919 % MEMBERS)) == STATUS_OK);
    while (heap_first(&heap))
        heap_remove(&heap, heap_first(&heap));
}

static void checksum(void)
{
    room_must(crc32c(0, block, sizeof block) != 1);
}

static void events_begin(void)
{
    log_init(&events, open("/dev/null", O_WRONLY | O_CLOEXEC), "smtpd", LOG_INFO);
}

/* One line of the event log, as for an accepted message. */
static void event(void)
{
    log_info(&events, "accepted", LOG_ID(0x1122334455667788), LOG_STR("from", "anna@example.org"), LOG_INT("recipients", 1),
             LOG_SIZE(4096), LOG_STR("client", "192.0.2.7"), LOG_STR("helo", "laptop.example.org"),
             LOG_STR("message-id", "6a1f0b5e-7c1d-4a56-9f0e-2f8d8a6f9f11@laptop.example.org"));
    buf_clear(&events.pending);
}

static const struct room_work works[] = {
    { "tables-1000", NULL, tables },
    { "times-1000", NULL, times },
    { "checksum-4KiB", NULL, checksum },
    { "event", events_begin, event },
};
ROOM_MAIN(works)
