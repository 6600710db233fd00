/* spool/store_priv.h -- what the store's files share: store.c (taking and giving back), store_open.c (the directory
 * at the start), store_make.c (the slow work), store_body.c (body files). */
#pragma once
#include "base/map.h"
#include "spool/jobs_priv.h"
#include "spool/store.h"

#define STORE_SEGMENT_OCTETS (64u << 20)
#define STORE_RESERVE_OCTETS (256ull << 20)
#define STORE_WATCH_MS 1000
#define STORE_NAME_SIZE 64

enum entry_state { ENTRY_READY, ENTRY_USED, ENTRY_BUSY };

/* One segment file. */
struct entry {
    struct map_node node;  /* in store->segments, by number */
    struct list link;      /* in store->ready or, when it was lent, store->lent while READY */
    struct spool_segment segment;
    enum entry_state state;
};

/* An empty body file. */
struct ready_body {
    struct list link;
    uint64_t number;
    int fd;
};

struct spool_store {
    struct loop *loop;
    const struct spool_ops *ops;
    struct spool_store_settings settings;
    const struct spool_store_events *events;
    void *arg;
    struct spool_stamp_key stamp;
    bool stamping;         /* there was no key: descriptions are believed, and stamped before it is written */
    int dir, segments_dir, bodies_dir, lock_fd;
    struct map segments;
    struct list ready;     /* EMPTY and the queue's alone */
    struct list lent;      /* EMPTY, and for none but whom it was lent to before */
    struct list ready_bodies;
    unsigned ready_count, lent_count, making, emptying, removing, body_count, making_bodies;
    uint32_t next_number;
    uint64_t sequence, last_body;
    struct jobs jobs;
    struct loop_timer watch;
    uint64_t room;
    bool started, low, failing; /* failing: a file could not be made; tried again with the next look at the disk */
};

void store_report(struct spool_store *store, const char *name, const char *what);
struct entry *store_entry(const struct spool_store *store, uint32_t number);
MUST_CHECK enum status store_add(struct spool_store *store, const struct spool_segment *segment, enum entry_state state,
                                 struct entry **ret);
void store_set_ready(struct spool_store *store, struct entry *entry);
void store_unset_ready(struct spool_store *store, struct entry *entry, enum entry_state state);
void store_drop(struct spool_store *store, struct entry *entry);

/* Segments taken from now on come after `sequence`, which a checkpoint names: the description of the segment that had
 * it may not have reached the disk. */
void store_raise_sequence(struct spool_store *store, uint64_t sequence);

/* store_open.c */
MUST_CHECK enum status store_open_directory(struct spool_store *store, const char *path);
/* store_make.c */
void store_refill(struct spool_store *store);      /* starts to make what is missing */
void store_empty(struct spool_store *store, struct entry *entry);
void store_look_at_room(struct spool_store *store);
void store_drop_job(struct job *job);
/* store_body.c */
void store_refill_bodies(struct spool_store *store);
void store_drop_bodies(struct spool_store *store);
