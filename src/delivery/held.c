#include "delivery/held.h"
#include "base/mutant.h"
#include <stdlib.h>

struct told {
    struct list link;          /* in delivery->told */
    uint64_t place;            /* among all outcomes told to this queue */
    struct buf held, outcome;  /* as the next queue will be told */
};

/* `number`: what the queue will call it. Borrowed from the scratch. */
static const struct lease_held *describe(struct job *job, uint64_t number)
{
    struct lease_held *held = &job->delivery->held;
    held->lease = number;
    held->id = job->id;
    held->attempt = job->attempt;
    held->site = job->site ? span_of(job->site->key, job->site->key_n) : SPAN_NONE;
    held->recipient_count = job->recipient_count;
    for (uint32_t i = 0; i < job->recipient_count; i++)
        held->recipients[i] = job->recipients[i].index;
    return held;
}

static uint64_t ticket(struct delivery *delivery)
{
    return LEASE_HELD_BIT | ++delivery->tickets;
}

static void told_free(struct told *told)
{
    list_remove(&told->link);
    buf_done(&told->held);
    buf_done(&told->outcome);
    free(told);
}

/* Without memory it is not kept: should the queue die with it, the message goes out once more. */
void held_keep(struct job *job, const struct lease_outcome *outcome)
{
    struct delivery *delivery = job->delivery;
    uint64_t place = delivery->told_count++;
    struct told *told = job->site ? calloc(1, sizeof *told) : NULL; /* no server ever saw it: nothing can come twice */
    if (MUTANT(OUTCOME_NOT_TOLD_AGAIN) || !told)
        return free(told);
    *told = (struct told){ .place = place, .held = BUF_EMPTY(CHANNEL_BODY_MAX), .outcome = BUF_EMPTY(CHANNEL_BODY_MAX) };
    struct lease_outcome again = *outcome;
    again.lease = ticket(delivery);
    lease_held_put(&told->held, describe(job, again.lease));
    lease_outcome_put(&told->outcome, &again);
    list_add_last(&delivery->told, &told->link);
    if (told->held.failed || told->outcome.failed)
        told_free(told);
}

void held_settled(struct delivery *delivery, uint32_t outcomes)
{
    delivery->settled_count = MIN(delivery->settled_count + outcomes, delivery->told_count);
    for (struct list *link; (link = list_first(&delivery->told));) {
        struct told *told = CONTAINER(link, struct told, link);
        if (told->place >= delivery->settled_count)
            return;
        told_free(told);
    }
}

void held_tell(struct delivery *delivery)
{
    struct channel *queue = delivery->queue;
    delivery->told_count = delivery->settled_count = 0;
    for (LIST_EACH(link, &delivery->told)) {
        struct told *told = CONTAINER(link, struct told, link);
        told->place = delivery->told_count++;
        (void)channel_send(queue, LEASE_HELD, buf_span(&told->held)); /* a dead channel tells in on_closed */
        (void)channel_send(queue, LEASE_OUTCOME, buf_span(&told->outcome));
    }
    for (LIST_EACH(link, &delivery->jobs)) {
        struct job *job = CONTAINER(link, struct job, link);
        job->lease = ticket(delivery);
        if (MUTANT(HELD_LEASE_NOT_TOLD))
            continue;
        lease_held_put(channel_begin(queue, LEASE_HELD), describe(job, job->lease));
        (void)channel_end(queue);
    }
}

void held_free(struct delivery *delivery)
{
    for (LIST_EACH(link, &delivery->told))
        told_free(CONTAINER(link, struct told, link));
}
