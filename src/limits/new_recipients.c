#include "limits/new_recipients.h"
#include "base/hash.h"
#include <endian.h>
#include <stdlib.h>

enum { ROOM_LEAST = 8, CHECK_OCTETS = 4, PRINT_OCTETS = 4 };

void limits_known_init(struct limits_known *known, uint64_t key, uint32_t most)
{
    *known = (struct limits_known){ .key = key, .most = MAX(most, 2u) };
}

void limits_known_done(struct limits_known *known)
{
    free(known->young.slots);
    free(known->old.slots);
    limits_known_init(known, known->key, known->most);
}

size_t limits_known_octets(const struct limits_known *known)
{
    return ((size_t)known->young.room + known->old.room) * sizeof(uint32_t);
}

/* Never 0. */
static uint32_t print_of(const struct limits_known *known, struct span address)
{
    char lower[256];
    uint64_t hash = known->key;
    do {
        size_t n = MIN(address.n, sizeof lower);
        for (size_t i = 0; i < n; i++)
            lower[i] = ascii_lower(address.p[i]);
        hash = hash_seeded(span_of(lower, n), hash);
        address = span_from(address, n);
    } while (address.n);
    uint32_t print = (uint32_t)(hash ^ hash >> 32);
    return print ? print : 1;
}

/* The slot of `print`, or the free one where it would go. There is always one. */
static uint32_t slot_of(const struct limits_known_table *table, uint32_t print)
{
    uint32_t at = print & (table->room - 1);
    while (table->slots[at] && table->slots[at] != print)
        at = (at + 1) & (table->room - 1);
    return at;
}

static bool table_has(const struct limits_known_table *table, uint32_t print)
{
    return table->n && table->slots[slot_of(table, print)];
}

static bool table_grow(struct limits_known_table *table)
{
    struct limits_known_table larger = { NULL, table->room ? table->room * 2 : ROOM_LEAST, table->n };
    larger.slots = calloc(larger.room, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (uint32_t i = 0; i < table->room; i++)
        if (table->slots[i])
            larger.slots[slot_of(&larger, table->slots[i])] = table->slots[i];
    free(table->slots);
    *table = larger;
    return true;
}

static bool table_add(struct limits_known_table *table, uint32_t print)
{
    if (table_has(table, print))
        return true;
    if (table->n + 1 > table->room / 4 * 3 && !table_grow(table))
        return false;
    table->slots[slot_of(table, print)] = print;
    table->n++;
    return true;
}

/* Those behind it that were pushed there by it move up. */
static void table_remove(struct limits_known_table *table, uint32_t print)
{
    if (!table_has(table, print))
        return;
    uint32_t mask = table->room - 1, free_at = slot_of(table, print);
    for (uint32_t at = (free_at + 1) & mask; table->slots[at]; at = (at + 1) & mask) {
        uint32_t home = table->slots[at] & mask;
        if (((at - home) & mask) < ((at - free_at) & mask))
            continue;
        table->slots[free_at] = table->slots[at];
        free_at = at;
    }
    table->slots[free_at] = 0;
    table->n--;
}

bool limits_known_has(const struct limits_known *known, struct span address)
{
    uint32_t print = print_of(known, address);
    return table_has(&known->young, print) || table_has(&known->old, print);
}

static bool add_print(struct limits_known *known, uint32_t print)
{
    if (known->young.n >= known->most / 2 && !table_has(&known->young, print)) {
        free(known->old.slots);
        known->old = known->young;
        known->young = (struct limits_known_table){ 0 };
    }
    if (!table_add(&known->young, print))
        return false;
    table_remove(&known->old, print); /* whom he writes to again is young again */
    return true;
}

enum status limits_known_add(struct limits_known *known, struct span address)
{
    return add_print(known, print_of(known, address)) ? STATUS_OK : STATUS_MEMORY;
}

void limits_known_remove(struct limits_known *known, struct span address)
{
    uint32_t print = print_of(known, address);
    table_remove(&known->young, print);
    table_remove(&known->old, print);
}

static void write_table(const struct limits_known_table *table, struct buf *ret)
{
    for (uint32_t i = 0; i < table->room; i++) {
        uint32_t print = htole32(table->slots[i]);
        if (print)
            buf_add(ret, span_of(&print, sizeof print));
    }
}

/* The old ones first, so that they are the old ones again. */
enum status limits_known_encode(const struct limits_known *known, struct buf *ret)
{
    size_t begin = ret->n;
    uint32_t check = 0;
    buf_add(ret, span_of(&check, sizeof check));
    write_table(&known->old, ret);
    write_table(&known->young, ret);
    if (ret->failed) {
        ret->n = begin;
        return STATUS_FULL;
    }
    check = htole32(crc32c(0, ret->p + begin + CHECK_OCTETS, ret->n - begin - CHECK_OCTETS));
    memcpy(ret->p + begin, &check, sizeof check);
    return STATUS_OK;
}

enum status limits_known_decode(struct limits_known *known, struct span octets)
{
    struct limits_known fresh;
    uint32_t check;
    if (octets.n < CHECK_OCTETS || octets.n % PRINT_OCTETS)
        return STATUS_DAMAGED;
    memcpy(&check, octets.p, sizeof check);
    octets = span_from(octets, CHECK_OCTETS);
    if (le32toh(check) != crc32c(0, octets.p, octets.n))
        return STATUS_DAMAGED;
    limits_known_init(&fresh, known->key, known->most);
    for (; octets.n; octets = span_from(octets, PRINT_OCTETS)) {
        uint32_t print;
        memcpy(&print, octets.p, sizeof print);
        print = le32toh(print);
        if (print && !add_print(&fresh, print)) {
            limits_known_done(&fresh);
            return STATUS_MEMORY;
        }
    }
    limits_known_done(known);
    *known = fresh;
    return STATUS_OK;
}
