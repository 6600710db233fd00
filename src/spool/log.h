/* spool/log.h -- one log without threads: composes commits and writes them into the open segment.
 *
 * spool/writer.h puts a thread and a loop around it; the simulator and the tools use it as it is.
 */
#pragma once
#include "base/buf.h"
#include "spool/segment.h"

/* A body in a file of its own; it was synced before the record is appended. */
struct spool_body_ref {
    uint64_t number;
    uint64_t octets;
    uint32_t check;          /* CRC32C */
};

/* One record on its way into the log. The caller's memory; it and everything it points to stay as they are until
 * on_done, which runs in the loop's thread. */
struct spool_append {
    uint64_t id;
    uint8_t kind;            /* SPOOL_KIND_MESSAGE */
    struct span envelope;
    struct span headers;
    const struct span *body; /* pieces of the inline body, in order */
    size_t body_count;
    struct spool_body_ref file; /* number 0: the body is inline */
    void (*on_done)(struct spool_append *self, enum status status);
    void *arg;               /* the caller's */
    struct spool_place place;   /* filled when status is OK: from now on it survives everything */
    /* private */
    struct spool_append *next;
    enum status status;
    struct spool_header header;
};

struct spool_log {
    const struct spool_ops *ops;
    int fd;                  /* -1: no segment */
    struct spool_segment segment;
    uint32_t at;             /* where the next commit goes */
    uint32_t commit;         /* its number is one more */
    struct iovec *pieces;
    size_t piece_room, piece_count;
    uint8_t *heads;          /* encoded headers of the commit */
    size_t head_room;
};

void spool_log_init(struct spool_log *log, const struct spool_ops *ops);
void spool_log_done(struct spool_log *log); /* closes the segment */
/* The log goes on in this fresh segment, read from the descriptor itself; owns `fd` then. The old one must be closed. */
MUST_CHECK enum status spool_log_open(struct spool_log *log, int fd);
void spool_log_close(struct spool_log *log);
static inline bool spool_log_is_open(const struct spool_log *log) { return log->fd >= 0; }

/* Octets that the record takes. */
uint64_t spool_append_octets(const struct spool_append *append);
/* Does it fit behind `taken` octets of the same commit? */
bool spool_log_fits(const struct spool_log *log, uint64_t taken, const struct spool_append *append);
/* Writes the chain (`next`) as one commit and syncs it; all of it must fit. OK: every place is filled and lasts.
 * FULL, IO, MEMORY: nothing may be acknowledged and the segment must be closed: what lies at its end is unknown. */
MUST_CHECK enum status spool_log_commit(struct spool_log *log, struct spool_append *first);
