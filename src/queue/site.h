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

struct queue_site {
    struct map_node node;      /* by key */
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
/* Leases that it may have out now. */
uint32_t queue_site_room(const struct queue *queue, const struct queue_site *site);
/* After the settings changed. */
void queue_sites_retune(struct queue *queue);
