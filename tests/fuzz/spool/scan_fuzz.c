/* A whole segment whose records are the input. Where the input has the magic of a record its checksums are made right,
 * so that the walk gets to see contradictory lengths, strides and commit numbers. */
#include "spool/scan.h"
#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OCTETS (16u * SPOOL_BLOCK)

struct memory {
    struct spool_ops ops; /* first */
    uint8_t octets[OCTETS];
};

static ssize_t memory_pread(const struct spool_ops *ops, int fd, void *p, size_t n, off_t at)
{
    const struct memory *memory = (const struct memory *)(const void *)ops;
    if (at < 0 || (size_t)at >= OCTETS)
        return 0;
    n = MIN(n, OCTETS - (size_t)at);
    memcpy(p, memory->octets + at, n);
    return (ssize_t)n;
}

static uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static void set32(uint8_t *p, uint32_t v) { memcpy(p, &v, sizeof v); }

static void sign(struct memory *memory, uint32_t seed, uint32_t at)
{
    uint8_t *head = memory->octets + at, place[4];
    uint64_t meta = (uint64_t)get32(head + 28) + get32(head + 32);
    if (meta <= OCTETS - at - SPOOL_HEADER_OCTETS)
        set32(head + 36, crc32c(seed, head + SPOOL_HEADER_OCTETS, (size_t)meta));
    set32(place, at);
    set32(head + 60, crc32c(crc32c(seed, place, sizeof place), head, 60));
}

static bool on_record(void *arg, const struct spool_found *found)
{
    uint32_t *last = arg;
    if (found->place.offset <= *last || found->place.offset + (uint64_t)found->place.length > OCTETS)
        abort();
    *last = found->place.offset;
    return found->header.id != 0xdeadbeef;
}

static void on_damage(void *arg, const struct spool_damage *damage)
{
    if (damage->octets == 0 || (uint64_t)damage->offset + damage->octets > OCTETS)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory memory;
    uint32_t last = 0;
    struct spool_scan scan = { .ops = &memory.ops, .on_record = on_record, .on_damage = on_damage, .arg = &last,
                               .segment = { .number = 1, .epoch = 1, .salt = 9, .octets = OCTETS, .use = SPOOL_MESSAGES } };
    uint32_t seed = spool_segment_seed(&scan.segment);
    memory.ops.pread = memory_pread;
    memset(memory.octets, 0, sizeof memory.octets);
    if (size)
        memcpy(memory.octets + SPOOL_SEGMENT_FIRST, data + 1, MIN(size - 1, OCTETS - 2 * SPOOL_BLOCK));
    for (uint32_t at = OCTETS - 2 * SPOOL_BLOCK; at >= SPOOL_SEGMENT_FIRST; at -= SPOOL_ALIGN)
        if (get32(memory.octets + at) == SPOOL_RECORD_MAGIC)
            sign(&memory, seed, at);
    scan.flags = size && (data[0] & 1) ? SPOOL_SCAN_DEEP : 0;
    scan.after = size && (data[0] & 2) ? SPOOL_SEGMENT_FIRST + 8u * (data[0] >> 2) : 0;
    if (spool_scan_run(&scan) == STATUS_OK && scan.end > OCTETS)
        abort();
    return 0;
}
