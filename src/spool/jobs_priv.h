/* spool/jobs_priv.h -- slow work of the spool's owner: in one worker thread, or in the loop where tests want that. */
#pragma once
#include "loop/workers.h"

struct jobs {
    struct loop *loop;
    struct workers *workers; /* NULL: in the loop's thread */
    struct list running;
};

struct job {
    struct list link;
    struct jobs *jobs;
    struct work work;
    struct loop_task task;
    void (*run)(struct job *self);     /* in the worker */
    void (*on_done)(struct job *self); /* in the loop's thread */
};

MUST_CHECK enum status jobs_init(struct jobs *jobs, struct loop *loop, bool no_thread);
/* Waits for the job in hand; `drop` gets every job whose on_done did not run. */
void jobs_done(struct jobs *jobs, void (*drop)(struct job *job));
void jobs_do(struct jobs *jobs, struct job *job);
