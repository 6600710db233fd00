#include "delivery/delivery.h"
#include "base/memory.h"
#include "delivery/held.h"
#include "delivery/job_priv.h"
#include "delivery/resolve.h"
#include "net/tls.h"
#include <unistd.h>

#define REST_MS 15000  /* longer than connections are kept as a rule */
#define REST_JOBS 200u /* fewer leave nothing worth giving back */
#define QUIET_MS 500   /* without a message: nobody waits while memory goes back, */
#define QUIET_LOOKS 120 /* which takes up to 0.1 s; after so many looks it goes all the same */

#define READERS 2
#define READERS_WAITING 1000

/* What no server has begun to take is forgotten: the queue that gave it is gone, and the next one gives it again. */
static void queue_lost(struct delivery *delivery)
{
    for (LIST_EACH(link, &delivery->jobs))
        if (!job_is_in_hand(CONTAINER(link, struct job, link)))
            job_drop(CONTAINER(link, struct job, link));
    resolve_drop_all(delivery);
    places_done(&delivery->places);
    delivery->owed = 0;
}

static void drop_all(struct delivery *delivery)
{
    for (LIST_EACH(link, &delivery->jobs))
        job_drop(CONTAINER(link, struct job, link));
    for (MAP_EACH(node, &delivery->sites))
        site_free(CONTAINER(node, struct site, node));
    queue_lost(delivery);
    held_free(delivery);
}

static void say_drained(struct delivery *delivery)
{
    void (*on_drained)(void *) = delivery->on_drained;
    delivery->on_drained = NULL;
    if (on_drained)
        on_drained(delivery->arg);
}

static void on_drain_end(struct loop_timer *timer)
{
    say_drained(CONTAINER(timer, struct delivery, drain_end));
}

static void on_patience_end(struct loop_timer *timer) {} /* the hook at the end of this turn looks who is to go */

static void give_credits(struct loop_task *task)
{
    struct delivery *delivery = CONTAINER(task, struct delivery, give);
    site_close_idle(delivery, (unsigned)delivery->config->root->delivery.idle_most);
    job_give_up_oldest(delivery, (unsigned)delivery->config->root->delivery.leases / 2);
    if (delivery->queue && (delivery->owed > 0 || delivery->greets) && !delivery->is_draining) {
        struct lease_credit credit = { delivery->owed };
        lease_credit_put(channel_begin(delivery->queue, LEASE_CREDIT), &credit);
        (void)channel_end(delivery->queue); /* a dead channel tells in on_closed */
        delivery->owed = 0;
        delivery->greets = false;
    }
    delivery->job_peak = MAX(delivery->job_peak, delivery->job_count);
    if (delivery->job_peak >= REST_JOBS && !loop_timer_runs(&delivery->rest))
        loop_timer_set(&delivery->rest, REST_MS);
    if (delivery->is_draining && delivery->job_count == 0 && (delivery->has_left || !delivery->queue))
        say_drained(delivery);
}

/* A crowd has gone: what it needed is the system's again. */
static void on_rest(struct loop_timer *timer)
{
    struct delivery *delivery = CONTAINER(timer, struct delivery, rest);
    if (delivery->job_count > delivery->job_peak / 4) {
        delivery->job_peak = delivery->job_count;
        loop_timer_set(timer, REST_MS);
        return;
    }
    if (delivery->begun != delivery->begun_seen && ++delivery->looks < QUIET_LOOKS) {
        delivery->begun_seen = delivery->begun;
        loop_timer_set(timer, QUIET_MS);
        return;
    }
    delivery->looks = 0;
    delivery->job_peak = 0;
    memory_give_back();
}

void delivery_init(struct delivery *delivery, struct loop *loop, struct log *log, struct delivery_config *config)
{
    *delivery = (struct delivery){ .loop = loop, .log = log, .config = config };
    list_init(&delivery->jobs);
    list_init(&delivery->opening);
    list_init(&delivery->questions);
    list_init(&delivery->checks);
    list_init(&delivery->told);
    list_init(&delivery->idle);
    delivery->readers = workers_new(loop, READERS, READERS_WAITING);
    tls_random(&delivery->random, sizeof delivery->random);
    loop_timer_init(loop, &delivery->drain_end, on_drain_end);
    loop_timer_init(loop, &delivery->patience_end, on_patience_end);
    loop_timer_init(loop, &delivery->rest, on_rest);
    loop_hook_add(loop, &delivery->give, give_credits);
}

void delivery_done(struct delivery *delivery)
{
    drop_all(delivery);
    job_checks_free(delivery);
    if (delivery->queue)
        channel_free(delivery->queue);
    loop_hook_remove(&delivery->give);
    loop_timer_stop(&delivery->drain_end);
    loop_timer_stop(&delivery->patience_end);
    loop_timer_stop(&delivery->rest);
    map_done(&delivery->sites);
    hosts_done(&delivery->hosts);
    delivery_config_unref(delivery->config);
}

void delivery_set_config(struct delivery *delivery, struct delivery_config *config)
{
    int64_t before = delivery->config->root->delivery.leases, after = config->root->delivery.leases;
    if (after > before) /* fewer come into force with the next queue */
        delivery->owed += (uint32_t)(after - before);
    delivery_config_unref(delivery->config);
    delivery->config = config;
}

