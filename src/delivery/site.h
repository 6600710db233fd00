/* delivery/site.h -- the connections to one site, kept and used again, and the jobs that wait for one. */
#pragma once
#include "delivery/delivery.h"
#include "delivery/session.h"

struct job;

struct site {
    struct map_node node;
    struct delivery *delivery;
    struct list idle;      /* sessions, the one used last first */
    struct list waiting;   /* jobs, the oldest first */
    unsigned open;         /* sessions, idle ones included, and jobs that are opening one */
    unsigned most;         /* as the queue last said */
    unsigned expected;     /* jobs that come to wait later */
    struct loop_task turn;
    struct loop_timer patience;
    size_t key_n;
    char key[];
};

/* The site of that name, made where there is none. NULL: out of memory. */
struct site *site_get(struct delivery *delivery, struct span key);
void site_expect(struct site *site);                      /* it stays until site_unexpect() */
void site_unexpect(struct site *site);
void site_wait(struct site *site, struct job *job);       /* it is called when its turn comes: job_begin() */
void site_closed(struct site *site);                      /* one connection less */
void site_keep(struct site *site, struct session *session); /* nobody uses it now */
/* Of all that nobody uses, those used longest ago, until no more than `most` are left. */
void site_close_idle(struct delivery *delivery, unsigned most);
void site_free(struct site *site);                        /* with its idle sessions; no job may wait */
