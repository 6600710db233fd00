/* spool/writer_priv.h -- what writer.c and body.c share. */
#pragma once
#include "loop/workers.h"
#include "spool/writer.h"

#define SPARE_MAX 8 /* segments in reserve */

struct spare {
    int fd;
    uint32_t number;
};

/* A segment that the thread has closed. */
struct sealed {
    uint32_t number, used;
    enum status why;
};

struct spool_writer {
    struct loop *loop;
    struct spool_writer_settings settings;
    const struct spool_writer_events *events;
    void *arg;

    /* the loop's thread */
    struct loop_task at_end;      /* hands over what one turn gathered */
    struct loop_task ask;
    struct mailbox box;
    struct letter letter;         /* the one that tells of finished commits */
    struct spool_append *gathered, **gathered_last;
    size_t count;                 /* appends without on_done */
    uint64_t octets;              /* theirs */
    unsigned held, asked;         /* segments given and not sealed; asked for and not given */
    bool low;
    struct workers *workers;      /* for bodies */
    struct list bodies;

    /* the writing thread */
    pthread_t thread;
    bool has_thread;
    struct spool_log log;

    /* both, under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct spool_append *waiting, **waiting_last;
    struct spool_append *finished, **finished_last;
    struct spare spare[SPARE_MAX];
    unsigned spare_count;
    struct sealed sealed[SPARE_MAX + 1]; /* as many as may be held */
    unsigned sealed_count;
    bool idle, stop, seal, refuse, letter_sent;
};

void spool_writer_drop_bodies(struct spool_writer *writer);
