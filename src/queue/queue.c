#include "queue/queue.h"
#include "base/mutant.h"
#include "queue/accounts.h"
#include "queue/lease.h"
#include "queue/schedule.h"
#include "queue/settle.h"
#include <stdlib.h>

#define SCRATCH_MAX (1u << 20)
#define TTL_MAX_MS TIME_DAY_MS

void queue_init(struct queue *queue, const struct queue_settings *settings, const struct queue_acts *acts, void *arg,
                struct log *log, uint64_t seed, int64_t now_ms)
{
    *queue = (struct queue){ .settings = settings, .acts = acts, .arg = arg, .log = log, .now_ms = now_ms,
                             .random = seed, .reports_again_ms = INT64_MAX };
    list_init(&queue->turns);
    list_init(&queue->news);
    list_init(&queue->idle_domains);
    list_init(&queue->unasked);
    queue->ask_again_ms = INT64_MAX;
    list_init(&queue->reports_again);
    list_init(&queue->collecting);
    queue->message_slab = SLAB_OF(struct queue_message);
    queue->share_slab = SLAB_OF(struct queue_share);
    queue->lane_slab = SLAB_OF(struct queue_lane);
    queue->scratch = BUF_EMPTY(SCRATCH_MAX);
    for (unsigned i = 0; i < QUEUE_SITE_CLASSES; i++)
        list_init(&queue->parked[i]);
    for (unsigned i = 0; i < QUEUE_DELIVERIES_MAX; i++) {
        list_init(&queue->deliveries[i].leases);
        queue->deliveries[i].quick = &queue->deliveries[i].leases;
    }
}

uint64_t queue_random(struct queue *queue)
{
    uint64_t x = queue->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static void deliveries_count(struct queue *queue)
{
    queue->delivery_count = 0;
    for (unsigned i = 0; i < QUEUE_DELIVERIES_MAX; i++)
        if (queue->deliveries[i].here)
            queue->delivery_count = i + 1;
}

static void delivery_drop(struct queue *queue, unsigned delivery)
{
    struct queue_delivery *gone = &queue->deliveries[delivery];
    if (!gone->here)
        return;
    queue->credit -= gone->credit;
    gone->credit = 0;
    gone->here = false;
    deliveries_count(queue);
    for (struct list *link; !MUTANT(LEASE_NEVER_BACK) && (link = list_first(&gone->leases));)
        queue_lease_lost(queue, CONTAINER(link, struct queue_lease, link));
    queue_asks_lost(queue, delivery);
    uint64_t bit = UINT64_C(1) << delivery;
    for (MAP_EACH(node, &queue->segments))
        CONTAINER(node, struct queue_log_segment, node)->sent_to &= ~bit;
}

void queue_delivery_here(struct queue *queue, int64_t now_ms, unsigned delivery)
{
    if (delivery >= QUEUE_DELIVERIES_MAX)
        return;
    queue->now_ms = MAX(queue->now_ms, now_ms);
    delivery_drop(queue, delivery);
    queue->deliveries[delivery].here = true;
    deliveries_count(queue);
    queue_ask_again(queue);
    queue_pump(queue);
}

void queue_delivery_gone(struct queue *queue, int64_t now_ms, unsigned delivery)
{
    if (delivery >= QUEUE_DELIVERIES_MAX)
        return;
    queue->now_ms = MAX(queue->now_ms, now_ms);
    delivery_drop(queue, delivery);
    queue_pump(queue);
}

enum status queue_credit(struct queue *queue, int64_t now_ms, unsigned delivery, uint32_t more)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    if (delivery >= QUEUE_DELIVERIES_MAX || !queue->deliveries[delivery].here)
        return STATUS_NOT_FOUND;
    struct queue_delivery *here = &queue->deliveries[delivery];
    if (more > QUEUE_CREDIT_MAX || here->credit + here->out + more > QUEUE_CREDIT_MAX)
        return STATUS_DAMAGED;
    here->credit += more;
    queue->credit += more;
    queue_pump(queue);
    return STATUS_OK;
}

void queue_delivery_leaving(struct queue *queue, unsigned delivery)
{
    if (delivery >= QUEUE_DELIVERIES_MAX)
        return;
    queue->credit -= queue->deliveries[delivery].credit;
    queue->deliveries[delivery].credit = 0;
}

void queue_pump(struct queue *queue)
{
    queue_unpark(queue);
    while (queue->credit && !queue->recovering && !queue->gathering && !queue->stalled && queue_lease_next(queue))
        ;
}

void queue_stall(struct queue *queue, int64_t now_ms, bool stalled)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    queue->stalled = stalled;
    queue_pump(queue);
}

