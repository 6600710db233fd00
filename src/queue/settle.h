/* queue/settle.h -- what becomes of recipients: the journal is told first, then they move. */
#pragma once
#include "queue/entry.h"
#include "queue/queue.h"

/* Why a recipient is over or late, for its sender. */
struct queue_told {
    uint32_t index;
    uint8_t notify;
    const struct queue_reason *reason; /* a reference; may be NULL */
};

enum queue_report_kind { QUEUE_REPORT_FAILED, QUEUE_REPORT_DELAYED, QUEUE_REPORT_DELIVERED, QUEUE_REPORT_RELAYED };

#define QUEUE_REPORT_RECIPIENTS_MAX 1000

/* One report to one sender. Made by the core, gone with queue_reported(). */
struct queue_report {
    enum queue_report_kind kind;
    bool expired;                /* FAILED: its time was over */
    bool to_postmaster;          /* it could not be delivered and is a report itself */
    uint64_t id;                 /* the message that it tells about; a DELAYED one may be gone meanwhile */
    struct list shares;          /* those that end with it; empty for DELAYED */
    struct list link;            /* in the queue's ring of those to be tried again, or of those that collect */
    struct map_node collected;   /* by id, while it collects others: collect.c */
    bool collects;
    int64_t since_ms, look_ms;   /* when that began; when to see whether more may come */
    unsigned tries;
    uint32_t count, room;
    struct queue_told *told;
};

/* Its time is over. */
void queue_expire(struct queue *queue, struct queue_share *share);
/* Tells the sender that this share, and all of the message that waits with it, is late. */
void queue_notice(struct queue *queue, struct queue_share *share);
/* The answer about its site was no: for good, or until it is asked again. */
void queue_share_unroutable(struct queue *queue, struct queue_share *share, const struct queue_words *words,
                            bool for_good);
/* A delivery process has gone and this lease with it. */
void queue_lease_lost(struct queue *queue, struct queue_lease *lease);
/* A report that was owed before the restart is made again for this share (at rest). */
void queue_owe_again(struct queue *queue, struct queue_share *share, enum queue_report_kind kind);
/* Sends the reports that nobody more will join, or all that still collect. */
void queue_collected_tick(struct queue *queue, bool all);
int64_t queue_collected_next_ms(const struct queue *queue); /* INT64_MAX: never */
/* Tries the reports again that could not be stored. */
void queue_reports_tick(struct queue *queue);
void queue_report_free(struct queue *queue, struct queue_report *report);
/* Writes one entry to the journal. */
void queue_journal(struct queue *queue, uint64_t id, const struct queue_entry *entry);
