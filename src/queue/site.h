/* queue/site.h -- where mail goes, how fast it may go there, and whose turn it is.
 *
 * A site is all domains that the same servers take mail for. Each has its own pace: how many leases may be out, and
 * a pause while nobody there answers. An account's mail for a site waits in a lane. Turns are fair twice:
 *   - over the whole house, accounts take turns by deficit round robin, counted in recipients, so that one who
 *     writes to 20,000 sites does not stand before one who writes to one;
 *   - at a site that is full, its lanes stand in line, and a free place goes to the first of them, by the same rule.
 * Never more lanes of a site are let into the accounts' rings than it has places free: whoever is let in gets one,
 * and nothing is ever looked through.
 */
#pragma once
#include "queue/names.h"

enum queue_lane_where {
    QUEUE_LANE_EMPTY,  /* no share waits in it */
    QUEUE_LANE_LINE,   /* stands in the site's line */
    QUEUE_LANE_TURN    /* in its account's ring */
};

struct queue_lane {
    struct map_node node;      /* by site and account */
    struct list link;          /* of the site's line or of its account's ring */
    struct list shares;
    struct queue_site *site;
    struct queue_account *account;
    uint32_t waiting;          /* shares */
    int32_t deficit;           /* recipients that it had ahead of the others in the line, if negative */
    enum queue_lane_where where;
};

/* Leases are a good that silent servers could use up. What is not known to be quick has three quarters of them at
 * most, and of these what is known to be slow or in trouble two: whoever answers always finds some. */
enum queue_site_class {
    QUEUE_SITE_QUICK,          /* it took the last message, and lets nobody wait */
    QUEUE_SITE_NEW,            /* nothing came back from it yet */
    QUEUE_SITE_SLOW,           /* a lease has been out for QUEUE_SLOW_MS, or nobody answered */
    QUEUE_SITE_CLASSES
};
#define QUEUE_SLOW_MS 1000

struct queue_site {
    struct map_node node;      /* by key */
    struct list parked;        /* until its class has leases left */
    struct heap_node resume;   /* when the pause ends; in the heap only meanwhile */
    struct list line;          /* lanes that wait for a place */
    const struct queue_reason *last; /* why it is paused */
    uint32_t refs;             /* domains, lanes, leases */
    uint32_t turns;            /* lanes let into their accounts' rings */
    uint32_t out;              /* leases */
    uint32_t waiting;          /* shares in its lanes */
    uint32_t limit;            /* connections it may have now; grows back to the setting step by step */
    uint16_t trouble;          /* attempts in a row that did not reach it */
    uint16_t home;             /* the delivery process whose connections are used first */
    uint16_t busy;             /* attempts in a row that it was too busy for */
    uint16_t key_octets;
    bool paused;
    bool proven;               /* the last that was heard from it was good */
    bool leisurely;            /* a store of messages would only keep others' from their turn */
    uint8_t class;             /* enum queue_site_class */
    uint32_t slow;             /* leases out for QUEUE_SLOW_MS */
    int64_t good_ms;           /* when it last took a message */
    uint32_t life;             /* how long a lease with it lasts, in 1/8 ms: what many of the last came to */
    uint16_t *out_of;          /* leases out by delivery process; NULL before the first */
    char key[];
};

static inline struct span queue_site_key(const struct queue_site *site) { return span_of(site->key, site->key_octets); }

/* One reference; NULL: out of memory. */
struct queue_site *queue_site_ref(struct queue *queue, struct span key);
void queue_site_unref(struct queue *queue, struct queue_site *site);

/* The share stands in its account's lane at the site from now on. MEMORY: it does not. */
MUST_CHECK enum status queue_lane_join(struct queue *queue, struct queue_site *site, struct queue_share *share);
void queue_lane_leave(struct queue *queue, struct queue_share *share);

/* The lane whose turn it is, NULL when none may go. The turn is over with queue_turn_taken(). */
struct queue_lane *queue_turn_next(struct queue *queue);
/* `recipients` went out in one lease by delivery process `to`. `lane` is NULL when it became empty by that. */
void queue_turn_taken(struct queue *queue, struct queue_site *site, struct queue_account *account,
                      struct queue_lane *lane, uint32_t recipients, unsigned to);

/* A lease is with that delivery process: one reference. */
void queue_site_taken(struct queue *queue, struct queue_site *site, unsigned by);

/* A lease came back from delivery process `from`, and what it met there. */
enum queue_met { QUEUE_MET_GOOD, QUEUE_MET_BUSY, QUEUE_MET_NOBODY, QUEUE_MET_NOTHING };
void queue_site_back(struct queue *queue, struct queue_site *site, unsigned from, enum queue_met met,
                     const struct queue_words *words);
/* Ends a pause that is over, or at once on an operator's word. */
void queue_site_resume(struct queue *queue, struct queue_site *site);
/* A lease that it took was out for so long. */
void queue_site_lived(struct queue_site *site, int64_t life_ms);
/* Leases for each of its connections: to one that is slow, or not known to be quick, a second one would only wait. So
 * it would where a message takes longer than a few ms: whoever comes next should not stand behind what was handed out. */
uint32_t queue_site_ahead(const struct queue *queue, const struct queue_site *site);
/* Leases that it may have out now. */
uint32_t queue_site_room(const struct queue *queue, const struct queue_site *site);
/* May there be another lease for a site of its class? */
bool queue_class_has_room(const struct queue *queue, const struct queue_site *site);
/* Lets sites back in whose class has room again. */
void queue_unpark(struct queue *queue);
/* Lets lanes in from the site's line while there are places. */
void queue_site_admit(struct queue *queue, struct queue_site *site);
/* One of its leases has become slow; a slow one ends now. */
void queue_site_slower(struct queue *queue, struct queue_site *site);
void queue_site_quicker(struct queue *queue, struct queue_site *site);
/* After the settings changed. */
void queue_sites_retune(struct queue *queue);
