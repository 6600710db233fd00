/* queue/queue.h -- knows every queued recipient: when it is due, whose turn it is, who has it, what became of it.
 *
 * A recipient's life:
 *
 *   state       on disk                                   may become
 *   arriving    perhaps a record without commit           waiting; or nothing (the client got no 250)
 *   waiting     accepted, or deferred until T             leased, held, failed (expired)
 *   leased      unchanged: a lease is memory              delivered, waiting, failed; after a crash: waiting
 *   held        held, by whom and why                     waiting, failed, deleted
 *   reporting   unchanged: its report is being stored     failed; after a crash: waiting
 *               (delivered, a report is owed: the journal says so; after a crash it is made again)
 *   delivered / failed / deleted   outcome (and its report, if one is owed)   gone; space may be reclaimed
 *
 * "waiting" has three places: until its time (DUE), until its site is known (RESOLVING), until its turn (READY).
 *
 * Pure: time and events come in, acts go out through a table; no loop, no disk, no clock. The process's main
 * (queue/main.c) plays it with the real ones, tests and the simulator with theirs. All times are wall-clock
 * milliseconds; the caller sees to it that they do not go back while it runs. Every event costs O(log n) at most.
 */
#pragma once
#include "base/log.h"
#include "queue/message.h"
#include "queue/names.h"
#include "queue/settings.h"
#include "queue/site.h"
#include "queue/slab.h"
#include "base/time.h"
#include "wire/queue_delivery.h"
#include "wire/smtpd_queue.h"

#define QUEUE_DELIVERIES_MAX 64
#define QUEUE_ASKS_MAX 2000u        /* domains that one delivery process is asked about at once */
#define QUEUE_CREDIT_MAX 100000u    /* leases that one delivery process may have or ask for */

struct queue_acts {
    /* Ask that delivery process which site serves the domain; queue_resolved() brings the answer. */
    void (*resolve)(void *arg, unsigned delivery, const struct lease_resolve *resolve);
    /* Give it this lease. The segment's descriptor goes first if it does not have it yet. */
    void (*grant)(void *arg, unsigned delivery, const struct lease_grant *grant, struct queue_log_segment *segment);
    /* Keep this: written before this process could die of anything but a power cut. */
    void (*journal)(void *arg, uint8_t kind, uint64_t id, struct span content);
    /* Compose and store it, then queue_reported(). Everything it needs beside lies in the record. */
    void (*report)(void *arg, struct queue_report *report);
    /* No living message lies in it and nobody writes to it. Reuse it after the journal's next sync. */
    void (*segment_empty)(void *arg, struct queue_log_segment *segment);
    /* No living message names it. Remove it after the journal's next sync. */
    void (*body_unused)(void *arg, uint64_t body);
};

struct queue_delivery {
    bool here;
    uint32_t credit;
    uint32_t out;                  /* leases */
    uint32_t asks;                 /* questions to it without an answer */
    struct list leases;            /* the oldest first */
    struct list *quick;            /* the first of them that is not slow yet; `leases` itself: there is none */
};

struct queue_counts {              /* since the start */
    uint64_t accepted, delivered, deferred, failed, expired, deleted, held, reported, leases, lost_leases;
};

struct queue {
    const struct queue_settings *settings; /* the caller's; queue_settings_changed() after a change */
    const struct queue_acts *acts;
    void *arg;
    struct log *log;               /* the caller's */
    int64_t now_ms;                /* of the last event */
    uint64_t random;               /* state of the jitter's numbers */
    struct span hostname;          /* the caller's; the domain of a bare "postmaster" */
    struct span postmaster;        /* the caller's; a report that fails goes there; SPAN_NONE: nowhere */
    bool recovering;               /* nothing goes out yet */
    bool gathering;                /* delivery processes still tell what they have from before our start */
    bool stalled;                  /* outcomes cannot be written, so that nothing new goes out */

    struct map messages, segments, accounts, domains, sites, lanes, reasons;
    size_t reason_octets;          /* of all */
    struct heap wakes;             /* shares by what is next */
    struct heap pauses;            /* sites */
    struct list turns;             /* accounts with lanes that may go */
    struct list news;              /* accounts of which the directory is to hear */
    struct map stayers;            /* suspended accounts */
    uint32_t stay_round;           /* of the list of them that was last begun */
    struct list idle_domains;
    size_t idle_domain_count;
    struct slab message_slab, share_slab, lane_slab;

