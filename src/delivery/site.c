#include "delivery/site.h"
#include "base/hash.h"
#include "delivery/job.h"
#include <stdlib.h>

static bool is_site(const struct map_node *node, const void *key)
{
    const struct site *site = CONTAINER(node, struct site, node);
    return span_eq(span_of(site->key, site->key_n), *(const struct span *)key);
}

/* Out of the lists: somebody uses it, or it is closed. */
static void unkeep(struct site *site, struct session *session)
{
    list_remove(&session->link);
    list_remove(&session->in_idle);
    site->delivery->idle_count--;
}

/* The session that was used last, so that those beyond the need grow old. */
static struct session *take_idle(struct site *site)
{
    for (LIST_EACH(link, &site->idle)) {
        struct session *session = CONTAINER(link, struct session, link);
        unkeep(site, session);
        if (session->config == site->delivery->config && session_is_reusable(session))
            return session;
        session_free(session);
        site->open--;
    }
    return NULL;
}

static void give_turns(struct loop_task *task)
{
    struct site *site = CONTAINER(task, struct site, turn);
    while (!list_is_empty(&site->waiting)) {
        struct session *kept = take_idle(site);
        if (!kept && site->open >= site->most)
            return;
        if (!kept)
            site->open++;
        job_begin(CONTAINER(list_take_first(&site->waiting), struct job, in_site), kept);
    }
    if (site->open == 0 && site->expected == 0)
        site_free(site);
}

/* Long enough to be no matter of a moment; the queue gives them again, when there is use for them. */
#define WAIT_MS 2000

static void on_patience(struct loop_timer *timer)
{
    struct site *site = CONTAINER(timer, struct site, patience);
    job_return_waiting(site, loop_now_ms(site->delivery->loop) - WAIT_MS);
    if (!list_is_empty(&site->waiting))
        loop_timer_set(timer, WAIT_MS);
}

struct site *site_get(struct delivery *delivery, struct span key)
{
    uint64_t hash = hash_bytes(key);
    struct map_node *node = map_find(&delivery->sites, hash, is_site, &key);
    if (node)
        return CONTAINER(node, struct site, node);
    struct site *site = calloc(1, sizeof *site + key.n);
    if (!site)
        return NULL;
    site->delivery = delivery;
    site->most = 1;
    site->key_n = key.n;
    memcpy(site->key, key.p, key.n);
    list_init(&site->idle);
    list_init(&site->waiting);
    loop_task_init(delivery->loop, &site->turn, give_turns);
    loop_timer_init(delivery->loop, &site->patience, on_patience);
    if (map_add(&delivery->sites, &site->node, hash) == STATUS_OK)
        return site;
    free(site);
    return NULL;
}

void site_free(struct site *site)
{
    for (LIST_EACH(link, &site->idle)) {
        struct session *session = CONTAINER(link, struct session, link);
        unkeep(site, session);
        session_free(session);
    }
    loop_task_cancel(&site->turn);
    loop_timer_stop(&site->patience);
    map_remove(&site->delivery->sites, &site->node);
    free(site);
}

void site_expect(struct site *site)
{
    site->expected++;
}

void site_unexpect(struct site *site)
{
    site->expected--;
    loop_later(&site->turn);
}

void site_wait(struct site *site, struct job *job)
{
    job->waits_ms = loop_now_ms(site->delivery->loop);
    if (!loop_timer_runs(&site->patience))
        loop_timer_set(&site->patience, WAIT_MS);
    list_add_last(&site->waiting, &job->in_site);
    loop_later(&site->turn);
}

void site_closed(struct site *site)
{
    site->open--;
    loop_later(&site->turn);
}

static void idle_over(void *arg, struct session *session)
{
    struct site *site = arg;
    unkeep(site, session);
    session_free(session);
    site_closed(site);
}

void site_close_idle(struct delivery *delivery, unsigned most)
{
    while (delivery->idle_count > most) {
        struct session *session = CONTAINER(list_first(&delivery->idle), struct session, in_idle);
        idle_over(session->arg, session);
    }
}

void site_keep(struct site *site, struct session *session)
{
    static const struct session_events events = { .on_over = idle_over };
    session_set_user(session, &events, site);
    session_idle(session, session->config->root->delivery.idle_ms);
    list_add_first(&site->idle, &session->link);
    list_add_last(&site->delivery->idle, &session->in_idle);
    site->delivery->idle_count++;
    loop_later(&site->turn);
}
