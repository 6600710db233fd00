/* spool/writer.h -- a process's own log: append from the loop's thread, learn when it is safe.
 *
 * One thread writes: a commit (one pwritev, one fdatasync) starts as soon as the disk is idle and takes all that
 * gathered meanwhile. Nothing is copied: the kernel takes the pieces from where the caller has them. What was
 * appended in one turn of the loop is handed over together at its end, and what one commit stored comes back together.
 * The place where "stored" is decided is on_done of struct spool_append, with OK.
 */
#pragma once
#include "loop/loop.h"
#include "spool/log.h"

struct spool_writer;

struct spool_writer_events {
    /* Another segment will soon be needed: ask the queue, then spool_writer_give(). Called at the start as well,
     * and once for each segment that is missing. */
    void (*on_need)(void *arg);
    /* Nothing more will be written to this segment, and on_done was called for all that it holds. `used` octets are
     * in use; `why` is OK, or the error after which it was given up. */
    void (*on_sealed)(void *arg, uint32_t segment, uint32_t used, enum status why);
};

struct spool_writer_settings {
    const struct spool_ops *ops; /* NULL: the system's */
    unsigned ahead;              /* segments to hold in reserve, at least 1 */
    uint32_t waiting_max;        /* octets that may wait for the disk; 0: 256 MiB */
    bool no_thread;              /* commit at the end of the turn, in the loop's thread: for tests and simulators */
};

/* NULL: errno tells. Starts its threads at once (before the process shuts its door). */
struct spool_writer *spool_writer_new(struct loop *loop, const struct spool_writer_settings *settings,
                                      const struct spool_writer_events *events, void *arg);
/* Finishes the commit and the piece of a body in hand and waits for them. Appends without an on_done yet never get one;
 * bodies are freed. */
void spool_writer_free(struct spool_writer *writer);

/* A fresh segment, open for reading and writing; owns `fd`, also on failure. DAMAGED, DENIED: not a usable segment;
 * FULL: there are more than enough. */
enum status spool_writer_give(struct spool_writer *writer, int fd);
/* Forgets what was asked for and asks again: after the queue was started anew. */
void spool_writer_ask_again(struct spool_writer *writer);
/* The disk is low (or no longer): while it is, nothing is taken, and what waits without a segment is refused. */
void spool_writer_set_low(struct spool_writer *writer, bool low);
/* Would an append be refused now? For refusing at MAIL, before the bytes are sent. */
bool spool_writer_is_full(const struct spool_writer *writer);

/* OK: on_done will be called, from the loop. FULL: the disk is low or too much waits ("452 4.3.1"). After an on_done
 * with TOO_LONG (larger than a segment), IO or FULL nothing was stored as far as anybody may know. */
MUST_CHECK enum status spool_writer_append(struct spool_writer *writer, struct spool_append *append);
/* Number of appends without their on_done yet. */
size_t spool_writer_waiting(const struct spool_writer *writer);
/* Gives the open segment back early (on_sealed follows once nothing waits): before a process ends. */
void spool_writer_seal(struct spool_writer *writer);

/* -- large bodies: streamed into a file that the queue created, off the loop's thread -- */

struct spool_body;
typedef void spool_body_done(struct spool_body *body, void *arg, enum status status);

/* Owns `fd` (open for writing, empty). NULL: out of memory (fd is closed). */
struct spool_body *spool_body_new(struct spool_writer *writer, int fd, uint64_t number);
/* Not while work is in hand: before `done`, only the end of its writer frees it. The file stays; the queue removes it. */
void spool_body_free(struct spool_body *body);
/* Appends `chunk`, which stays as it is until `done` or the end of the writer. One call at a time. FULL: too much work
 * waits. */
MUST_CHECK enum status spool_body_add(struct spool_body *body, struct span chunk, spool_body_done *done, void *arg);
/* Syncs; with OK spool_body_ref() may go into an append. */
MUST_CHECK enum status spool_body_sync(struct spool_body *body, spool_body_done *done, void *arg);
struct spool_body_ref spool_body_ref(const struct spool_body *body);
