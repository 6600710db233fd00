/* Leases that are not as usual: held by delivery processes since before our start, or returned by them untouched. */
#include "base/order.h"
#include "queue/lease.h"
#include "queue/schedule.h"
#include <stdlib.h>

/* An attempt whose end we know already is told a second time. */
static bool may_be_held(const struct queue_share *share, const struct lease_held *held)
{
    bool waits = share->place == QUEUE_DUE || share->place == QUEUE_RESOLVING || share->place == QUEUE_READY ||
                 share->place == QUEUE_SUSPENDED;
    return waits && share->tries < held->attempt && share->count <= WIRE_LEASE_RECIPIENTS_MAX;
}

enum { OTHER, HELD };

/* How many of the share's recipients it is about. */
static uint32_t choose(struct queue_share *share, const struct lease_held *held, uint8_t *class)
{
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    uint32_t n = 0;
    for (uint32_t i = 0; i < share->count; i++) {
        bool is_held = bsearch(&rcpts[i].index, held->recipients, held->recipient_count, sizeof *held->recipients, order_u32);
        class[i] = is_held ? HELD : OTHER;
        n += is_held;
    }
    return n;
}

/* Cuts out what it is about; without memory for that it is not taken. */
static void adopt_part(struct queue *queue, struct queue_lease *lease, struct queue_share *share, uint8_t *class)
{
    queue_share_rest(queue, share);
    struct queue_share *part = queue_share_split(queue, share, class, HELD);
    if (part != share)
        queue_share_resume(queue, share);
    if (part)
        queue_lease_join(queue, lease, part);
}

static void adopt(struct queue *queue, struct queue_lease *lease, const struct lease_held *held)
{
    uint8_t class[WIRE_LEASE_RECIPIENTS_MAX];
    for (struct queue_share *next, *share = lease->message->shares; share; share = next) {
        next = share->next;
        if (may_be_held(share, held) && choose(share, held, class))
            adopt_part(queue, lease, share, class);
    }
}

enum status queue_held(struct queue *queue, int64_t now_ms, unsigned delivery, struct lease_held *held)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    if (delivery >= QUEUE_DELIVERIES_MAX || !queue->deliveries[delivery].here)
        return STATUS_NOT_FOUND;
    if (!(held->lease & LEASE_HELD_BIT) || queue_lease_find(queue, delivery, held->lease))
        return STATUS_DAMAGED;
    struct queue_message *message = queue_message_find(queue, held->id);
    if (!message)
        return STATUS_OK; /* its end is in the journal */
    struct queue_site *site = queue_site_ref(queue, held->site);
    if (!site)
        return STATUS_MEMORY;
    qsort(held->recipients, held->recipient_count, sizeof *held->recipients, order_u32);
    struct queue_lease *lease = queue_lease_adopt(queue, delivery, held->lease, message, site, held->recipient_count);
    if (lease)
        adopt(queue, lease, held);
    if (lease && lease->count == 0)
        queue_lease_over(queue, lease, QUEUE_MET_NOTHING, NULL);
    queue_site_unref(queue, site);
    return lease ? STATUS_OK : STATUS_MEMORY;
}

void queue_gather(struct queue *queue)
{
    queue->gathering = true;
}

void queue_gathered(struct queue *queue, int64_t now_ms)
{
    queue->gathering = false;
    queue_tick(queue, now_ms);
}

enum status queue_returned(struct queue *queue, int64_t now_ms, unsigned delivery, uint64_t number)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    struct queue_lease *lease = delivery < QUEUE_DELIVERIES_MAX ? queue_lease_find(queue, delivery, number) : NULL;
    if (!lease)
        return STATUS_NOT_FOUND;
    for (struct list *link; (link = list_first(&lease->shares));) {
        struct queue_share *share = CONTAINER(link, struct queue_share, link);
        queue_share_unlease(queue, share);
        queue_share_go(queue, share);
    }
    queue_lease_over(queue, lease, QUEUE_MET_NOTHING, NULL);
    queue_pump(queue);
    return STATUS_OK;
}
