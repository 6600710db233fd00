#include "queue/site.h"
#include "base/hash.h"
#include "queue/queue.h"
#include <assert.h>
#include <stdlib.h>

/* Recipients that an account may lease in each round; smaller is fairer, larger is quicker. */
#define TURN_RECIPIENTS 16
#define LINE_RECIPIENTS 4 /* the same for the lanes in a site's line */

static bool site_is(const struct map_node *node, const void *key)
{
    return span_eq(queue_site_key(CONTAINER(node, const struct queue_site, node)), *(const struct span *)key);
}

/* Sites are dealt out to the delivery processes in turn. */
static uint16_t home_of_new_site(struct queue *queue)
{
    for (unsigned i = 0; i < queue->delivery_count; i++) {
        unsigned at = queue->delivery_next++ % queue->delivery_count;
        if (queue->deliveries[at].here)
            return (uint16_t)at;
    }
    return 0;
}

static struct queue_site *site_new(struct queue *queue, struct span key, uint64_t hash)
{
    struct queue_site *site = calloc(1, sizeof *site + key.n);
    if (!site)
        return NULL;
    list_init(&site->line);
    site->limit = (uint32_t)MIN(queue->settings->first_connections, queue->settings->connections_per_site);
    site->class = QUEUE_SITE_NEW;
    list_init(&site->parked);
    site->home = home_of_new_site(queue);
    site->key_octets = (uint16_t)key.n;
    if (key.n)
        memcpy(site->key, key.p, key.n);
    if (map_add(&queue->sites, &site->node, hash) == STATUS_OK)
        return site;
    free(site);
    return NULL;
}

struct queue_site *queue_site_ref(struct queue *queue, struct span key)
{
    if (key.n > WIRE_SITE_KEY_MAX)
        return NULL;
    uint64_t hash = hash_bytes(key);
    struct map_node *node = map_find(&queue->sites, hash, site_is, &key);
    struct queue_site *site = node ? CONTAINER(node, struct queue_site, node) : site_new(queue, key, hash);
    if (site)
        site->refs++;
    return site;
}

void queue_site_unref(struct queue *queue, struct queue_site *site)
{
    if (--site->refs)
        return;
    assert(site->out == 0 && site->waiting == 0);
    heap_remove(&queue->pauses, &site->resume);
    list_remove(&site->parked);
    queue_reason_unref(queue, site->last);
    map_remove(&queue->sites, &site->node);
    free(site->out_of);
    free(site);
}

/* -- lanes -- */

static void lane_let_in(struct queue *queue, struct queue_lane *lane)
{
    struct queue_account *account = lane->account;
    lane->where = QUEUE_LANE_TURN;
    lane->site->turns++;
    list_add_last(&account->lanes, &lane->link);
    if (!list_is_linked(&account->link))
        list_add_last(&queue->turns, &account->link);
}

/* Out of wherever it stands. */
static void lane_take_out(struct queue_lane *lane)
{
    list_remove(&lane->link);
    if (lane->where == QUEUE_LANE_TURN) {
        struct queue_account *account = lane->account;
        lane->site->turns--;
        if (list_is_empty(&account->lanes)) {
            list_remove(&account->link);
            account->deficit = MIN(account->deficit, 0); /* nobody saves turns up */
        }
    }
    lane->where = QUEUE_LANE_EMPTY;
}

static void lane_stand_in_line(struct queue_lane *lane)
{
    lane->where = QUEUE_LANE_LINE;
    if (lane->deficit > 0)
        list_add_first(&lane->site->line, &lane->link); /* its turn goes on */
    else
        list_add_last(&lane->site->line, &lane->link);
}

static uint32_t places_free(const struct queue *queue, const struct queue_site *site)
{
    uint32_t room = queue_site_room(queue, site);
    uint32_t taken = site->out + site->turns;
    return room > taken && !list_is_linked(&site->parked) ? room - taken : 0;
}

/* The lane that a free place goes to: the first that has not spent ahead. Those it passes are given something and
 * stand behind. */
static struct queue_lane *line_first(struct queue_site *site)
{
    for (;;) {
        struct list *first = site->line.next;
        struct queue_lane *lane = CONTAINER(first, struct queue_lane, link);
        if (lane->deficit > 0 || first->next == &site->line)
            return lane;
        lane->deficit += LINE_RECIPIENTS;
        list_remove(first);
        list_add_last(&site->line, first);
    }
}

void queue_site_admit(struct queue *queue, struct queue_site *site)
{
    uint32_t places = places_free(queue, site);
    while (places-- && !list_is_empty(&site->line)) {
        struct queue_lane *lane = line_first(site);
        list_remove(&lane->link);
        lane_let_in(queue, lane);
    }
}

struct lane_key {
    const struct queue_site *site;
    const struct queue_account *account;
};

static bool lane_is(const struct map_node *node, const void *key)
{
    const struct queue_lane *lane = CONTAINER(node, const struct queue_lane, node);
    const struct lane_key *wanted = key;
    return lane->site == wanted->site && lane->account == wanted->account;
}

static struct queue_lane *lane_new(struct queue *queue, const struct lane_key *key, uint64_t hash)
{
    struct queue_lane *lane = slab_take(&queue->lane_slab);
    if (!lane)
        return NULL;
    list_init(&lane->link);
    list_init(&lane->shares);
    lane->deficit = 1; /* a lone letter goes as soon as it stands in front */
    lane->site = CONTAINER(&key->site->node, struct queue_site, node);
    lane->account = CONTAINER(&key->account->node, struct queue_account, node);
    if (map_add(&queue->lanes, &lane->node, hash) != STATUS_OK) {
        slab_give(&queue->lane_slab, lane);
        return NULL;
    }
    lane->site->refs++;
    lane->account->refs++;
    return lane;
}

