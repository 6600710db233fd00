#include "spool/segment.h"
#include "base/mutant.h"
#include "spool/le_priv.h"
#include <stdio.h>

static const char magic[8] = "GNCSEGM";
enum {
    AT_MAGIC = 0, AT_VERSION = 8, AT_NUMBER = 12, AT_EPOCH = 16, AT_USE = 20, AT_SALT = 24, AT_SEQUENCE = 32,
    AT_OCTETS = 40, AT_WRITER = 44, AT_SINCE = 48, AT_LENT = 56, AT_CHECK = 60, AT_STAMP = 64, STAMPED_OCTETS = AT_STAMP,
    DESCRIPTION_OCTETS = AT_STAMP + SPOOL_STAMP_OCTETS,
};

uint32_t spool_segment_seed(const struct spool_segment *segment)
{
    uint8_t bytes[16];
    le64_set(bytes, segment->salt);
    le32_set(bytes + 8, segment->number);
    le32_set(bytes + 12, segment->epoch);
    if (MUTANT(OLD_LIFE_ACCEPTED))
        memset(bytes, 0, sizeof bytes);
    return crc32c(0, bytes, sizeof bytes);
}

/* The stamp comes before the version: nobody else can call it one of a newer goniec. */
static enum status decode(const uint8_t bytes[DESCRIPTION_OCTETS], const struct spool_stamp_key *key,
                          struct spool_segment *ret)
{
    if (memcmp(bytes + AT_MAGIC, magic, sizeof magic) != 0 ||
        le32_get(bytes + AT_CHECK) != crc32c(0, bytes, AT_CHECK))
        return STATUS_DAMAGED;
    if (key && !spool_stamp_is(key, bytes, STAMPED_OCTETS, bytes + AT_STAMP))
        return STATUS_DAMAGED;
    if (le32_get(bytes + AT_VERSION) > SPOOL_SEGMENT_VERSION)
        return STATUS_DENIED;
    struct spool_segment segment = {
        .number = le32_get(bytes + AT_NUMBER),
        .epoch = le32_get(bytes + AT_EPOCH),
        .salt = le64_get(bytes + AT_SALT),
        .sequence = le64_get(bytes + AT_SEQUENCE),
        .octets = le32_get(bytes + AT_OCTETS),
        .use = (enum spool_use)le32_get(bytes + AT_USE),
        .writer = le32_get(bytes + AT_WRITER),
        .since_wall_ms = (int64_t)le64_get(bytes + AT_SINCE),
        .lent = le32_get(bytes + AT_LENT),
    };
    if (le32_get(bytes + AT_VERSION) < 2 && segment.use == SPOOL_MESSAGES)
        segment.lent = segment.writer; /* it says no more */
    if (le32_get(bytes + AT_USE) >= SPOOL_USE_COUNT || segment.octets % SPOOL_BLOCK != 0 ||
        segment.octets < 3 * SPOOL_BLOCK || segment.octets > SPOOL_SEGMENT_MOST)
        return STATUS_DAMAGED;
    *ret = segment;
    return STATUS_OK;
}

static enum status read_at(const struct spool_ops *ops, int fd, uint64_t at, const struct spool_stamp_key *key,
                           struct spool_segment *ret)
{
    uint8_t bytes[DESCRIPTION_OCTETS];
    enum status status = spool_pread_all(ops, fd, bytes, sizeof bytes, at);
    return status == STATUS_OK ? decode(bytes, key, ret) : status;
}

static uint64_t last_block(uint64_t octets) { return octets / SPOOL_BLOCK * SPOOL_BLOCK - SPOOL_BLOCK; }

enum status spool_segment_read_stamped(const struct spool_ops *ops, int fd, const struct spool_stamp_key *key,
                                       struct spool_segment *ret)
{
    struct stat st;
    if (ops->fstat(ops, fd, &st) < 0)
        return STATUS_IO;
    if (st.st_size < (off_t)SPOOL_BLOCK)
        return STATUS_DAMAGED;
    struct spool_segment segment;
    enum status first = read_at(ops, fd, 0, key, &segment), status = first;
    if (first == STATUS_DAMAGED || first == STATUS_IO)
        status = read_at(ops, fd, last_block((uint64_t)st.st_size), key, &segment);
    if (status == STATUS_DAMAGED && first == STATUS_IO)
        status = STATUS_IO; /* what the disk did not give is not known to be damaged */
    /* A checkpoint grows and has its description at the start alone. */
    if (status == STATUS_OK && segment.use != SPOOL_CHECKPOINT && (uint64_t)st.st_size != segment.octets)
        return STATUS_DAMAGED;
    if (status == STATUS_OK)
        *ret = segment;
    return status;
}

