/* spool/store.h -- the spool directory and its owner: one process opens it, the others get descriptors from it.
 *
 *     spool/lock  segments/NNNNNNNN.seg  bodies/NNNNNNNNNNNNNNNN.body  checkpoint  quarantine/
 *
 * Recovery. The segment files are the whole truth. Every file says itself whether it is EMPTY, or USED for messages
 * or for the journal, and in which order it was taken. After spool_store_open():
 *   1. spool_journal_replay() (spool/journal.h): the checkpoint, then the journal in order;
 *   2. for each USED segment with messages: spool_store_scan(), only behind the last record that the checkpoint
 *      knew. A record found there is a message unless the journal says that it is finished;
 *   3. spool_store_bodies(): body files that no live message names are removed;
 *   4. spool_store_start(): segments are filled ahead from now on.
 * A segment goes back (spool_store_release) only after the outcomes of all its messages were synced, and these
 * outcomes may be forgotten (left out of a checkpoint) only after on_released. A body file likewise.
 */
#pragma once
#include "loop/loop.h"
#include "spool/scan.h"

struct spool_store;

struct spool_store_settings {
    const struct spool_ops *ops;   /* NULL: the system's */
    uint32_t segment_octets;       /* of new segments; 0: 64 MiB */
    uint64_t reserve_octets;       /* the disk is low when less is free; 0: 256 MiB */
    unsigned ahead;                /* EMPTY segments to hold ready; 0: 2 */
    unsigned keep_most;            /* more EMPTY ones than this are removed, whoever may use them; 0: 16 */
    unsigned bodies_ahead;         /* empty body files to hold ready; 0: 4 */
    unsigned lock_wait_ms;         /* how long to wait for another process that has it: one that dies may need a moment */
    bool no_thread;                /* slow work runs in the loop's thread: for tests and simulators */
};

struct spool_store_events {
    /* Something about a file that a person should know; the names are relative to the spool directory. */
    void (*on_report)(void *arg, const char *name, const char *what);
    void (*on_ready)(void *arg);                       /* an EMPTY segment or a body file can be taken again */
    void (*on_released)(void *arg, uint32_t segment);  /* it is EMPTY on disk */
    void (*on_low)(void *arg, bool low);               /* less than the reserve is free; or again more */
};

/* Opens (and where need be creates) the directory, which must belong to us and to nobody else. DENIED: a foreign
 * owner, open to others, or a newer version; EXISTS: another process has it; IO: errno. `on_report` has the details
 * and may be called during this call. Files that are not ours are reported and left alone. */
MUST_CHECK enum status spool_store_open(struct loop *loop, const char *path,
                                        const struct spool_store_settings *settings,
                                        const struct spool_store_events *events, void *arg, struct spool_store **ret);
void spool_store_free(struct spool_store *store); /* after the journal; waits for the work in hand */
const struct spool_ops *spool_store_ops(const struct spool_store *store);
int spool_store_dir(const struct spool_store *store); /* the spool directory's descriptor; stays the store's */
void spool_store_report(struct spool_store *store, const char *name, const char *what); /* to on_report */

/* Every segment there is, in no order; false from `each` ends it. */
void spool_store_each(struct spool_store *store, bool (*each)(void *arg, const struct spool_segment *segment), void *arg);
/* What is known of segment `number`; NULL: there is none. */
const struct spool_segment *spool_store_segment(const struct spool_store *store, uint32_t number);
/* Hands out the records of segment `number` behind the known one at offset `after` (0: all), synced. Damaged records
 * are copied to quarantine/ and reported by name. Anything but OK: not all was read, or damage could not be put aside, so
 * that the segment must not be given back. */
MUST_CHECK enum status spool_store_scan(struct spool_store *store, uint32_t number, uint32_t after,
                                        bool (*on_record)(void *arg, const struct spool_found *found), void *arg);

/* Begins to fill segments and body files ahead and to watch the disk's space. */
void spool_store_start(struct spool_store *store);
/* Takes an EMPTY segment into use; `writer` 0 is the owner itself. What was given to another is never given to anybody
 * else afterwards, nor used for the journal. `*ret_fd` is open for reading and writing and the caller's.
 * AGAIN: none is ready, on_ready will tell; FULL: and none will be while the disk is low. */
MUST_CHECK enum status spool_store_take(struct spool_store *store, enum spool_use use, uint32_t writer, int *ret_fd,
                                        uint32_t *ret_number);
/* A read-only descriptor, the caller's. NOT_FOUND, IO. */
MUST_CHECK enum status spool_store_read_fd(struct spool_store *store, uint32_t number, int *ret_fd);
/* Everything in it is void; it is made EMPTY in the background, then on_released. */
void spool_store_release(struct spool_store *store, uint32_t number);

/* An empty body file, open for writing. AGAIN, FULL as above. */
MUST_CHECK enum status spool_store_body_take(struct spool_store *store, uint64_t *ret_number, int *ret_fd);
MUST_CHECK enum status spool_store_body_read_fd(struct spool_store *store, uint64_t number, int *ret_fd);
void spool_store_body_remove(struct spool_store *store, uint64_t number);
/* Calls `keep` for every body file from before this start; those it does not want are removed. */
void spool_store_bodies(struct spool_store *store, bool (*keep)(void *arg, uint64_t number), void *arg);

/* Another reserve from now on (0: 256 MiB); on_low tells when that changes something. */
void spool_store_set_reserve(struct spool_store *store, uint64_t octets);
bool spool_store_is_low(const struct spool_store *store);
uint64_t spool_store_room(const struct spool_store *store); /* octets free on the disk when last looked */
