/* delivery/job.h -- one lease: from the queue's word to the outcome of every recipient. */
#pragma once
#include "delivery/hops.h"
#include "delivery/route.h"
#include "delivery/site.h"

struct check;
struct way;

struct job_recipient {
    uint32_t index;            /* in the record's envelope */
    bool is_settled;           /* its outcome is packed */
};

struct job {
    struct list link;          /* in delivery->jobs */
    struct list in_site;       /* in site->waiting */
    struct list in_opening;    /* in delivery->opening */
    int64_t waits_ms, opens_ms; /* since when it is there */
    struct delivery *delivery;
    struct delivery_config *config;
    struct site *site;
    uint64_t lease, id;
    uint32_t attempt;
    int64_t began_ms;
    struct route route;
    struct span domain;        /* behind this struct */

    struct place *segment, *body;
    struct check *check;       /* job_check.c; NULL unless the body is being read through */
    struct buf record;
    struct spool_message message;
    struct job_recipient *recipients;
    uint32_t recipient_count, left;

    struct way *way;           /* job_way.c; NULL until a connection has to be opened */
    struct net_address trying; /* the address that is tried, and its host */
    char host[DNS_NAME_MAX];
    unsigned tried;            /* addresses */

    /* with whom */
    struct session *session;
    bool has_place;            /* counts among the site's connections */
    bool is_in_clear, came_up;
    struct smtp_client_message outgoing;
    struct smtp_client_recipient *to;
    uint32_t *to_index;        /* outgoing recipient -> job recipient */
    uint32_t left_before;      /* `left` when the transaction began */

    /* what came of it: job_outcome.c */
    struct buf packed;
    uint32_t packed_count;
    enum outcome_trouble trouble;
    int last_code;             /* why those still without an outcome have none */
    struct status_code last_enhanced;
    char last_text[WIRE_REPLY_MAX];
    size_t last_n;
    bool has_temporary_trouble; /* not every server said no for good */
    char peer_name[DNS_NAME_MAX], peer_address[NET_ADDRESS_TEXT], peer_tls[160];
    struct net_address peer;
    bool peer_verified;
};

/* Takes the lease on. What cannot be taken on is given back at once. */
void job_new(struct delivery *delivery, const struct lease_grant *grant);
/* The site's turn: with a kept session, or to open a new one (which counts already). */
void job_begin(struct job *job, struct session *kept);
/* Is a server taking the message, or has one taken a part of it? Then the job must not be begun anew by others. */
bool job_is_in_hand(const struct job *job);
/* Before the end of the process: goes back to the queue, unless a server is taking it. */
void job_let_go(struct job *job);
/* The queue has it again, as if it had not given it. */
void job_give_back(struct delivery *delivery, uint64_t lease);
/* Gives back the jobs that have been waiting for a connection to the site since then or longer: while nobody answers
 * there, others can use their places. */
void job_return_waiting(struct site *site, int64_t since_ms);
/* While more than `most` jobs have no connection yet, those that have waited longest are put off, but none that has
 * waited less than JOB_PATIENCE_MS. */
#define JOB_PATIENCE_MS 5000
void job_give_up_oldest(struct delivery *delivery, unsigned most);
/* Forgets the job without a word to the queue. */
void job_drop(struct job *job);
