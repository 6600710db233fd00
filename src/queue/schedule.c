#include "queue/schedule.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "queue/accounts.h"
#include "queue/retry.h"
#include "queue/settle.h"
#include <assert.h>

static void place_set(struct queue *queue, struct queue_share *share, enum queue_place place)
{
    queue->by_place[share->place] -= share->count;
    queue->by_place[place] += share->count;
    share->place = (uint8_t)place;
}

void queue_share_rest(struct queue *queue, struct queue_share *share)
{
    assert(share->place != QUEUE_LEASED);
    heap_remove(&queue->wakes, &share->wake);
    if (share->place == QUEUE_READY)
        queue_lane_leave(queue, share);
    else if (share->place == QUEUE_RESOLVING || share->place == QUEUE_SUSPENDED)
        list_remove(&share->link);
    place_set(queue, share, QUEUE_HELD);
}

/* Without memory for its place in the heap nothing wakes it before the next start, which finds it waiting. */
static void wake_at(struct queue *queue, struct queue_share *share, int64_t due_ms)
{
    if (heap_set(&queue->wakes, &share->wake, due_ms) != STATUS_OK)
        log_error(queue->log, "no-memory", LOG_ID(share->message->id),
                  LOG_STR("what", "a recipient waits for a restart"));
}

/* What may happen while it waits for its turn. */
static int64_t patience_ends(const struct queue *queue, const struct queue_share *share)
{
    int64_t expires = queue_expires_ms(queue->settings, share->message->id);
    return MIN(expires, queue_notice_ms(queue->settings, share));
}

/* -- which site -- */

#define ASK_AGAIN_MS 10000

/* Who may be asked: always the same about a domain, if possible, whose cache has the answer. False: nobody now. */
static bool choose_asked(struct queue *queue, const struct queue_domain *domain, unsigned *ret)
{
    for (unsigned tried = 0; tried < queue->delivery_count; tried++) {
        unsigned at = (unsigned)((domain->node.hash >> 32) + tried) % queue->delivery_count;
        if (!queue->deliveries[at].here || queue->deliveries[at].asks >= QUEUE_ASKS_MAX)
            continue;
        *ret = at;
        return true;
    }
    return false;
}

static bool ask(struct queue *queue, struct queue_domain *domain)
{
    unsigned at;
    uint64_t token = queue->asked + 1;
    if (!choose_asked(queue, domain, &at))
        return false; /* an answer or somebody who comes makes it go on */
    if (map_add(&queue->asks, &domain->ask, token) != STATUS_OK) {
        queue->ask_again_ms = queue->now_ms + ASK_AGAIN_MS;
        return false;
    }
    queue->asked = token;
    queue->deliveries[at].asks++;
    domain->asked = true;
    domain->asked_of = (uint16_t)at;
    queue->acts->resolve(queue->arg, at,
                         &(struct lease_resolve){ token, queue_domain_name(domain), queue_domain_route(domain) });
    return true;
}

void queue_ask_again(struct queue *queue)
{
    for (struct list *link; (link = list_first(&queue->unasked));) {
        struct queue_domain *domain = CONTAINER(link, struct queue_domain, idle);
        if (!ask(queue, domain))
            return;
        domain->unasked = false;
        list_remove(link);
    }
}

void queue_asks_lost(struct queue *queue, unsigned delivery)
{
    queue->deliveries[delivery].asks = 0;
    for (MAP_EACH(node, &queue->asks)) {
        struct queue_domain *domain = CONTAINER(node, struct queue_domain, ask);
        if (domain->asked_of != delivery)
            continue;
        map_remove(&queue->asks, &domain->ask);
        domain->asked = false;
        if (domain->refs) {
            domain->unasked = true;
            list_add_last(&queue->unasked, &domain->idle);
        }
    }
    queue_ask_again(queue);
}

static void resolve(struct queue *queue, struct queue_share *share)
{
    place_set(queue, share, QUEUE_RESOLVING);
    list_add_last(&share->domain->waiting, &share->link);
    struct queue_domain *domain = share->domain;
    if (domain->asked || domain->unasked)
        return;
    domain->unasked = !list_is_empty(&queue->unasked) || !ask(queue, domain);
    if (domain->unasked)
        list_add_last(&queue->unasked, &domain->idle);
}

