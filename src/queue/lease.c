#include "queue/lease.h"
#include "queue/schedule.h"
#include <stdlib.h>

/* -- numbers: place in the table below, how often it was used above -- */

static bool table_grow(struct queue *queue)
{
    uint32_t room = queue->lease_room ? queue->lease_room * 2 : 64;
    struct queue_lease **leases = realloc(queue->leases, room * sizeof *leases);
    if (!leases)
        return false;
    queue->leases = leases;
    memset(leases + queue->lease_room, 0, (room - queue->lease_room) * sizeof *leases);
    queue->lease_room = room;
    return true;
}

static struct queue_lease *lease_new(struct queue *queue)
{
    struct queue_lease *lease = queue->lease_free;
    if (lease) {
        queue->lease_free = lease->next_free;
        lease->number = (lease->number + (UINT64_C(1) << 32)) & ~LEASE_HELD_BIT;
        return lease;
    }
    if (queue->lease_count == queue->lease_room && !table_grow(queue))
        return NULL;
    lease = calloc(1, sizeof *lease);
    if (!lease)
        return NULL;
    lease->number = UINT64_C(1) << 32 | queue->lease_count;
    list_init(&lease->link);
    list_init(&lease->shares);
    queue->leases[queue->lease_count++] = lease;
    return lease;
}

/* There are few, and none for long. */
static struct queue_lease *find_held(const struct queue *queue, unsigned delivery, uint64_t number)
{
    const struct list *leases = &queue->deliveries[delivery].leases;
    for (struct list *link = leases->next; link != leases; link = link->next) {
        struct queue_lease *lease = CONTAINER(link, struct queue_lease, link);
        if (lease->held_as == number)
            return lease;
    }
    return NULL;
}

struct queue_lease *queue_lease_find(const struct queue *queue, unsigned delivery, uint64_t number)
{
    if (number & LEASE_HELD_BIT)
        return find_held(queue, delivery, number);
    uint32_t place = (uint32_t)number;
    if (place >= queue->lease_count)
        return NULL;
    struct queue_lease *lease = queue->leases[place];
    return lease->number == number && lease->message && lease->delivery == delivery ? lease : NULL;
}

struct queue_leased *queue_lease_entry(struct queue_lease *lease, uint32_t index, uint32_t *cursor)
{
    for (uint32_t i = 0; i < lease->count; i++) {
        uint32_t at = *cursor + i < lease->count ? *cursor + i : *cursor + i - lease->count;
        if (lease->leased[at].index == index) {
            *cursor = at + 1 < lease->count ? at + 1 : 0;
            return &lease->leased[at];
        }
    }
    return NULL;
}

/* -- who gets it -- */

static uint32_t deliveries_here(const struct queue *queue)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < queue->delivery_count; i++)
        n += queue->deliveries[i].here;
    return n ? n : 1;
}

/* The site's own process while its part of the connections is not in use, then the next ones, then whoever can. */
static unsigned choose_delivery(struct queue *queue, struct queue_site *site, uint32_t connections)
{
    uint32_t part = connections * queue_site_ahead(queue, site);
    unsigned best = QUEUE_DELIVERIES_MAX;
    uint32_t least = UINT32_MAX;
    for (unsigned i = 0; i < queue->delivery_count; i++) {
        unsigned at = (site->home + i) % queue->delivery_count;
        if (!queue->deliveries[at].here || queue->deliveries[at].credit == 0)
            continue;
        uint32_t out = site->out_of ? site->out_of[at] : 0;
        if (out < part)
            return at;
        if (out < least) {
            least = out;
            best = at;
        }
    }
    return best;
}

/* -- what is in it -- */

static bool leased_reserve(struct queue_lease *lease, uint32_t count)
{
    lease->leased = lease->few;
    if (count > QUEUE_LEASED_INLINE)
        lease->leased = calloc(count, sizeof *lease->leased);
    return lease->leased;
}