static const struct queue_share *paused_share(const struct queue_message *message, uint32_t index)
{
    for (struct queue_share *share = message->shares; share; share = share->next) {
        if (share->place != QUEUE_READY || !share->lane->site->paused)
            continue;
        const struct queue_rcpt *rcpts = queue_share_rcpts(share);
        for (uint32_t i = 0; i < share->count; i++)
            if (rcpts[i].index == index)
                return share;
    }
    return NULL;
}

/* `address` is empty when it is not at hand: then it is about all of the share. */
static void log_untried(struct queue *queue, const struct queue_share *share, struct span address)
{
    const struct queue_site *site = share->lane->site;
    struct queue_words words = queue_reason_words(site->last);
    log_info(queue->log, "deferred", LOG_ID(share->message->id), LOG_SPAN("recipient", address),
             LOG_SPAN("domain", queue_domain_name(share->domain)), LOG_SPAN("host", words.host),
             LOG_INT("code", words.code), LOG_SPAN("reply", words.text), LOG_SPAN("site", queue_site_key(site)),
             LOG_BOOL("tried", false), LOG_INT("next_s", (site->resume.due - queue->now_ms) / TIME_SECOND_MS));
}

#define TOLD_MOST 100

/* Its story needs the reason why nothing happens: its site cannot be reached, so that it is not even tried. */
static void tell_paused(struct queue *queue, const struct queue_message *message, const struct queue_arrival *arrival)
{
    struct wire_reader reader = wire_read(arrival->recipients);
    struct writer_recipient recipient;
    bool any = false;
    for (const struct queue_share *share = message->shares; share; share = share->next)
        any |= share->place == QUEUE_READY && share->lane->site->paused;
    for (uint32_t i = 0; any && i < MIN(arrival->recipient_count, TOLD_MOST); i++) {
        if (!writer_recipient_get(&reader, &recipient))
            return;
        const struct queue_share *share = paused_share(message, i);
        if (share)
            log_untried(queue, share, recipient.address);
    }
}

enum status queue_arrived(struct queue *queue, int64_t now_ms, const struct queue_arrival *arrival)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    struct queue_message *message;
    enum status status = queue_message_add(queue, arrival, &message);
    if (status != STATUS_OK)
        return status;
    queue->counts.accepted += arrival->recipient_count;
    for (struct queue_share *share = message->shares; share; share = share->next)
        queue_share_resume(queue, share);
    tell_paused(queue, message, arrival);
    queue_pump(queue);
    return STATUS_OK;
}

/* -- answers about domains -- */

static bool ask_is(const struct map_node *node, const void *key)
{
    return node->hash == *(const uint64_t *)key;
}

static void domain_serve(struct queue *queue, struct queue_domain *domain, const struct lease_resolved *answer)
{
    struct queue_site *site = queue_site_ref(queue, answer->site);
    if (domain->site)
        queue_site_unref(queue, domain->site);
    if (site && site->refs == 1)
        site->home = domain->asked_of; /* which knows the way now */
    domain->site = site;
    domain->generation = queue->generation;
    domain->until_ms = queue->now_ms + MAX(MIN((int64_t)answer->ttl_s * TIME_SECOND_MS, TTL_MAX_MS), TIME_SECOND_MS);
}

/* Whoever waits for the answer goes on. What comes to wait meanwhile (there is no memory, say) stays for the next. */
static void domain_wake(struct queue *queue, struct queue_domain *domain, const struct lease_resolved *answer)
{
    struct queue_words words = { .code = answer->code, .text = answer->text };
    memcpy(words.enhanced, answer->enhanced, sizeof words.enhanced);
    struct list waiting;
    list_init(&waiting);
    for (struct list *link; (link = list_take_first(&domain->waiting));)
        list_add_last(&waiting, link);
    domain->refs++; /* it stays while we look at it */
    for (struct list *link; (link = list_first(&waiting));) {
        struct queue_share *share = CONTAINER(link, struct queue_share, link);
        if (domain->site) {
            queue_share_go(queue, share);
            if (!share->tries && share->place == QUEUE_READY && share->lane->site->paused)
                log_untried(queue, share, SPAN_NONE);
        } else {
            queue_share_unroutable(queue, share, &words, answer->result == RESOLVE_FAILED);
        }
    }
    queue_domain_unref(queue, domain);
}