void queue_share_go(struct queue *queue, struct queue_share *share)
{
    queue_share_rest(queue, share);
    if (share->message->account->stays) {
        place_set(queue, share, QUEUE_SUSPENDED);
        list_add_last(&share->message->account->staying, &share->link);
        return;
    }
    if (queue_domain_is_known(queue, share->domain) &&
        queue_lane_join(queue, share->domain->site, share) == STATUS_OK)
        place_set(queue, share, QUEUE_READY);
    else
        resolve(queue, share);
    wake_at(queue, share, patience_ends(queue, share));
}

void queue_share_wait(struct queue *queue, struct queue_share *share, int64_t retry_ms)
{
    queue_share_rest(queue, share);
    place_set(queue, share, QUEUE_DUE);
    share->retry_ms = retry_ms;
    wake_at(queue, share, MIN(retry_ms, patience_ends(queue, share)));
}

void queue_share_resume(struct queue *queue, struct queue_share *share)
{
    if (queue->recovering || (share->flags & QUEUE_SHARE_HELD))
        return;
    if (share->retry_ms > queue->now_ms)
        queue_share_wait(queue, share, MUTANT(RETRY_TIME_LOST) ? INT64_MAX / 2 : share->retry_ms);
    else
        queue_share_go(queue, share);
}

void queue_share_lease(struct queue *queue, struct queue_share *share, struct queue_lease *lease)
{
    queue_share_rest(queue, share);
    place_set(queue, share, QUEUE_LEASED);
    share->lease = lease;
}

void queue_share_unlease(struct queue *queue, struct queue_share *share)
{
    list_remove(&share->link);
    share->lease = NULL;
    place_set(queue, share, QUEUE_HELD);
}

void queue_share_hold(struct queue *queue, struct queue_share *share, const struct queue_words *by)
{
    queue_share_release(queue, share);
    share->held = queue_reason_ref(queue, by);
    share->flags |= QUEUE_SHARE_HELD;
}

void queue_share_release(struct queue *queue, struct queue_share *share)
{
    if (share->flags & QUEUE_SHARE_HELD)
        queue_reason_unref(queue, share->held);
    share->held = NULL;
    share->flags &= (uint8_t)~QUEUE_SHARE_HELD;
}

void queue_share_report(struct queue *queue, struct queue_share *share, struct queue_report *report)
{
    queue_share_rest(queue, share);
    place_set(queue, share, QUEUE_REPORTING);
    share->report = report;
}

/* -- what is due -- */

/* It had its attempt, or its turn did not come because nobody answers there. */
static bool was_tried(const struct queue_share *share)
{
    return (share->tries && !(share->flags & QUEUE_SHARE_LAST)) || (share->place == QUEUE_READY && share->lane->site->trouble);
}

static void wake(struct queue *queue, struct queue_share *share)
{
    int64_t now = queue->now_ms;
    int64_t patience = patience_ends(queue, share);
    if (now >= queue_expires_ms(queue->settings, share->message->id)) {
        if (was_tried(share)) {
            queue_expire(queue, share);
            return;
        }
        patience = now + queue->settings->first_retry_ms;
    } else if (now >= patience) {
        queue_notice(queue, share);
        patience = patience_ends(queue, share);
    }
    if (share->place != QUEUE_DUE)
        wake_at(queue, share, MAX(patience, now + 1));
    else if (now >= share->retry_ms)
        queue_share_go(queue, share);
    else
        wake_at(queue, share, MAX(MIN(share->retry_ms, patience), now + 1));
}

void queue_schedule_tick(struct queue *queue)
{
    if (queue->ask_again_ms <= queue->now_ms) {
        queue->ask_again_ms = INT64_MAX;
        queue_ask_again(queue);
    }
    for (struct heap_node *first; (first = heap_first(&queue->wakes)) && first->due <= queue->now_ms;)
        wake(queue, CONTAINER(first, struct queue_share, wake));
    for (struct heap_node *first; (first = heap_first(&queue->pauses)) && first->due <= queue->now_ms;)
        queue_site_resume(queue, CONTAINER(first, struct queue_site, resume));
}