enum status spool_segment_read(const struct spool_ops *ops, int fd, struct spool_segment *ret)
{
    return spool_segment_read_stamped(ops, fd, NULL, ret);
}

enum status spool_segment_read_cut(const struct spool_ops *ops, int fd, const struct spool_stamp_key *key,
                                   struct spool_segment *ret)
{
    struct stat st;
    struct spool_segment segment;
    if (ops->fstat(ops, fd, &st) < 0)
        return STATUS_IO;
    enum status status = read_at(ops, fd, 0, key, &segment);
    if (status != STATUS_OK)
        return status;
    uint64_t whole = (uint64_t)st.st_size / SPOOL_BLOCK * SPOOL_BLOCK;
    if (segment.use == SPOOL_CHECKPOINT || whole < SPOOL_SEGMENT_FIRST + SPOOL_BLOCK)
        return STATUS_DAMAGED;
    segment.octets = (uint32_t)MIN(whole + SPOOL_BLOCK, (uint64_t)segment.octets); /* no copy of the description at its end */
    *ret = segment;
    return STATUS_OK;
}

enum status spool_segment_write(const struct spool_ops *ops, int fd, const struct spool_stamp_key *key,
                                const struct spool_segment *segment)
{
    uint8_t block[SPOOL_BLOCK] = { 0 };
    memcpy(block + AT_MAGIC, magic, sizeof magic);
    le32_set(block + AT_VERSION, SPOOL_SEGMENT_VERSION);
    le32_set(block + AT_NUMBER, segment->number);
    le32_set(block + AT_EPOCH, segment->epoch);
    le32_set(block + AT_USE, (uint32_t)segment->use);
    le64_set(block + AT_SALT, segment->salt);
    le64_set(block + AT_SEQUENCE, segment->sequence);
    le32_set(block + AT_OCTETS, segment->octets);
    le32_set(block + AT_WRITER, segment->writer);
    le64_set(block + AT_SINCE, (uint64_t)segment->since_wall_ms);
    le32_set(block + AT_LENT, segment->lent);
    le32_set(block + AT_CHECK, crc32c(0, block, AT_CHECK));
    if (key)
        spool_stamp_make(key, block, STAMPED_OCTETS, block + AT_STAMP);
    enum status status = spool_pwrite_all(ops, fd, block, sizeof block, 0);
    if (status == STATUS_OK && segment->use != SPOOL_CHECKPOINT)
        status = spool_pwrite_all(ops, fd, block, sizeof block, segment->octets - SPOOL_BLOCK);
    return status;
}

/* In one sector, so that it is never half stamped. */
static enum status stamp_at(const struct spool_ops *ops, int fd, uint64_t at, const struct spool_stamp_key *key)
{
    uint8_t bytes[DESCRIPTION_OCTETS];
    struct spool_segment segment;
    enum status status = spool_pread_all(ops, fd, bytes, sizeof bytes, at);
    if (status == STATUS_OK)
        status = decode(bytes, NULL, &segment);
    if (status != STATUS_OK)
        return status;
    le32_set(bytes + AT_VERSION, SPOOL_SEGMENT_VERSION);
    le32_set(bytes + AT_LENT, segment.lent);
    le32_set(bytes + AT_CHECK, crc32c(0, bytes, AT_CHECK));
    spool_stamp_make(key, bytes, STAMPED_OCTETS, bytes + AT_STAMP);
    return spool_pwrite_all(ops, fd, bytes, sizeof bytes, at);
}

enum status spool_segment_stamp(const struct spool_ops *ops, int fd, const struct spool_stamp_key *key)
{
    struct stat st;
    if (ops->fstat(ops, fd, &st) < 0)
        return STATUS_IO;
    enum status first = stamp_at(ops, fd, 0, key), last = STATUS_DAMAGED;
    if (st.st_size >= 2 * (off_t)SPOOL_BLOCK)
        last = stamp_at(ops, fd, last_block((uint64_t)st.st_size), key);
    if (first != STATUS_OK && last != STATUS_OK)
        return first;
    return spool_fdatasync(ops, fd);
}

char *spool_segment_name(uint32_t number, char ret[SPOOL_SEGMENT_NAME_SIZE])
{
    snprintf(ret, SPOOL_SEGMENT_NAME_SIZE, "%08x.seg", number);
    return ret;
}

bool spool_segment_name_parse(const char *name, uint32_t *ret)
{
    uint32_t number = 0;
    for (unsigned i = 0; i < 8; i++) {
        char c = name[i];
        if (!ascii_digit(c) && (c < 'a' || c > 'f'))
            return false;
        number = number << 4 | (uint32_t)(ascii_digit(c) ? c - '0' : c - 'a' + 10);
    }
    if (strcmp(name + 8, ".seg") != 0)
        return false;
    *ret = number;
    return true;
}