enum status queue_resolved(struct queue *queue, int64_t now_ms, unsigned delivery, const struct lease_resolved *answer)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    if (delivery < QUEUE_DELIVERIES_MAX && queue->deliveries[delivery].asks) {
        queue->deliveries[delivery].asks--; /* also when the domain is forgotten meanwhile */
        queue_ask_again(queue);
    }
    struct map_node *node = map_find(&queue->asks, answer->token, ask_is, &answer->token);
    struct queue_domain *domain = node ? CONTAINER(node, struct queue_domain, ask) : NULL;
    if (!domain || domain->asked_of != delivery)
        return STATUS_NOT_FOUND;
    map_remove(&queue->asks, &domain->ask);
    domain->asked = false;
    if (answer->result == RESOLVE_SITE) {
        domain_serve(queue, domain, answer);
    } else if (domain->site) {
        queue_site_unref(queue, domain->site);
        domain->site = NULL;
    }
    domain_wake(queue, domain, answer);
    queue_pump(queue);
    return answer->result <= RESOLVE_FAILED && (answer->result != RESOLVE_SITE || answer->site.n) ? STATUS_OK
                                                                                                 : STATUS_DAMAGED;
}

/* -- time -- */

void queue_tick(struct queue *queue, int64_t now_ms)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    if (queue->recovering || queue->gathering)
        return;
    queue_leases_tick(queue);
    queue_schedule_tick(queue);
    queue_reports_tick(queue);
    queue_pump(queue);
}

int64_t queue_next_ms(const struct queue *queue)
{
    if (queue->recovering || queue->gathering)
        return INT64_MAX;
    const struct heap_node *wake = heap_first(&queue->wakes), *pause = heap_first(&queue->pauses);
    int64_t next = MIN(queue->reports_again_ms, queue->ask_again_ms);
    next = MIN(next, MIN(queue_leases_next_ms(queue), queue_collected_next_ms(queue)));
    if (wake)
        next = MIN(next, wake->due);
    if (pause)
        next = MIN(next, pause->due);
    return next;
}

void queue_settings_changed(struct queue *queue, int64_t now_ms)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    queue->generation++;
    queue_sites_retune(queue);
    queue_pump(queue);
}

/* -- the end -- */

#define GIVE_BACK_OCTETS ((size_t)8 << 20) /* less is soon needed again */

bool queue_give_back(struct queue *queue)
{
    if (queue->messages.n || queue->message_slab.octets < GIVE_BACK_OCTETS || queue->message_slab.used ||
        queue->share_slab.used || queue->lane_slab.used || queue->wakes.n)
        return false;
    slab_done(&queue->message_slab);
    slab_done(&queue->share_slab);
    slab_done(&queue->lane_slab);
    map_done(&queue->messages);
    map_done(&queue->lanes);
    heap_done(&queue->wakes);
    return true;
}

static void reports_forget(struct queue *queue, struct queue_share *share)
{
    struct queue_report *report = share->report;
    for (struct list *link; (link = list_take_first(&report->shares));) {
        struct queue_share *part = CONTAINER(link, struct queue_share, link);
        part->report = NULL;
    }
    queue_report_free(queue, report);
}

static void message_leave(struct queue *queue, struct queue_message *message)
{
    for (struct queue_share *share = message->shares; share; share = share->next)
        if (share->place == QUEUE_REPORTING && share->report)
            reports_forget(queue, share);
    queue_message_forget(queue, message);
}

void queue_done(struct queue *queue)
{
    queue->recovering = true; /* nothing is told to anybody any more */
    for (unsigned i = 0; i < QUEUE_DELIVERIES_MAX; i++)
        for (struct list *link; (link = list_first(&queue->deliveries[i].leases));)
            queue_lease_lost(queue, CONTAINER(link, struct queue_lease, link));
    for (struct list *link; (link = list_take_first(&queue->reports_again));) {
        struct queue_report *report = CONTAINER(link, struct queue_report, link);
        if (list_is_empty(&report->shares))
            queue_report_free(queue, report);
    }
    for (MAP_EACH(node, &queue->messages))
        message_leave(queue, CONTAINER(node, struct queue_message, node));
    for (struct list *link; (link = list_take_first(&queue->idle_domains));)
        queue_domain_free(queue, CONTAINER(link, struct queue_domain, idle));
    for (MAP_EACH(node, &queue->segments))
        queue_segment_forget(queue, CONTAINER(node, struct queue_log_segment, node));
    queue_leases_done(queue);
    queue_accounts_done(queue);
    map_done(&queue->messages);
    map_done(&queue->segments);
    map_done(&queue->accounts);
    map_done(&queue->domains);
    map_done(&queue->sites);
    map_done(&queue->lanes);
    map_done(&queue->reasons);
    map_done(&queue->asks);
    map_done(&queue->collected);
    heap_done(&queue->wakes);
    heap_done(&queue->pauses);
    slab_done(&queue->message_slab);
    slab_done(&queue->share_slab);
    slab_done(&queue->lane_slab);
    buf_done(&queue->scratch);
}
