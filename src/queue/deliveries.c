/* The processes that deliver: descriptors for what they read, leases and questions to them, outcomes from them. */
#include "base/hash.h"
#include "base/mutant.h"
#include "queue/role_priv.h"
#include <stdlib.h>
#include <unistd.h>

static struct delivery *delivery_find(struct queue_role *role, unsigned number)
{
    for (LIST_EACH(link, &role->deliveries))
        if (CONTAINER(link, struct delivery, link)->number == number)
            return CONTAINER(link, struct delivery, link);
    return NULL;
}

static void delivery_free(struct delivery *delivery)
{
    list_remove(&delivery->link);
    if (delivery->channel)
        channel_free(delivery->channel);
    if (delivery->fd >= 0)
        close(delivery->fd);
    free(delivery);
}

/* -- what they have from before our start -- */

#define GATHER_MS 5000 /* for a process that says nothing the others' mail is not kept back any longer */

static void gathered(struct queue_role *role)
{
    loop_timer_stop(&role->gather_end);
    queue_gathered(&role->queue, role_now(role));
}

static bool all_told(const struct queue_role *role)
{
    for (const struct list *link = role->deliveries.next; link != &role->deliveries; link = link->next)
        if (!CONTAINER(link, const struct delivery, link)->told)
            return false;
    return true;
}

void deliveries_gather_check(struct queue_role *role)
{
    if (!role->queue.gathering)
        return;
    if (all_told(role) && (!role->directory || role->stay_told))
        gathered(role);
}

static void tell_untold(struct queue_role *role)
{
    log_warning(role_log(role), "leases-untold",
                LOG_STR("what", "a delivery process has not said what it is sending; that may arrive twice"));
}

static void on_gather_end(struct loop_timer *timer)
{
    struct queue_role *role = CONTAINER(timer, struct queue_role, gather_end);
    if (!all_told(role))
        tell_untold(role);
    gathered(role);
}

static void confirm(struct delivery *delivery)
{
    if (!delivery->unsettled)
        return;
    lease_settled_put(channel_begin(delivery->channel, LEASE_SETTLED), &(struct lease_settled){ delivery->unsettled });
    channel_end(delivery->channel);
    delivery->unsettled = 0;
}

/* A hook behind the journal's, which has written what it could in this turn. */
static void on_settle(struct loop_task *task)
{
    struct queue_role *role = CONTAINER(task, struct queue_role, settle);
    if (!spool_journal_is_written(role->journal))
        return;
    for (LIST_EACH(link, &role->deliveries))
        confirm(CONTAINER(link, struct delivery, link));
}

static void delivery_gone(struct delivery *delivery)
{
    struct queue_role *role = delivery->role;
    unsigned number = delivery->number;
    bool begun = delivery->channel;
    if (begun && role->queue.gathering && !delivery->told)
        tell_untold(role);
    delivery_free(delivery);
    for (MAP_EACH(node, &role->sent_bodies))
        CONTAINER(node, struct sent_body, node)->sent_to &= ~(UINT64_C(1) << number);
    if (begun)
        queue_delivery_gone(&role->queue, role_now(role), number);
    deliveries_gather_check(role);
}

/* -- from the core to them -- */

void on_act_resolve(void *arg, unsigned number, const struct lease_resolve *resolve)
{
    struct delivery *delivery = delivery_find(arg, number);
    if (!delivery || !delivery->channel)
        return;
    lease_resolve_put(channel_begin(delivery->channel, LEASE_RESOLVE), resolve);
    channel_end(delivery->channel);
}

static bool segment_send(struct delivery *delivery, struct queue_log_segment *segment)
{
    int fd;
    if (spool_store_read_fd(delivery->role->store, segment->number, &fd) != STATUS_OK)
        return false;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    lease_segment_put(&body, &(struct lease_segment){ segment->number, segment->epoch });
    enum status status = body.failed ? STATUS_MEMORY : channel_send_fds(delivery->channel, LEASE_SEGMENT, buf_span(&body), &fd, 1);
    close(fd);
    if (status == STATUS_OK)
        segment->sent_to |= UINT64_C(1) << delivery->number;
    return status == STATUS_OK;
}

static bool sent_body_is(const struct map_node *node, const void *key)
{
    return CONTAINER(node, const struct sent_body, node)->number == *(const uint64_t *)key;
}

static struct sent_body *sent_body_find(struct queue_role *role, uint64_t number)
{
    struct map_node *node = map_find(&role->sent_bodies, hash_u64(number), sent_body_is, &number);
    return node ? CONTAINER(node, struct sent_body, node) : NULL;
}

