/* spool/journal_priv.h -- what journal.c (appending), checkpoint.c and replay.c share. */
#pragma once
#include "spool/jobs_priv.h"
#include "spool/journal.h"

#define CHECKPOINT_NAME "checkpoint"
#define CHECKPOINT_NEW "checkpoint.new"

/* A record in memory, before it is known in which segment it will lie; its content follows, then zeros up to 8. */
struct raw {
    uint64_t id;
    uint32_t octets;
    uint8_t kind;
};

/* A checkpoint being written. */
struct checkpoint {
    bool active, ended, ending;  /* ended: nothing more is added; ending: the worker makes it the checkpoint */
    bool writing;                /* the worker has `going` */
    int fd;
    uint32_t seed, at;           /* at: octets that lie in the file */
    uint64_t count;
    uint64_t replaced;           /* octets of the journal that need not be read after it */
    struct spool_segment segment;
    struct buf out, going;       /* being filled, being written */
    enum status status, write_status;
    struct job job, write_job;
    void (*done)(void *arg, enum status status);
    void *arg;
};

struct spool_journal {
    struct loop *loop;
    struct spool_store *store;
    const struct spool_ops *ops;
    const struct spool_journal_events *events;
    void *arg;
    struct jobs jobs, checkpoint_jobs; /* a worker each: no sync of the journal waits for a checkpoint's */
    struct loop_task at_end;     /* writes what one turn appended */
    struct loop_task tell;
    struct loop_timer due;       /* the sync that comes at latest; also the next try after trouble */

    struct buf raw;              /* records that are not synced, oldest first */
    size_t written;              /* octets of raw that lie in the open segment */
    uint64_t appended, synced;   /* counts of octets ever */
    struct spool_sync *waiting, **waiting_last;
    struct buf out;

    int fd;                      /* -1: no segment is open */
    struct spool_segment segment;
    uint32_t seed, at, commit;
    bool leave;                  /* go on in another segment once this one is synced */
    enum status trouble;
    uint64_t octets;             /* since the last checkpoint */
    uint64_t checkpoint_octets;  /* of the last checkpoint; 0: there is none */

    struct job sync_job;
    bool syncing;
    size_t sync_raw;             /* octets of raw that the sync in hand covers */
    enum status sync_status;

    uint64_t replay_from;        /* sequence of the first segment after the checkpoint */
    struct checkpoint checkpoint;
};

/* One journal record into `out`, as it lies at offset `at`. */
MUST_CHECK enum status journal_compose(struct buf *out, uint32_t seed, uint32_t at, struct spool_header header,
                                       struct span content);
void journal_work(struct spool_journal *journal);
/* The journal has gone on to a new segment: a checkpoint that waits for that may end. */
void checkpoint_moved(struct spool_journal *journal);
void checkpoint_drop(struct spool_journal *journal);
void journal_release_before(struct spool_journal *journal, uint64_t sequence);