void delivery_drain(struct delivery *delivery, void (*on_drained)(void *arg), void *arg)
{
    delivery->is_draining = true;
    delivery->on_drained = on_drained;
    delivery->arg = arg;
    if (delivery->queue)
        (void)channel_send(delivery->queue, LEASE_LEAVING, SPAN_NONE); /* a dead channel tells in on_closed */
    for (LIST_EACH(link, &delivery->jobs))
        job_let_go(CONTAINER(link, struct job, link));
    loop_timer_set(&delivery->drain_end, DELIVERY_DRAIN_MS);
}

/* ---- the queue's words ---- */

/* The queue would think for ever that we have it: better that it thinks we are gone. */
static void place_keep(struct delivery *delivery, bool is_body, uint64_t number, struct channel_message *message)
{
    int fd = message->fds[0];
    message->fds[0] = -1;
    if (places_add(&delivery->places, is_body, number, fd))
        return;
    log_error(delivery->log, "peer-refused", LOG_STR("peer", "queue"), LOG_STR("why", "out of memory for what it lends"));
    channel_free(delivery->queue);
    delivery->queue = NULL;
    queue_lost(delivery);
}

static bool on_segment(struct delivery *delivery, struct channel_message *message)
{
    struct lease_segment segment;
    if (!lease_segment_get(message->body, &segment) || message->fd_count != 1)
        return false;
    place_keep(delivery, false, segment.number, message);
    return true;
}

static bool on_body(struct delivery *delivery, struct channel_message *message)
{
    struct lease_body body;
    if (!lease_body_get(message->body, &body) || message->fd_count != 1)
        return false;
    place_keep(delivery, true, body.number, message);
    return true;
}

static bool on_segment_gone(struct delivery *delivery, struct channel_message *message)
{
    struct lease_segment_gone gone;
    if (!lease_segment_gone_get(message->body, &gone))
        return false;
    places_gone(&delivery->places, false, gone.number);
    return true;
}

static bool on_body_gone(struct delivery *delivery, struct channel_message *message)
{
    struct lease_body_gone gone;
    if (!lease_body_gone_get(message->body, &gone))
        return false;
    places_gone(&delivery->places, true, gone.number);
    return true;
}

static bool on_resolve(struct delivery *delivery, struct channel_message *message)
{
    struct lease_resolve resolve;
    if (!lease_resolve_get(message->body, &resolve))
        return false;
    resolve_ask(delivery, &resolve);
    return true;
}

static bool on_grant(struct delivery *delivery, struct channel_message *message)
{
    struct lease_grant grant;
    if (!lease_grant_get(message->body, &grant))
        return false;
    job_new(delivery, &grant);
    return true;
}

static bool on_settled(struct delivery *delivery, struct channel_message *message)
{
    struct lease_settled settled;
    if (!lease_settled_get(message->body, &settled))
        return false;
    held_settled(delivery, settled.outcomes);
    return true;
}

static bool on_left(struct delivery *delivery, struct channel_message *message)
{
    delivery->has_left = true;
    return true;
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    static bool (*const handlers[])(struct delivery *, struct channel_message *) = {
        [LEASE_SEGMENT] = on_segment, [LEASE_SEGMENT_GONE] = on_segment_gone, [LEASE_BODY] = on_body,
        [LEASE_BODY_GONE] = on_body_gone, [LEASE_RESOLVE] = on_resolve, [LEASE_GRANT] = on_grant,
        [LEASE_SETTLED] = on_settled, [LEASE_LEFT] = on_left,
    };
    struct delivery *delivery = arg;
    bool known = message->kind < ARRAY_LEN(handlers) && handlers[message->kind];
    if (!known || !handlers[message->kind](delivery, message))
        log_error(delivery->log, "peer-broke-format", LOG_STR("peer", "queue"), LOG_INT("kind", message->kind));
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct delivery *delivery = arg;
    log_warning(delivery->log, "peer-gone", LOG_STR("peer", "queue"), LOG_STR("why", status_text(why)),
                LOG_INT("leases", delivery->job_count));
    channel_free(channel);
    delivery->queue = NULL;
    queue_lost(delivery);
}

void delivery_set_queue(struct delivery *delivery, int fd)
{
    static const struct channel_events events = { on_message, on_closed };
    if (delivery->queue)
        channel_free(delivery->queue);
    queue_lost(delivery);
    delivery->queue = channel_new(delivery->loop, fd, &events, delivery);
    if (!delivery->queue) {
        log_error(delivery->log, "peer-refused", LOG_STR("peer", "queue"), LOG_STR("why", "out of memory"));
        close(fd);
        return;
    }
    held_tell(delivery);
    delivery->greets = true;
    uint32_t leases = (uint32_t)delivery->config->root->delivery.leases;
    delivery->owed = leases - MIN(leases, delivery->job_count);
    if (delivery->is_draining)
        (void)channel_send(delivery->queue, LEASE_LEAVING, SPAN_NONE);
}