static struct sent_body *sent_body_ref(struct queue_role *role, uint64_t number)
{
    struct sent_body *sent = sent_body_find(role, number);
    if (sent || !(sent = calloc(1, sizeof *sent)))
        return sent;
    sent->number = number;
    if (map_add(&role->sent_bodies, &sent->node, hash_u64(number)) == STATUS_OK)
        return sent;
    free(sent);
    return NULL;
}

static bool body_send(struct delivery *delivery, uint64_t number)
{
    uint64_t bit = UINT64_C(1) << delivery->number;
    struct sent_body *sent = sent_body_ref(delivery->role, number);
    int fd;
    if (!sent)
        return false;
    if (sent->sent_to & bit)
        return true;
    if (spool_store_body_read_fd(delivery->role->store, number, &fd) != STATUS_OK)
        return false;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    lease_body_put(&body, &(struct lease_body){ number });
    enum status status = body.failed ? STATUS_MEMORY : channel_send_fds(delivery->channel, LEASE_BODY, buf_span(&body), &fd, 1);
    close(fd);
    if (status == STATUS_OK)
        sent->sent_to |= bit;
    return status == STATUS_OK;
}

/* Without its descriptors delivery cannot read the message and says so: the recipients wait and are tried again. */
void on_act_grant(void *arg, unsigned number, const struct lease_grant *grant, struct queue_log_segment *segment)
{
    struct queue_role *role = arg;
    struct delivery *delivery = delivery_find(role, number);
    if (!delivery || !delivery->channel)
        return;
    bool good = (segment->sent_to >> number & 1) || segment_send(delivery, segment);
    if (grant->body)
        good &= body_send(delivery, grant->body);
    if (!good)
        log_error(role_log(role), "descriptor-failed", LOG_ID(grant->id), LOG_INT("segment", segment->number));
    lease_grant_put(channel_begin(delivery->channel, LEASE_GRANT), grant);
    channel_end(delivery->channel);
}

void deliveries_segment_gone(struct queue_role *role, const struct queue_log_segment *segment)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    lease_segment_gone_put(&body, &(struct lease_segment_gone){ segment->number });
    for (LIST_EACH(link, &role->deliveries)) {
        struct delivery *delivery = CONTAINER(link, struct delivery, link);
        if (delivery->channel && (segment->sent_to >> delivery->number & 1))
            channel_send(delivery->channel, LEASE_SEGMENT_GONE, buf_span(&body));
    }
}

void deliveries_body_gone(struct queue_role *role, uint64_t number)
{
    struct sent_body *sent = sent_body_find(role, number);
    if (!sent)
        return;
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    lease_body_gone_put(&body, &(struct lease_body_gone){ number });
    for (LIST_EACH(link, &role->deliveries)) {
        struct delivery *delivery = CONTAINER(link, struct delivery, link);
        if (delivery->channel && (sent->sent_to >> delivery->number & 1))
            channel_send(delivery->channel, LEASE_BODY_GONE, buf_span(&body));
    }
    map_remove(&role->sent_bodies, &sent->node);
    free(sent);
}

/* -- from them to the core -- */

static enum status take_outcome(struct delivery *delivery, struct span body)
{
    struct queue_role *role = delivery->role;
    struct lease_outcome outcome;
    if (!lease_outcome_get(body, &outcome))
        return STATUS_SYNTAX;
    delivery->unsettled++;
    enum status status = queue_outcome(&role->queue, role_now(role), delivery->number, &outcome);
    if (MUTANT(CONFIRMED_BEFORE_WRITTEN)) {
        confirm(delivery);
        channel_flush(delivery->channel);
    }
    return status;
}

/* The first credit ends what it has to tell. */
static enum status take_credit(struct delivery *delivery, struct span body)
{
    struct queue_role *role = delivery->role;
    struct lease_credit credit;
    if (!lease_credit_get(body, &credit))
        return STATUS_SYNTAX;
    enum status status = queue_credit(&role->queue, role_now(role), delivery->number, credit.more);
    delivery->told = true;
    deliveries_gather_check(role);
    return status;
}

