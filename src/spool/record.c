#include "spool/record.h"
#include "spool/le_priv.h"

/* Places in the 64 octets; docs/formats/spool.md has the same table. */
enum {
    AT_MAGIC = 0, AT_VERSION = 4, AT_KIND = 6, AT_FLAGS = 7, AT_ID = 8, AT_EPOCH = 16, AT_COMMIT = 20, AT_STRIDE = 24,
    AT_ENVELOPE = 28, AT_HEADERS = 32, AT_CHECK_META = 36, AT_BODY = 40, AT_FILE = 48, AT_CHECK_BODY = 56, AT_CHECK = 60,
};

static uint32_t header_check(const uint8_t bytes[SPOOL_HEADER_OCTETS], uint32_t seed, uint32_t offset)
{
    uint8_t place[4];
    le32_set(place, offset);
    return crc32c(crc32c(seed, place, sizeof place), bytes, AT_CHECK);
}

void spool_header_encode(const struct spool_header *header, uint32_t seed, uint32_t offset,
                         uint8_t ret[SPOOL_HEADER_OCTETS])
{
    le32_set(ret + AT_MAGIC, SPOOL_RECORD_MAGIC);
    le16_set(ret + AT_VERSION, SPOOL_RECORD_VERSION);
    ret[AT_KIND] = header->kind;
    ret[AT_FLAGS] = header->flags;
    le64_set(ret + AT_ID, header->id);
    le32_set(ret + AT_EPOCH, header->epoch);
    le32_set(ret + AT_COMMIT, header->commit);
    le32_set(ret + AT_STRIDE, header->stride);
    le32_set(ret + AT_ENVELOPE, header->envelope);
    le32_set(ret + AT_HEADERS, header->headers);
    le32_set(ret + AT_CHECK_META, header->check_meta);
    le64_set(ret + AT_BODY, header->body);
    le64_set(ret + AT_FILE, header->file);
    le32_set(ret + AT_CHECK_BODY, header->check_body);
    le32_set(ret + AT_CHECK, header_check(ret, seed, offset));
}

/* The lengths agree with each other and with the segment. */
static bool lengths_fit(const struct spool_header *header, uint32_t offset, uint64_t limit)
{
    if (header->body > INT64_MAX / 2 || (!header->file && header->body > limit))
        return false;
    return header->stride % SPOOL_ALIGN == 0 && spool_header_length(header) <= header->stride &&
           (uint64_t)offset + header->stride <= limit;
}

enum status spool_header_decode(const uint8_t bytes[SPOOL_HEADER_OCTETS], uint32_t seed, uint32_t offset,
                                uint64_t limit, struct spool_header *ret)
{
    if (le32_get(bytes + AT_MAGIC) != SPOOL_RECORD_MAGIC || le32_get(bytes + AT_CHECK) != header_check(bytes, seed, offset))
        return STATUS_DAMAGED;
    if (le16_get(bytes + AT_VERSION) != SPOOL_RECORD_VERSION)
        return STATUS_DENIED;
    struct spool_header header = {
        .kind = bytes[AT_KIND],
        .flags = bytes[AT_FLAGS],
        .id = le64_get(bytes + AT_ID),
        .epoch = le32_get(bytes + AT_EPOCH),
        .commit = le32_get(bytes + AT_COMMIT),
        .stride = le32_get(bytes + AT_STRIDE),
        .envelope = le32_get(bytes + AT_ENVELOPE),
        .headers = le32_get(bytes + AT_HEADERS),
        .check_meta = le32_get(bytes + AT_CHECK_META),
        .body = le64_get(bytes + AT_BODY),
        .file = le64_get(bytes + AT_FILE),
        .check_body = le32_get(bytes + AT_CHECK_BODY),
    };
    if (header.kind == 0 || header.commit == 0 || !lengths_fit(&header, offset, limit))
        return STATUS_DAMAGED;
    *ret = header;
    return STATUS_OK;
}
