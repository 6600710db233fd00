/* queue/recover.h -- how the queue comes back: checkpoint and journal are read, then the segments behind them.
 *
 * Pure: the caller (queue/disk.c, tests, the simulator) reads and hands over. Order: queue_recover_begin(),
 * queue_segment_add() for every segment of messages there is, all entries of checkpoint and journal, the records found in
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
    uint64_t last_ids[ID_WRITERS]; /* of each writer the highest that was seen, and believed */
    uint64_t entries, damaged, found, lost;
    uint64_t ahead;              /* ids that were too far ahead of the clock to be counted on from */
};

/* May ids of this writer go on behind that one? Those of a day ahead of the clock may not: whoever took over a process could
 * else use up the ids of 69 years with one message. After a clock that was set back they go on where they ended, `slack_ms`
 * at a time. `last` is the highest of the writer so far. */
MUST_CHECK bool queue_id_is_near(uint64_t id, uint64_t last, int64_t now_ms, int64_t slack_ms);
#define QUEUE_IDS_AHEAD_MS (24 * INT64_C(3600000))
#define QUEUE_IDS_SLACK_MS 1000 /* from one message to the next: a writer gives 32768 ids in a millisecond */

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
