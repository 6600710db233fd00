/* queue/recover.h -- how the queue comes back: checkpoint and journal are read, then the segments behind them.
 *
 * Pure: the caller (queue/disk.c, tests, the simulator) reads and hands over. Order: queue_segment_add() for every
 * segment of messages there is, queue_recover_begin(), all entries of checkpoint and journal, the records found in
 * the segments behind queue_log_segment.known, queue_recover_end(). An entry about a message that is not known yet is
 * kept until its record is found; a message that has ended is remembered, so that its record is not taken for new.
 * Whatever part of the journal is missing at its end, a recipient only ever moves back to waiting.
 */
#pragma once
#include "base/id.h"
#include "queue/entry.h"
#include "queue/queue.h"

struct queue_recovery {
    struct queue *queue;
    struct queue_log_segment *limbo; /* for messages whose segment is gone: the journal will say where they are */
    struct map fates;            /* by id */
    struct slab fate_slab;
    struct buf kept;             /* entries about messages that are not known yet */
    uint64_t last_ids[ID_WRITERS]; /* of each writer the highest that was seen */
    uint64_t entries, damaged, found, lost;
};

MUST_CHECK enum status queue_recover_begin(struct queue_recovery *recovery, struct queue *queue);
/* One record of checkpoint or journal, in order. MEMORY; DAMAGED: not an entry, it changes nothing. */
MUST_CHECK enum status queue_recover_entry(struct queue_recovery *recovery, uint8_t kind, uint64_t id,
                                           struct span content);
/* A record lies in a segment. MEMORY; DAMAGED. */
MUST_CHECK enum status queue_recover_found(struct queue_recovery *recovery, const struct queue_arrival *arrival);
/* Everything waits, goes or stays held from now on. */
void queue_recover_end(struct queue_recovery *recovery, int64_t now_ms);
/* Instead, when not all could be read: frees what the recovery has. Segments that look empty may not be; nobody is told
 * about any, and the queue is only good for queue_done(). */
void queue_recover_give_up(struct queue_recovery *recovery);

/* What an entry says is done to the message, live or recovering: parts of shares are cut out for it. Recipients that
 * are leased or being reported are left alone (their number comes back) unless recovering. */
uint32_t queue_entry_apply(struct queue *queue, struct queue_message *message, const struct queue_entry *entry);