    struct queue_delivery deliveries[QUEUE_DELIVERIES_MAX];
    unsigned delivery_count;       /* highest number in use + 1 */
    unsigned delivery_next;        /* who gets the next new site */
    uint32_t credit;               /* of all */
    uint32_t out_of_class[QUEUE_SITE_CLASSES]; /* leases */
    struct list parked[QUEUE_SITE_CLASSES];    /* sites whose class has no lease left */
    struct queue_lease **leases;   /* by number */
    uint32_t lease_room, lease_count;
    struct queue_lease *lease_free;
    uint64_t asked;                /* token of the last question */
    uint32_t generation;           /* of the routes */
    struct map asks;               /* domains being asked about, by token */
    struct list unasked;           /* domains that nobody could be asked about */
    int64_t ask_again_ms;          /* when to try that again for want of memory; INT64_MAX: not by the clock */

    uint64_t recipients;           /* living */
    uint64_t by_place[QUEUE_PLACE_COUNT]; /* recipients */
    uint32_t reports;              /* being stored */
    struct list reports_again;     /* could not be stored */
    struct list collecting;        /* more may join them; by look_ms */
    struct map collected;          /* the same, by their message */
    int64_t reports_again_ms;      /* INT64_MAX: there are none */
    struct queue_counts counts;
    struct lease_grant grant;      /* scratch */
    struct buf scratch;
};

/* `seed` is for the jitter. */
void queue_init(struct queue *queue, const struct queue_settings *settings, const struct queue_acts *acts, void *arg,
                struct log *log, uint64_t seed, int64_t now_ms);
void queue_done(struct queue *queue);

/* -- events -- */

/* A message was stored and synced. DAMAGED, EXISTS, NOT_FOUND: the announcement cannot be true and changes nothing;
 * MEMORY: it will be found again at the next start. */
MUST_CHECK enum status queue_arrived(struct queue *queue, int64_t now_ms, const struct queue_arrival *arrival);
/* A delivery process is there (again: what it had is lost), or has gone. */
void queue_delivery_here(struct queue *queue, int64_t now_ms, unsigned delivery);
void queue_delivery_gone(struct queue *queue, int64_t now_ms, unsigned delivery);
/* NOT_FOUND and DAMAGED: it said something that cannot be. */
MUST_CHECK enum status queue_credit(struct queue *queue, int64_t now_ms, unsigned delivery, uint32_t more);
MUST_CHECK enum status queue_resolved(struct queue *queue, int64_t now_ms, unsigned delivery,
                                      const struct lease_resolved *answer);
MUST_CHECK enum status queue_outcome(struct queue *queue, int64_t now_ms, unsigned delivery,
                                     const struct lease_outcome *outcome);
/* It has this lease from the queue before us: it is one of ours from now on, as far as its recipients still wait. NOT_FOUND,
 * DAMAGED as above; MEMORY: they may be sent twice. Sorts `held->recipients`. */
MUST_CHECK enum status queue_held(struct queue *queue, int64_t now_ms, unsigned delivery, struct lease_held *held);
/* While they tell what they hold, nothing is granted and nothing expires. */
void queue_gather(struct queue *queue);
void queue_gathered(struct queue *queue, int64_t now_ms);
/* While outcomes cannot be written nothing is granted: whatever was delivered meanwhile would arrive twice after a start. */
void queue_stall(struct queue *queue, int64_t now_ms, bool stalled);
/* It takes no more leases. */
void queue_delivery_leaving(struct queue *queue, unsigned delivery);
/* Nobody began the lease: its recipients are where they were. NOT_FOUND as above. */
MUST_CHECK enum status queue_returned(struct queue *queue, int64_t now_ms, unsigned delivery, uint64_t lease);
/* The report was stored and synced (OK), cannot be made because the record is damaged (DAMAGED: its recipients are
 * held), or could not be stored now (anything else: it is tried again soon). `report` is gone afterwards. */
void queue_reported(struct queue *queue, int64_t now_ms, struct queue_report *report, enum status status);
/* Does what is due. */
void queue_tick(struct queue *queue, int64_t now_ms);
/* When queue_tick() is next needed; INT64_MAX: never. */
int64_t queue_next_ms(const struct queue *queue);
/* Gives leases while somebody has credit; every event ends with it. */
void queue_pump(struct queue *queue);
/* The settings or the routes are new: every domain is asked about again before its next attempt. */
void queue_settings_changed(struct queue *queue, int64_t now_ms);

static inline bool queue_domain_is_known(const struct queue *queue, const struct queue_domain *domain)
{
    return domain->site && domain->until_ms > queue->now_ms && domain->generation == queue->generation;
}

/* After the last message has gone: frees what a full queue needed, when that was much. True: it did. */
bool queue_give_back(struct queue *queue);

/* For jitter only. */
uint64_t queue_random(struct queue *queue);

/* The process: runs as `goniec role queue` with its channel to the supervisor at descriptor 3. */
int queue_main(void);

/* A writer will append nothing more to this segment. */
void queue_segment_sealed(struct queue *queue, struct queue_log_segment *segment);
