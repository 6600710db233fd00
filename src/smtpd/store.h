/* smtpd/store.h -- our log and the queue that owns the spool directory: segments and body files come from it, stored
 * messages are announced to it.
 *
 * A queue that dies takes the log's segments with it: its successor takes every segment of before for finished. So
 * the log ends too (what is being committed is waited for, but not acknowledged), and a fresh one begins with the
 * new queue.
 */
#pragma once
#include "base/log.h"
#include "intake/intake.h"

struct body_ask {
    struct list link;
    uint64_t token; /* 0: nothing is asked */
    /* `fd` is the handler's; -1: there is no room, or no queue. */
    void (*on_body)(struct body_ask *self, int fd, uint64_t number);
};

struct store {
    struct loop *loop;
    struct log *log;
    struct channel *queue;       /* NULL: away */
    struct spool_writer *writer; /* NULL: away, or not begun */
    bool welcome;                /* the queue has told us our number */
    bool accepting;              /* it has room */
    bool ending;                 /* the queue is gone, the log ends when nothing waits */
    struct id_source ids;
    uint64_t token;
    struct list asks;            /* struct body_ask */
    struct loop_task settle;
    const struct store_events *events;
    void *arg;
};

struct store_events {
    void (*on_begun)(void *arg);  /* messages can be taken */
    void (*on_ending)(void *arg); /* body files in hand are lost; their spool_body must be freed now */
    void (*on_ended)(void *arg);  /* the log is gone: no worker has anything of ours any more */
    void (*on_idle)(void *arg);   /* nothing waits for the disk any more */
};

void store_init(struct store *store, struct loop *loop, struct log *log, const struct store_events *events, void *arg);
void store_done(struct store *store); /* waits for the commit in hand */
/* A (new) queue. Owns `fd`. */
void store_connect(struct store *store, int fd);

/* May a message be taken now? DENIED: there is no queue (451 4.3.0). FULL: no room (452 4.3.1). */
enum status store_check(const struct store *store);
uint64_t store_id(struct store *store);
/* As intake_store(); also when store_check() would refuse. */
MUST_CHECK enum status store_put(struct store *store, struct intake *intake, const struct spool_body_ref *file,
                                 intake_on_stored *on_stored);
/* First of all in on_stored: tells the queue. Returns `status`, or CLOSED when the queue died before the commit ended:
 * its successor may have read the segment already, so the message must not be acknowledged; nor may it when there is no memory
 * to tell the queue. (If the successor did find
 * it, the client's next attempt makes a second copy; the log says so.) */
enum status store_stored(struct store *store, const struct intake *intake, enum status status);
bool store_is_idle(const struct store *store);

/* A file for a large body. False: there is no queue. on_body is never called inside. */
MUST_CHECK bool store_body_ask(struct store *store, struct body_ask *ask);
void store_body_cancel(struct store *store, struct body_ask *ask); /* nothing happens when nothing was asked */
/* The file is not wanted any more. */
void store_body_drop(struct store *store, uint64_t number);
