/* spool/record.h -- one record of a log: 64 octets of header, then envelope, added headers, body.
 *
 * docs/formats/spool.md describes every octet. All numbers are little-endian. The checksums (CRC32C) start from a
 * seed made of the segment's number, epoch and random salt and, for the header, of the record's offset, so that
 * nothing written in an earlier life of the segment, elsewhere, or by a stranger inside a message body can be
 * taken for a record. Decoding trusts nothing.
 */
#pragma once
#include "base/hash.h"
#include "base/span.h"
#include "base/status.h"

#define SPOOL_RECORD_MAGIC 0x43524e47u /* "GNRC" */
#define SPOOL_RECORD_VERSION 1
#define SPOOL_HEADER_OCTETS 64u
#define SPOOL_ALIGN 8u       /* records begin at multiples of this */
#define SPOOL_BLOCK 4096u    /* commits begin at multiples of this */

/* Kinds. What a journal record means is known to the queue alone; it uses SPOOL_KIND_JOURNAL and above. */
enum {
    SPOOL_KIND_PAD = 1,      /* fills up to the next block; no content */
    SPOOL_KIND_MESSAGE = 2,
    SPOOL_KIND_END = 3,      /* last record of a checkpoint: its id is the number of records before it */
    SPOOL_KIND_JOURNAL = 16, /* 16..255: the queue's */
};

enum {
    SPOOL_FLAG_LAST = 1,     /* the last record of its commit */
    SPOOL_FLAG_EARLY = 2,    /* written before the commit in front of its own was synced */
};

/* Where a record lies. `length` counts header, envelope, headers and inline body (not the padding). */
struct spool_place {
    uint32_t segment, offset, length;
};

/* A record's header. */
struct spool_header {
    uint8_t kind, flags;
    uint64_t id;
    uint32_t epoch;
    uint32_t commit;         /* counts the segment's commits in this epoch, from 1 */
    uint32_t stride;         /* octets from this header to the next one */
    uint32_t envelope;       /* octets (of a journal record: its content) */
    uint32_t headers;        /* octets of the header lines that we added */
    uint32_t check_meta;     /* over envelope and headers, seeded */
    uint64_t body;           /* octets of the body, inline or in its file */
    uint64_t file;           /* number of the body file; 0: the body follows the headers */
    uint32_t check_body;     /* plain CRC32C of the body */
};

/* Octets of the record without padding. */
static inline uint64_t spool_header_length(const struct spool_header *header)
{
    return (uint64_t)SPOOL_HEADER_OCTETS + header->envelope + header->headers + (header->file ? 0 : header->body);
}

/* `seed` is the segment's (spool_segment_seed); `offset` the place of the header in the segment. */
void spool_header_encode(const struct spool_header *header, uint32_t seed, uint32_t offset,
                         uint8_t ret[SPOOL_HEADER_OCTETS]);
/* DAMAGED: no header, not of this segment and epoch, torn, or with lengths that contradict each other.
 * DENIED: a whole header of a newer version. `limit` is the segment's size: nothing may reach beyond it. */
MUST_CHECK enum status spool_header_decode(const uint8_t bytes[SPOOL_HEADER_OCTETS], uint32_t seed, uint32_t offset,
                                           uint64_t limit, struct spool_header *ret);