void queue_lease_join(struct queue *queue, struct queue_lease *lease, struct queue_share *share)
{
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    for (uint32_t i = 0; i < share->count; i++)
        lease->leased[lease->count++] = (struct queue_leased){ .index = rcpts[i].index };
    queue_share_lease(queue, share, lease);
    list_add_last(&lease->shares, &share->link);
}

static bool goes_along(const struct queue *queue, const struct queue_lane *lane, const struct queue_share *first,
                       const struct queue_share *next)
{
    return next->message == first->message && queue_domain_is_known(queue, next->domain) &&
           next->domain->site == lane->site &&
           span_eq(queue_domain_route(next->domain), queue_domain_route(first->domain));
}

/* How many of the lane's first shares make one lease, and how many recipients those are. */
static uint32_t lease_extent(const struct queue *queue, const struct queue_lane *lane, uint32_t *ret_recipients)
{
    const struct queue_share *first = CONTAINER(lane->shares.next, struct queue_share, link);
    uint32_t shares = 1, recipients = first->count;
    for (const struct list *link = first->link.next; link != &lane->shares; link = link->next) {
        const struct queue_share *next = CONTAINER(link, struct queue_share, link);
        if (!goes_along(queue, lane, first, next) ||
            recipients + next->count > (uint32_t)queue->settings->recipients_per_transaction)
            break;
        recipients += next->count;
        shares++;
    }
    *ret_recipients = recipients;
    return shares;
}

static void grant(struct queue *queue, struct queue_lease *lease, const struct queue_share *first, uint32_t connections)
{
    struct queue_message *message = lease->message;
    struct lease_grant *grant = &queue->grant;
    grant->lease = lease->number;
    grant->id = message->id;
    grant->segment = message->segment->number;
    grant->offset = message->offset;
    grant->length = message->length;
    grant->body = message->body;
    grant->attempt = 1;
    for (const struct list *link = lease->shares.next; link != &lease->shares; link = link->next)
        grant->attempt = MAX(grant->attempt, CONTAINER(link, const struct queue_share, link)->tries + 1u);
    grant->connections = connections;
    grant->site = queue_site_key(lease->site);
    grant->domain = queue_domain_name(first->domain);
    grant->route = queue_domain_route(first->domain);
    grant->recipient_count = lease->count;
    for (uint32_t i = 0; i < lease->count; i++)
        grant->recipients[i] = lease->leased[i].index;
    queue->acts->grant(queue->arg, lease->delivery, grant, message->segment);
}

/* The process has it from now on. */
static void lease_begin(struct queue *queue, struct queue_lease *lease, struct queue_message *message,
                        struct queue_site *site, unsigned to)
{
    lease->message = message;
    lease->site = site;
    lease->delivery = (uint16_t)to;
    lease->since_ms = queue->now_ms;
    lease->count = 0;
    lease->held_as = 0;
    lease->is_slow = false;
    struct queue_delivery *delivery = &queue->deliveries[to];
    list_add_last(&delivery->leases, &lease->link);
    if (delivery->quick == &delivery->leases)
        delivery->quick = &lease->link;
    delivery->out++;
}

static void lease_hand_out(struct queue *queue, struct queue_lease *lease, struct queue_lane *lane, uint32_t shares,
                           unsigned to, uint32_t connections)
{
    struct queue_share *first = CONTAINER(lane->shares.next, struct queue_share, link);
    struct queue_account *account = lane->account;
    struct queue_site *site = lane->site;
    lease_begin(queue, lease, first->message, site, to);
    site->refs++; /* the lane goes with its last share */
    bool emptied = lane->waiting == shares;
    while (shares--)
        queue_lease_join(queue, lease, CONTAINER(lane->shares.next, struct queue_share, link));
    queue_turn_taken(queue, site, account, emptied ? NULL : lane, lease->count, to);
    queue_site_unref(queue, site);
    queue->deliveries[to].credit--;
    queue->credit--;
    queue->counts.leases++;
    grant(queue, lease, first, connections);
}