static enum status take_resolved(struct delivery *delivery, struct span body)
{
    struct queue_role *role = delivery->role;
    struct lease_resolved resolved;
    if (!lease_resolved_get(body, &resolved))
        return STATUS_SYNTAX;
    enum status status = queue_resolved(&role->queue, role_now(role), delivery->number, &resolved);
    /* The domain of a question may have gone meanwhile: an answer that nobody waits for is no fault. */
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status take_held(struct delivery *delivery, struct span body)
{
    struct queue_role *role = delivery->role;
    struct lease_held *held = &role->held;
    if (!lease_held_get(body, held))
        return STATUS_SYNTAX;
    if (!delivery->is_old || delivery->told) /* it could speak of any message there is */
        return STATUS_DENIED;
    log_info(role_log(role), "lease-kept", LOG_ID(held->id), LOG_INT("recipients", held->recipient_count),
             LOG_INT("delivery", delivery->number));
    enum status status = queue_held(&role->queue, role_now(role), delivery->number, held);
    return status == STATUS_MEMORY ? STATUS_OK : status;
}

static enum status take_returned(struct delivery *delivery, struct span body)
{
    struct queue_role *role = delivery->role;
    struct lease_returned returned;
    return lease_returned_get(body, &returned)
               ? queue_returned(&role->queue, role_now(role), delivery->number, returned.lease) : STATUS_SYNTAX;
}

static enum status take_leaving(struct delivery *delivery, struct span body)
{
    queue_delivery_leaving(&delivery->role->queue, delivery->number);
    delivery->told = true;
    channel_send(delivery->channel, LEASE_LEFT, SPAN_NONE);
    deliveries_gather_check(delivery->role);
    return body.n ? STATUS_SYNTAX : STATUS_OK;
}

static enum status take(struct delivery *delivery, const struct channel_message *message)
{
    static enum status (*const takes[])(struct delivery *, struct span) = {
        [LEASE_OUTCOME] = take_outcome, [LEASE_CREDIT] = take_credit, [LEASE_RESOLVED] = take_resolved,
        [LEASE_HELD] = take_held, [LEASE_RETURNED] = take_returned, [LEASE_LEAVING] = take_leaving,
    };
    bool known = message->kind < ARRAY_LEN(takes) && takes[message->kind];
    return known ? takes[message->kind](delivery, message->body) : STATUS_SYNTAX;
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct delivery *delivery = arg;
    enum status status = take(delivery, message);
    if (status == STATUS_OK)
        return;
    log_error(role_log(delivery->role), "peer-broke-format", LOG_STR("peer", "delivery"),
              LOG_INT("number", delivery->number), LOG_INT("kind", message->kind), LOG_STR("why", status_text(status)));
    delivery_gone(delivery);
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct delivery *delivery = arg;
    log_info(role_log(delivery->role), "peer-gone", LOG_STR("peer", "delivery"), LOG_INT("number", delivery->number),
             LOG_STR("why", status_text(why)));
    delivery_gone(delivery);
}

static void delivery_begin(struct delivery *delivery)
{
    static const struct channel_events events = { on_message, on_closed };
    struct queue_role *role = delivery->role;
    delivery->channel = channel_new(role->process.loop, delivery->fd, &events, delivery);
    if (!delivery->channel) {
        log_error(role_log(role), "peer-refused", LOG_STR("peer", "delivery"), LOG_STR("why", "out of memory"));
        delivery_free(delivery);
        return;
    }
    delivery->fd = -1;
    queue_delivery_here(&role->queue, role_now(role), delivery->number);
}

void deliveries_begin(struct queue_role *role)
{
    loop_hook_add(role->process.loop, &role->settle, on_settle);
    loop_timer_init(role->process.loop, &role->gather_end, on_gather_end);
    loop_timer_set(&role->gather_end, GATHER_MS);
    queue_gather(&role->queue);
    for (LIST_EACH(link, &role->deliveries))
        delivery_begin(CONTAINER(link, struct delivery, link));
    deliveries_gather_check(role);
}

void deliveries_peer(struct queue_role *role, const struct supervisor_peer *peer, int fd)
{
    struct delivery *before = delivery_find(role, peer->number);
    if (before)
        delivery_gone(before);
    struct delivery *delivery = peer->number < QUEUE_DELIVERIES_MAX ? calloc(1, sizeof *delivery) : NULL;
    if (!delivery) {
        log_error(role_log(role), "peer-refused", LOG_STR("peer", "delivery"), LOG_INT("number", peer->number));
        close(fd);
        return;
    }
    *delivery = (struct delivery){ .role = role, .fd = fd, .number = peer->number, .pid = (pid_t)peer->pid,
                                   .is_old = !role->started };
    list_add_last(&role->deliveries, &delivery->link);
    if (role->started)
        delivery_begin(delivery);
}

void deliveries_close(struct queue_role *role)
{
    if (role->started) {
        loop_hook_remove(&role->settle);
        loop_timer_stop(&role->gather_end);
    }
    for (LIST_EACH(link, &role->deliveries))
        delivery_free(CONTAINER(link, struct delivery, link));
}
