/* spool/move.h -- takes a surviving message out of a segment that is nearly empty: copies its record, with its id, to
 * the end of our own log. Which ones, and when, is the queue's decision.
 *
 * Until the old segment is released the message lies in both places, also after a crash: the same id found twice is
 * one message. A body in a file of its own stays where it is; the copy names it too.
 */
#pragma once
#include "spool/reader.h"
#include "spool/writer.h"

struct spool_move {
    uint64_t id;             /* the record must have it */
    void (*on_done)(struct spool_move *self, enum status status); /* OK: `place` is the new one, and synced */
    void *arg;               /* the caller's */
    struct spool_place place;
    /* private */
    struct spool_append append;
    struct buf buf;          /* the record */
    struct span body;
};

/* Reads the record at `place`, checks all of it and appends it. OK: on_done will be called; else nothing happened.
 * The caller's memory until then; `id`, `on_done` and `arg` are set before. DAMAGED, IO, MEMORY, FULL. */
MUST_CHECK enum status spool_move_start(struct spool_move *self, struct spool_writer *writer, const struct spool_ops *ops,
                                        int fd, struct spool_segment *segment, struct spool_place place);
/* Frees what a move holds whose writer was freed before it was done. */
void spool_move_drop(struct spool_move *self);