static void lease_end(struct queue *queue, struct queue_lease *lease)
{
    if (lease->message) {
        struct queue_delivery *delivery = &queue->deliveries[lease->delivery];
        if (delivery->quick == &lease->link)
            delivery->quick = lease->link.next;
        delivery->out--;
        list_remove(&lease->link);
    }
    for (uint32_t i = 0; i < lease->count; i++)
        queue_reason_unref(queue, lease->leased[i].reason);
    if (lease->leased != lease->few)
        free(lease->leased);
    lease->leased = NULL;
    lease->count = 0;
    lease->message = NULL;
    lease->next_free = queue->lease_free;
    queue->lease_free = lease;
}

struct queue_lease *queue_lease_adopt(struct queue *queue, unsigned delivery, uint64_t held_as, struct queue_message *message,
                                      struct queue_site *site, uint32_t room)
{
    struct queue_lease *lease = lease_new(queue);
    if (!lease)
        return NULL;
    if (!leased_reserve(lease, room)) {
        lease_end(queue, lease);
        return NULL;
    }
    lease_begin(queue, lease, message, site, delivery);
    lease->held_as = held_as;
    queue_site_taken(queue, site, delivery);
    return lease;
}

/* A share whose domain's answer has run out goes back to ask; one whose account was suspended stays. */
static bool lane_is_stale(struct queue *queue, struct queue_lane *lane)
{
    struct queue_share *first = CONTAINER(lane->shares.next, struct queue_share, link);
    if (queue_domain_is_known(queue, first->domain) && first->domain->site == lane->site && !lane->account->stays)
        return false;
    queue_share_go(queue, first);
    return true;
}

bool queue_lease_next(struct queue *queue)
{
    struct queue_lane *lane;
    while ((lane = queue_turn_next(queue)))
        if (!lane_is_stale(queue, lane))
            break;
    if (!lane)
        return false;
    uint32_t here = deliveries_here(queue);
    uint32_t connections = (lane->site->limit + here - 1) / here;
    unsigned to = choose_delivery(queue, lane->site, connections);
    if (to == QUEUE_DELIVERIES_MAX)
        return false;
    uint32_t recipients;
    uint32_t shares = lease_extent(queue, lane, &recipients);
    struct queue_lease *lease = lease_new(queue);
    if (!lease)
        return false;
    if (!leased_reserve(lease, recipients)) {
        lease_end(queue, lease);
        return false;
    }
    lease_hand_out(queue, lease, lane, shares, to, connections);
    return true;
}

void queue_lease_over(struct queue *queue, struct queue_lease *lease, enum queue_met met, const struct queue_words *words)
{
    if (lease->is_slow)
        queue_site_quicker(queue, lease->site);
    if (met == QUEUE_MET_GOOD)
        queue_site_lived(lease->site, queue->now_ms - lease->since_ms);
    queue_site_back(queue, lease->site, lease->delivery, met, words);
    lease_end(queue, lease);
}

void queue_leases_tick(struct queue *queue)
{
    for (unsigned i = 0; i < queue->delivery_count; i++) {
        struct queue_delivery *delivery = &queue->deliveries[i];
        for (; delivery->quick != &delivery->leases; delivery->quick = delivery->quick->next) {
            struct queue_lease *lease = CONTAINER(delivery->quick, struct queue_lease, link);
            if (lease->since_ms + QUEUE_SLOW_MS > queue->now_ms)
                break;
            lease->is_slow = true;
            queue_site_slower(queue, lease->site);
        }
    }
}

int64_t queue_leases_next_ms(const struct queue *queue)
{
    int64_t next = INT64_MAX;
    for (unsigned i = 0; i < queue->delivery_count; i++) {
        const struct queue_delivery *delivery = &queue->deliveries[i];
        if (delivery->quick != &delivery->leases)
            next = MIN(next, CONTAINER(delivery->quick, const struct queue_lease, link)->since_ms + QUEUE_SLOW_MS);
    }
    return next;
}

void queue_leases_done(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->lease_count; i++) {
        if (queue->leases[i]->message)
            lease_end(queue, queue->leases[i]);
        free(queue->leases[i]);
    }
    free(queue->leases);
    queue->leases = NULL;
    queue->lease_count = queue->lease_room = 0;
    queue->lease_free = NULL;
}