static void lane_free(struct queue *queue, struct queue_lane *lane)
{
    map_remove(&queue->lanes, &lane->node);
    queue_account_unref(queue, lane->account);
    queue_site_unref(queue, lane->site);
    slab_give(&queue->lane_slab, lane);
}

enum status queue_lane_join(struct queue *queue, struct queue_site *site, struct queue_share *share)
{
    struct lane_key key = { site, share->message->account };
    uint64_t hash = hash_u64((uintptr_t)key.site ^ hash_u64((uintptr_t)key.account));
    struct map_node *node = map_find(&queue->lanes, hash, lane_is, &key);
    struct queue_lane *lane = node ? CONTAINER(node, struct queue_lane, node) : lane_new(queue, &key, hash);
    if (!lane)
        return STATUS_MEMORY;
    list_add_last(&lane->shares, &share->link);
    share->lane = lane;
    lane->waiting++;
    site->waiting++;
    if (lane->where == QUEUE_LANE_EMPTY) {
        lane->where = QUEUE_LANE_LINE;
        list_add_last(&site->line, &lane->link);
        queue_site_admit(queue, site);
    }
    return STATUS_OK;
}

void queue_lane_leave(struct queue *queue, struct queue_share *share)
{
    struct queue_lane *lane = share->lane;
    struct queue_site *site = lane->site;
    list_remove(&share->link);
    share->lane = NULL;
    site->waiting--;
    if (--lane->waiting)
        return;
    lane_take_out(lane);
    if (!list_is_linked(&lane->account->link))
        lane->account->deficit = 0;
    site->refs++; /* the lane may have been its last */
    lane_free(queue, lane);
    queue_site_admit(queue, site);
    queue_site_unref(queue, site);
}

/* -- turns -- */

/* The account whose turn it is. Each round gives every account the same; who spent ahead waits until it is made up. */
static struct queue_account *account_next(struct queue *queue)
{
    for (;;) {
        struct list *first = list_first(&queue->turns);
        if (!first)
            return NULL;
        struct queue_account *account = CONTAINER(first, struct queue_account, link);
        if (account->deficit > 0 || first->next == &queue->turns)
            return account; /* nobody is kept waiting by one who is alone */
        account->deficit += TURN_RECIPIENTS;
        list_remove(first);
        list_add_last(&queue->turns, first);
    }
}

struct queue_lane *queue_turn_next(struct queue *queue)
{
    struct queue_account *account;
    while ((account = account_next(queue))) {
        struct queue_lane *lane = CONTAINER(account->lanes.next, struct queue_lane, link);
        struct queue_site *site = lane->site;
        bool waits = list_is_linked(&site->parked) || site->out >= queue_site_room(queue, site);
        if (!waits && queue_class_has_room(queue, site))
            return lane;
        if (!waits)
            list_add_last(&queue->parked[site->class], &site->parked);
        lane_take_out(lane); /* the site's pace, or its class's share, was reduced after it was let in */
        lane->where = QUEUE_LANE_LINE;
        list_add_first(&site->line, &lane->link);
    }
    return NULL;
}

void queue_site_taken(struct queue *queue, struct queue_site *site, unsigned by)
{
    if (!site->out_of)
        site->out_of = calloc(QUEUE_DELIVERIES_MAX, sizeof *site->out_of);
    if (site->out_of && site->out_of[by] < UINT16_MAX)
        site->out_of[by]++;
    site->out++;
    queue->out_of_class[site->class]++;
    site->refs++;
}

void queue_turn_taken(struct queue *queue, struct queue_site *site, struct queue_account *account,
                      struct queue_lane *lane, uint32_t recipients, unsigned to)
{
    queue_site_taken(queue, site, to);
    if (list_is_linked(&account->link)) {
        bool alone = queue->turns.next == queue->turns.prev;
        account->deficit = MAX(account->deficit - recipients, alone ? 0 : -(int64_t)WIRE_LEASE_RECIPIENTS_MAX);
    }
    if (lane) {
        bool others = lane->where == QUEUE_LANE_LINE || site->turns > 1 || !list_is_empty(&site->line);
        lane->deficit = MAX(lane->deficit - (int32_t)recipients, others ? -(int32_t)WIRE_LEASE_RECIPIENTS_MAX : 0);
    }
    if (lane && lane->where == QUEUE_LANE_TURN) {
        if (list_is_empty(&site->line) && site->out + site->turns <= queue_site_room(queue, site)) {
            list_remove(&lane->link); /* its next place is free already: the account's other lanes first */
            list_add_last(&account->lanes, &lane->link);
            return;
        }
        lane_take_out(lane);
        lane_stand_in_line(lane);
    }
    queue_site_admit(queue, site);
}

/* -- new settings -- */

void queue_sites_retune(struct queue *queue)
{
    for (MAP_EACH(node, &queue->sites)) {
        struct queue_site *site = CONTAINER(node, struct queue_site, node);
        uint32_t most = (uint32_t)queue->settings->connections_per_site;
        site->limit = site->trouble ? 1 : site->class == QUEUE_SITE_NEW ? MIN(site->limit, most) : most;
        queue_site_admit(queue, site);
    }
}
