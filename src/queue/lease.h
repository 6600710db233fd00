/* queue/lease.h -- what is in the hands of a delivery process: one message's recipients at one site. */
#pragma once
#include "queue/queue.h"

struct queue_leased {
    uint32_t index;              /* of the recipient in the record */
    uint8_t result;              /* enum outcome_result, once told */
    bool told;
    const struct queue_reason *reason; /* a reference; NULL for what was simply delivered */
};

#define QUEUE_LEASED_INLINE 4

struct queue_lease {
    uint64_t number;             /* generation, then place in the table */
    uint64_t held_as;            /* the number that delivery gave it before our start; 0: it is ours */
    struct list link;            /* of its delivery process */
    struct queue_lease *next_free;
    struct queue_message *message;
    struct queue_site *site;
    struct list shares;          /* in the order of `leased` */
    int64_t since_ms;
    uint32_t count;              /* recipients */
    uint16_t delivery;
    bool is_slow;
    struct queue_leased *leased;
    struct queue_leased few[QUEUE_LEASED_INLINE];
};

/* Gives the next lease to somebody. False: nothing to give, or nobody with credit. */
bool queue_lease_next(struct queue *queue);
/* An empty lease of that delivery process from before our start, with room for so many recipients. NULL: memory. */
struct queue_lease *queue_lease_adopt(struct queue *queue, unsigned delivery, uint64_t held_as, struct queue_message *message,
                                      struct queue_site *site, uint32_t room);
/* The share (at rest) goes out with it. */
void queue_lease_join(struct queue *queue, struct queue_lease *lease, struct queue_share *share);
/* The lease with that number if that delivery process has it, else NULL. */
struct queue_lease *queue_lease_find(const struct queue *queue, unsigned delivery, uint64_t number);
/* The entry for that recipient, NULL: it is not in this lease. `*cursor` (0 at first) makes asking in order cheap. */
struct queue_leased *queue_lease_entry(struct queue_lease *lease, uint32_t index, uint32_t *cursor);
/* Over; its shares have been settled by the caller. `met` and `words` are what its site was like. */
void queue_lease_over(struct queue *queue, struct queue_lease *lease, enum queue_met met, const struct queue_words *words);
/* Those that have been out for long are counted as slow from now on. */
void queue_leases_tick(struct queue *queue);
int64_t queue_leases_next_ms(const struct queue *queue); /* when that is next needed; INT64_MAX: never */
void queue_leases_done(struct queue *queue);
