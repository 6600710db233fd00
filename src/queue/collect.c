/* Failures of one message that come one after the other, from many sites, are told in one report: it waits while more
 * of the message's recipients are on their way. Until it is stored its recipients are not over, so nothing is lost. */
#include "base/hash.h"
#include "queue/settle_priv.h"
#include <stdlib.h>

#define LOOK_MS 2000        /* how often one looks whether somebody is still on his way */
#define COLLECT_MS 60000     /* a report waits no longer */

static bool is_about(const struct map_node *node, const void *key)
{
    return CONTAINER(node, const struct queue_report, collected)->id == *(const uint64_t *)key;
}

static struct queue_report *find(const struct queue *queue, uint64_t id)
{
    struct map_node *node = map_find(&queue->collected, hash_u64(id), is_about, &id);
    return node ? CONTAINER(node, struct queue_report, collected) : NULL;
}

static bool is_on_its_way(const struct queue_share *share)
{
    if (share->place == QUEUE_READY)
        return !share->lane->site->paused && !share->lane->site->trouble;
    return share->place == QUEUE_LEASED || share->place == QUEUE_RESOLVING;
}

static bool more_may_come(const struct queue *queue, const struct queue_report *report)
{
    const struct queue_message *message = queue_message_find(queue, report->id);
    for (const struct queue_share *share = message ? message->shares : NULL; share; share = share->next)
        if (is_on_its_way(share))
            return true;
    return false;
}

void collect_leave(struct queue *queue, struct queue_report *report)
{
    if (report->collects)
        map_remove(&queue->collected, &report->collected);
    report->collects = false;
    list_remove(&report->link);
}

static void report_go(struct queue *queue, struct queue_report *report)
{
    collect_leave(queue, report);
    queue->reports++;
    queue->acts->report(queue->arg, report);
}

/* False: there is no room for it. */
static bool join(struct queue *queue, struct queue_report *report, struct queue_report *more)
{
    if (report->count + more->count > QUEUE_REPORT_RECIPIENTS_MAX || !settle_report_reserve(report, more->count))
        return false;
    memcpy(report->told + report->count, more->told, more->count * sizeof *more->told);
    report->count += more->count;
    more->count = 0;
    for (struct list *link; (link = list_take_first(&more->shares));) {
        CONTAINER(link, struct queue_share, link)->report = report;
        list_add_last(&report->shares, link);
    }
    queue_report_free(queue, more);
    return true;
}

void settle_report_send(struct queue *queue, struct queue_report *report)
{
    if (report->kind != QUEUE_REPORT_FAILED || report->expired || report->tries) {
        report_go(queue, report);
        return;
    }
    struct queue_report *before = find(queue, report->id);
    if (before && join(queue, before, report))
        return;
    if (before)
        report_go(queue, before);
    report->since_ms = queue->now_ms;
    report->look_ms = queue->now_ms + LOOK_MS;
    if (!more_may_come(queue, report) || map_add(&queue->collected, &report->collected, hash_u64(report->id)) != STATUS_OK) {
        report_go(queue, report);
        return;
    }
    report->collects = true;
    list_add_last(&queue->collecting, &report->link);
}

void settle_report_complete(struct queue *queue, uint64_t id)
{
    struct queue_report *report = queue->collected.n ? find(queue, id) : NULL;
    if (report && !more_may_come(queue, report))
        report_go(queue, report);
}

void queue_collected_tick(struct queue *queue, bool all)
{
    for (struct list *first; (first = list_first(&queue->collecting));) {
        struct queue_report *report = CONTAINER(first, struct queue_report, link);
        if (report->look_ms > queue->now_ms && !all)
            return;
        if (all || queue->now_ms >= report->since_ms + COLLECT_MS || !more_may_come(queue, report)) {
            report_go(queue, report);
            continue;
        }
        report->look_ms = queue->now_ms + LOOK_MS;
        list_remove(first);
        list_add_last(&queue->collecting, first);
    }
}

int64_t queue_collected_next_ms(const struct queue *queue)
{
    const struct list *first = list_first(&queue->collecting);
    return first ? CONTAINER(first, const struct queue_report, link)->look_ms : INT64_MAX;
}
