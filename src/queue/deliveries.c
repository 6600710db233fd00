/* The processes that deliver: descriptors for what they read, leases and questions to them, outcomes from them. */
#include "base/hash.h"
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

static void delivery_gone(struct delivery *delivery)
{
    struct queue_role *role = delivery->role;
    unsigned number = delivery->number;
    bool begun = delivery->channel;
    delivery_free(delivery);
    for (MAP_EACH(node, &role->sent_bodies))
        CONTAINER(node, struct sent_body, node)->sent_to &= ~(UINT64_C(1) << number);
    if (begun)
        queue_delivery_gone(&role->queue, role_now(role), number);
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
    enum status status = channel_send_fds(delivery->channel, LEASE_SEGMENT, buf_span(&body), &fd, 1);
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
    enum status status = channel_send_fds(delivery->channel, LEASE_BODY, buf_span(&body), &fd, 1);
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

static enum status take(struct delivery *delivery, const struct channel_message *message)
{
    struct queue_role *role = delivery->role;
    struct lease_outcome outcome;
    struct lease_credit credit;
    struct lease_resolved resolved;
    switch (message->kind) {
    case LEASE_OUTCOME:
        return lease_outcome_get(message->body, &outcome)
                   ? queue_outcome(&role->queue, role_now(role), delivery->number, &outcome) : STATUS_SYNTAX;
    case LEASE_CREDIT:
        return lease_credit_get(message->body, &credit)
                   ? queue_credit(&role->queue, role_now(role), delivery->number, credit.more) : STATUS_SYNTAX;
    case LEASE_RESOLVED:
        return lease_resolved_get(message->body, &resolved)
                   ? queue_resolved(&role->queue, role_now(role), delivery->number, &resolved) : STATUS_SYNTAX;
    default:
        return STATUS_SYNTAX;
    }
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct delivery *delivery = arg;
    enum status status = take(delivery, message);
    /* The domain of a question may have gone meanwhile: an answer that nobody waits for is no fault. */
    if (status == STATUS_OK || (status == STATUS_NOT_FOUND && message->kind == LEASE_RESOLVED))
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
    for (LIST_EACH(link, &role->deliveries))
        delivery_begin(CONTAINER(link, struct delivery, link));
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
    *delivery = (struct delivery){ .role = role, .fd = fd, .number = peer->number };
    list_add_last(&role->deliveries, &delivery->link);
    if (role->started)
        delivery_begin(delivery);
}

void deliveries_close(struct queue_role *role)
{
    for (LIST_EACH(link, &role->deliveries))
        delivery_free(CONTAINER(link, struct delivery, link));
}
