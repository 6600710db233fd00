/* queue/entry.h -- what the journal says about recipients: one record for each thing that happened to a message.
 *
 * Each entry is absolute ("recipients 1 and 4 of X are delivered"), so that reading one twice changes nothing.
 * docs/formats/spool.md describes every octet. Decoding trusts nothing.
 */
#pragma once
#include "base/buf.h"
#include "queue/names.h"
#include "spool/record.h"
#include "wire/codec.h"

#define QUEUE_WHO_MAX 100       /* octets of an operator's name */
#define QUEUE_WHY_MAX 500
#define QUEUE_ROUTE_MAX 512

enum queue_entry_kind {
    QUEUE_ENTRY_ENDED = SPOOL_KIND_JOURNAL, /* how; recipients: delivered or failed, nothing more is owed */
    QUEUE_ENTRY_DEFERRED,  /* retry_ms, tries, words; recipients */
    QUEUE_ENTRY_NOTICED,   /* recipients: the sender was told about the delay */
    QUEUE_ENTRY_OWED,      /* how, words; recipients: delivered, but a report is owed */
    QUEUE_ENTRY_HELD,      /* who, why; recipients */
    QUEUE_ENTRY_RELEASED,  /* who, why; recipients */
    QUEUE_ENTRY_REROUTED,  /* who, why, route; recipients */
    QUEUE_ENTRY_DELETED,   /* who, why; recipients */
    QUEUE_ENTRY_MOVED,     /* segment, offset, length: where the record is now */
    QUEUE_ENTRY_SEGMENT,   /* checkpoint: segment (also the id), epoch, known */
    QUEUE_ENTRY_MESSAGE,   /* checkpoint: the whole message; queue/checkpoint.h */
    QUEUE_ENTRY_WRITER,    /* checkpoint: nothing; the id is the highest that its writer gave */
    QUEUE_ENTRY_END
};

enum queue_ended { QUEUE_ENDED_DELIVERED = 1, QUEUE_ENDED_FAILED = 2 };

struct queue_entry {
    enum queue_entry_kind kind;
    uint8_t how;             /* enum queue_ended; OWED: enum queue_report_kind */
    uint16_t tries;
    int64_t retry_ms;
    struct queue_words words;
    struct span who, why, route;
    uint32_t segment, offset, length, known;
    uint64_t epoch;
    uint32_t count;          /* recipients */
    const uint32_t *indexes; /* to encode */
    struct span packed;      /* decoded: queue_entry_index() */
};

/* Appends the content of the record. */
void queue_entry_put(struct buf *buf, const struct queue_entry *entry);
/* Not for MESSAGE and WRITER. Spans are borrowed. False: not an entry of that kind. */
MUST_CHECK bool queue_entry_get(uint8_t kind, struct span content, struct queue_entry *ret);
uint32_t queue_entry_index(const struct queue_entry *entry, uint32_t i);

/* Words as they lie in entries. */
void queue_words_put(struct buf *buf, const struct queue_words *words);
void queue_words_get(struct wire_reader *reader, struct queue_words *ret);
