/* delivery/delivery.h -- takes messages to the servers of their recipients.
 *
 *     queue --lease--> job --> site's turn --> session --> the peer's word --> outcome --> queue
 *
 * A job is one lease: a message and those of its recipients that go to one site. It waits in its site for a
 * connection, or opens one: hosts by preference, their addresses by turns, until one takes it. A recipient is given
 * back to the queue exactly once: delivered, deferred, failed or caught. What the queue has confirmed to have written
 * is forgotten here; a queue that dies before is followed by one that is told again (held.c).
 */
#pragma once
#include "base/log.h"
#include "base/map.h"
#include "delivery/config.h"
#include "delivery/hosts.h"
#include "delivery/places.h"
#include "loop/workers.h"
#include "wire/queue_delivery.h"

struct delivery {
    struct loop *loop;
    struct log *log;
    struct delivery_config *config;
    struct channel *queue;       /* NULL while there is none */
    struct map sites;            /* struct site, by key */
    struct hosts hosts;          /* addresses that gave trouble */
    struct places places;        /* descriptors of segments and bodies */
    struct list jobs;            /* every struct job */
    struct list opening;         /* of these, the ones that have no connection yet though it is their turn; the oldest first */
    unsigned opening_count;
    struct loop_timer patience_end; /* runs while too many are opening: makes a turn */
    struct list questions;       /* every struct question */
    struct workers *readers;     /* read large bodies through before they are sent; NULL: we do it ourselves */
    struct list checks;          /* what the readers have in hand: job_check.c */
    unsigned job_count, job_peak; /* job_peak: the most since we last looked whether memory can go back */
    unsigned begun, begun_seen, looks; /* jobs ever; at the last look whether it is quiet; number of looks */
    struct list idle;            /* kept connections of all sites, the one used longest ago first */
    unsigned idle_count;
    struct list told;            /* outcomes that the queue has not confirmed: held.c */
    uint64_t told_count, settled_count; /* outcomes told to this queue, and confirmed by it */
    uint64_t tickets;            /* numbers given to leases of queues that died */
    struct lease_held held;      /* scratch */
    uint32_t owed;               /* credits to give with the end of this turn */
    bool greets;                 /* the first credit is owed, be it 0 */
    bool is_draining, has_left;  /* has_left: no grant follows */
    struct loop_task give;       /* hook: sends the credits, and tells when nothing is left */
    uint64_t random;
    struct loop_timer drain_end, rest;
    void (*on_drained)(void *arg); /* nothing is left in hand, while draining */
    void *arg;
};

/* The caller's memory. `config` is taken over. */
void delivery_init(struct delivery *delivery, struct loop *loop, struct log *log, struct delivery_config *config);
void delivery_done(struct delivery *delivery); /* closes everything; outcomes that were not sent are lost */
/* Jobs in hand go on by the old settings. */
void delivery_set_config(struct delivery *delivery, struct delivery_config *config);
/* A queue to work for, by the channel's descriptor (taken over). The one before died: the new one is told what is in
 * hand, and gives anew what no server had begun to take. */
void delivery_set_queue(struct delivery *delivery, int fd);
/* Takes nothing new and gives back what no server has begun to take. on_drained comes when the rest is settled, or after DELIVERY_DRAIN_MS. */
#define DELIVERY_DRAIN_MS 10000
void delivery_drain(struct delivery *delivery, void (*on_drained)(void *arg), void *arg);

/* The process `goniec role delivery`: runs until the supervisor goes or lets it go; what it exits with. */
int delivery_main(void);
