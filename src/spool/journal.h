/* spool/journal.h -- the queue's journal: small records in the order they were made, and checkpoints of the whole.
 *
 * The journal moves kinds (SPOOL_KIND_JOURNAL and above), ids and octets; what they mean is the queue's. Records
 * must be idempotent ("recipient 3 of X was delivered", not "one more was delivered"): after a write error those
 * not yet synced are written again to another segment, and a checkpoint is composed while the journal goes on, so
 * that a replay may show a record whose effect is there already.
 */
#pragma once
#include "spool/store.h"

struct spool_journal;

struct spool_journal_record {
    uint8_t kind;
    uint64_t id;
    struct span content;         /* borrowed during the call */
    bool from_checkpoint;
};

struct spool_journal_events {
    /* The journal cannot be written (the disk is full or broken). It keeps the records and tries again every second;
     * OK: it works again. */
    void (*on_trouble)(void *arg, enum status status);
    /* A checkpoint that was full takes more. May be NULL. */
    void (*on_checkpoint_room)(void *arg);
};

/* Before spool_store_start(). NULL: out of memory. */
struct spool_journal *spool_journal_new(struct loop *loop, struct spool_store *store, bool no_thread,
                                        const struct spool_journal_events *events, void *arg);
void spool_journal_free(struct spool_journal *journal); /* writes and syncs what it holds */

/* Reads everything: the checkpoint, then the segments in order. Damage is reported through the store's on_report and
 * skipped. IO: errno; MEMORY; FULL: `each` returned false. */
MUST_CHECK enum status spool_journal_replay(struct spool_journal *journal,
                                            bool (*each)(void *arg, const struct spool_journal_record *record), void *arg);

/* Appends. At the end of the turn it is written (and survives our death); it is synced at latest `SPOOL_SYNC_MS`
 * afterwards (and survives everybody's). MEMORY; TOO_LONG. */
#define SPOOL_SYNC_MS 1000
#define SPOOL_JOURNAL_MAX (1u << 20) /* octets of one record's content */
enum status spool_journal_append(struct spool_journal *journal, uint8_t kind, uint64_t id, struct span content);

/* `done` is called (from the loop) once everything appended before this call is synced; the syncing is another
 * thread's. The caller's memory until then. */
struct spool_sync {
    void (*on_done)(struct spool_sync *self);
    struct spool_sync *next;     /* private */
    uint64_t upto;
};
void spool_journal_sync(struct spool_journal *journal, struct spool_sync *sync);
void spool_journal_sync_cancel(struct spool_journal *journal, struct spool_sync *sync); /* one whose `on_done` did not run */
enum status spool_journal_trouble(const struct spool_journal *journal); /* what on_trouble was last told */
/* Would everything that was appended survive our own death? */
bool spool_journal_is_written(const struct spool_journal *journal);
/* Is everything that was appended synced? */
bool spool_journal_is_synced(const struct spool_journal *journal);
uint64_t spool_journal_octets(const struct spool_journal *journal); /* since the last checkpoint, and before our start */
uint64_t spool_checkpoint_octets(const struct spool_journal *journal); /* of the checkpoint in force; 0: there is none */

/* A checkpoint: begin, add the whole state (over several turns if it is large), end. Appends made between go to the
 * journal as ever and are replayed after it. A worker writes what was added; nothing waits for it here. AGAIN: one is
 * being written already. */
enum status spool_checkpoint_begin(struct spool_journal *journal);
enum status spool_checkpoint_add(struct spool_journal *journal, uint8_t kind, uint64_t id, struct span content);
/* The worker has one buffer in hand and the next is full: stop adding until on_checkpoint_room. What is added all the
 * same is kept in memory. */
bool spool_checkpoint_is_full(const struct spool_journal *journal);
/* The state cannot be composed whole: the end will fail with `why`. */
void spool_checkpoint_fail(struct spool_journal *journal, enum status why);
/* Synced, renamed and the directory synced by a worker; then the journal's older segments are released and `done`
 * is called. On failure the old checkpoint and journal stay in force. */
void spool_checkpoint_end(struct spool_journal *journal, void (*done)(void *arg, enum status status), void *arg);
