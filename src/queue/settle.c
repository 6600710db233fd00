#include "queue/accounts.h"
#include "queue/settle_priv.h"
#include "queue/retry.h"
#include "queue/schedule.h"
#include <stdlib.h>

#define REPORT_AGAIN_MS 10000

/* What is done with a recipient; each share's are sorted into these. */
enum { FAILS_SILENTLY, FAILS };

/* Without memory for an entry: what it says must not be confirmed to anybody, so give up loudly. delivery tells the next
 * queue again. */
void queue_journal(struct queue *queue, uint64_t id, const struct queue_entry *entry)
{
    buf_clear(&queue->scratch);
    queue_entry_put(&queue->scratch, entry);
    if (queue->scratch.failed)
        abort();
    queue->acts->journal(queue->arg, (uint8_t)entry->kind, id, buf_span(&queue->scratch));
}

/* One entry about those recipients of the share that are of the class (all of them without classes). */
void settle_journal(struct queue *queue, struct queue_share *share, const uint8_t *class, uint8_t which,
                          struct queue_entry *entry)
{
    uint32_t few[16], *indexes = few, n = 0;
    if (share->count > ARRAY_LEN(few) && !(indexes = malloc(share->count * sizeof *indexes)))
        abort();
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    for (uint32_t i = 0; i < share->count; i++)
        if (!class || class[i] == which)
            indexes[n++] = rcpts[i].index;
    entry->count = n;
    entry->indexes = indexes;
    if (n)
        queue_journal(queue, share->message->id, entry);
    entry->indexes = NULL; /* they end here */
    if (indexes != few)
        free(indexes);
}

void settle_journal_ended(struct queue *queue, struct queue_share *share, const uint8_t *class, uint8_t which,
                          enum queue_ended how)
{
    struct queue_entry entry = { .kind = QUEUE_ENTRY_ENDED, .how = (uint8_t)how };
    settle_journal(queue, share, class, which, &entry);
}

/* -- reports -- */

/* RFC 3461 section 4.1: what a recipient's NOTIFY asks for. A report is never answered with another. */
bool settle_owes_failure(const struct queue *queue, const struct queue_message *message, uint8_t notify)
{
    if (message->flags & QUEUE_MESSAGE_NULL_SENDER)
        return queue->postmaster.n && !(message->flags & QUEUE_MESSAGE_POSTMASTER);
    return notify == 0 || (notify & NOTIFY_FAILURE);
}

bool settle_report_reserve(struct queue_report *report, uint32_t more)
{
    uint32_t room = report->count + more;
    if (room <= report->room)
        return true;
    room = MAX(room, MIN(report->room * 2, QUEUE_REPORT_RECIPIENTS_MAX));
    struct queue_told *told = realloc(report->told, room * sizeof *told);
    if (!told)
        return false;
    report->told = told;
    report->room = room;
    return true;
}

struct queue_report *settle_report_new(const struct queue_message *message, enum queue_report_kind kind, uint32_t room)
{
    struct queue_report *report = calloc(1, sizeof *report);
    if (!report || !settle_report_reserve(report, room)) {
        free(report);
        return NULL;
    }
    report->kind = kind;
    report->id = message->id;
    report->to_postmaster = (message->flags & QUEUE_MESSAGE_NULL_SENDER) != 0;
    list_init(&report->shares);
    list_init(&report->link);
    return report;
}

void queue_report_free(struct queue *queue, struct queue_report *report)
{
    collect_leave(queue, report);
    for (uint32_t i = 0; i < report->count; i++)
        queue_reason_unref(queue, report->told[i].reason);
    free(report->told);
    free(report);
}

void settle_report_tell(struct queue_report *report, const struct queue_rcpt *rcpt, const struct queue_reason *reason)
{
    report->told[report->count++] = (struct queue_told){ rcpt->index, rcpt->notify, queue_reason_again(reason) };
}

void settle_report_add(struct queue *queue, struct queue_report *report, struct queue_share *share)
{
    queue_share_report(queue, share, report);
    list_add_last(&report->shares, &share->link);
}

void settle_log_silent(struct queue *queue, const struct queue_share *share, const char *event,
                       const struct queue_reason *reason)
{
    struct queue_words words = queue_reason_words(reason);
    bool report = share->message->flags & QUEUE_MESSAGE_NULL_SENDER;
    log_info(queue->log, event, LOG_ID(share->message->id), LOG_SPAN("domain", queue_domain_name(share->domain)),
             LOG_INT("recipients", share->count),
             LOG_STR("why", report ? "a report that cannot be delivered is dropped" : "the sender asked not to be told"),
             LOG_SPAN("text", words.text));
}

/* All of a share (at rest) failed for the same reason. Recipients whose sender is to be told join `report`, where there
 * is one; the share is over for the others. */
static void share_fails(struct queue *queue, struct queue_share *share, const struct queue_reason *reason,
                        struct queue_report *report)
{
    uint8_t class[WIRE_LEASE_RECIPIENTS_MAX];
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    uint32_t owed = 0;
    for (uint32_t i = 0; i < share->count; i++) {
        bool owes = report && settle_owes_failure(queue, share->message, rcpts[i].notify);
        class[i] = owes ? FAILS : FAILS_SILENTLY;
        owed += owes;
        if (owes)
            settle_report_tell(report, &rcpts[i], reason);
    }
    queue->counts.failed += share->count;
    queue_account_failed(queue, share->message, share->count);
    if (owed < share->count) {
        settle_log_silent(queue, share, report && report->expired ? "expired" : "dropped", reason);
        settle_journal_ended(queue, share, class, FAILS_SILENTLY, QUEUE_ENDED_FAILED);
    }
    if (!queue_share_drop(queue, share, class, FAILS_SILENTLY))
        settle_report_add(queue, report, share);
}

/* -- the ways to end -- */

static const struct queue_reason *why_expired(struct queue *queue, const struct queue_share *share)
{
    if (share->last)
        return queue_reason_again(share->last);
    if (share->place == QUEUE_READY && share->lane->site->last)
        return queue_reason_again(share->lane->site->last);
    return queue_reason_ref(queue, &(struct queue_words){ .enhanced = { 4, 4, 7 }, .text = SPAN("it could not be tried") });
}

/* May it be told about together with another share of its message whose time has come? */
static bool waits(const struct queue_share *share)
{
    return share->place == QUEUE_DUE || share->place == QUEUE_RESOLVING || share->place == QUEUE_READY;
}

/* Moves the domain's or site's trouble into the share, so that it can be told apart later. */
void settle_keep_reason(struct queue *queue, struct queue_share *share, const struct queue_reason *reason)
{
    queue_reason_unref(queue, share->last);
    share->last = reason;
}

void queue_expire(struct queue *queue, struct queue_share *share)
{
    struct queue_message *message = share->message;
    struct queue_report *report = settle_report_new(message, QUEUE_REPORT_FAILED, QUEUE_REPORT_RECIPIENTS_MAX);
    if (!report) {
        queue_share_wait(queue, share, queue->now_ms + queue->settings->first_retry_ms);
        return;
    }
    report->expired = true;
    uint32_t taken = 0;
    for (struct queue_share *next, *at = message->shares; at; at = next) {
        next = at->next;
        if (at != share && (!waits(at) || (!at->tries && at->place != QUEUE_READY) || (at->flags & QUEUE_SHARE_LAST) ||
                            taken + at->count + share->count > QUEUE_REPORT_RECIPIENTS_MAX))
            continue;
        taken += at == share ? 0 : at->count;
        settle_keep_reason(queue, at, why_expired(queue, at));
        queue->counts.expired += at->count;
        queue_share_rest(queue, at);
        share_fails(queue, at, at->last, report);
    }
    if (report->count)
        settle_report_send(queue, report);
    else
        queue_report_free(queue, report);
}

void queue_notice(struct queue *queue, struct queue_share *share)
{
    struct queue_message *message = share->message;
    struct queue_report *report = settle_report_new(message, QUEUE_REPORT_DELAYED, QUEUE_REPORT_RECIPIENTS_MAX);
    for (struct queue_share *at = message->shares; at; at = at->next) {
        if (!waits(at) || (at->flags & QUEUE_SHARE_NOTICED) ||
            (report && report->count + at->count > QUEUE_REPORT_RECIPIENTS_MAX))
            continue;
        at->flags |= QUEUE_SHARE_NOTICED;
        settle_journal(queue, at, NULL, 0, &(struct queue_entry){ .kind = QUEUE_ENTRY_NOTICED });
        const struct queue_reason *reason = why_expired(queue, at);
        const struct queue_rcpt *rcpts = queue_share_rcpts(at);
        for (uint32_t i = 0; report && i < at->count; i++)
            if (rcpts[i].notify == 0 || (rcpts[i].notify & NOTIFY_DELAY))
                settle_report_tell(report, &rcpts[i], reason);
        queue_reason_unref(queue, reason);
    }
    if (report)
        settle_report_send(queue, report);
}

void settle_defer(struct queue *queue, struct queue_share *share, const struct queue_reason *reason, bool counts)
{
    if (counts && share->tries < UINT16_MAX)
        share->tries++;
    if (counts)
        share->flags &= (uint8_t)~QUEUE_SHARE_LAST;
    settle_keep_reason(queue, share, queue_reason_keep(queue, queue_reason_again(reason)));
    int64_t retry_ms = queue->now_ms + queue_retry_after_ms(queue->settings, share->tries, queue_random(queue));
    struct queue_entry entry = { .kind = QUEUE_ENTRY_DEFERRED, .retry_ms = retry_ms, .tries = share->tries,
                                 .words = queue_reason_words(reason) };
    settle_journal(queue, share, NULL, 0, &entry);
    queue->counts.deferred += share->count;
    share->flags &= (uint8_t)~QUEUE_SHARE_LATE;
    queue_share_wait(queue, share, retry_ms);
}

void queue_share_unroutable(struct queue *queue, struct queue_share *share, const struct queue_words *words,
                            bool for_good)
{
    const struct queue_reason *reason = queue_reason_ref(queue, words);
    struct queue_report *report = for_good ? settle_report_new(share->message, QUEUE_REPORT_FAILED, share->count) : NULL;
    queue_share_rest(queue, share);
    if (!for_good || !report) {
        /* No delivery process ever had it: nobody else tells its story. */
        log_info(queue->log, "deferred", LOG_ID(share->message->id), LOG_SPAN("domain", queue_domain_name(share->domain)),
                 LOG_INT("recipients", share->count), LOG_INT("code", words->code), LOG_SPAN("reply", words->text));
        settle_defer(queue, share, reason, true);
    } else {
        share_fails(queue, share, reason, report);
        if (report->count)
            settle_report_send(queue, report);
        else
            queue_report_free(queue, report);
    }
    queue_reason_unref(queue, reason);
}

void queue_owe_again(struct queue *queue, struct queue_share *share, enum queue_report_kind kind)
{
    struct queue_report *report = settle_report_new(share->message, kind, share->count);
    if (!report)
        return;
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    for (uint32_t i = 0; i < share->count; i++)
        settle_report_tell(report, &rcpts[i], share->last);
    settle_report_add(queue, report, share);
    settle_report_send(queue, report);
}

/* -- reports come back -- */

static void hold_damaged(struct queue *queue, struct queue_share *share)
{
    struct queue_words by = { .host = SPAN("goniec"), .text = SPAN("its record is damaged, so its sender cannot be told") };
    struct queue_entry entry = { .kind = QUEUE_ENTRY_HELD, .who = by.host, .why = by.text };
    settle_journal(queue, share, NULL, 0, &entry);
    queue_share_rest(queue, share);
    queue_share_hold(queue, share, &by);
}

static void report_share_end(struct queue *queue, struct queue_share *share, enum queue_report_kind kind)
{
    settle_journal_ended(queue, share, NULL, 0, kind == QUEUE_REPORT_FAILED ? QUEUE_ENDED_FAILED : QUEUE_ENDED_DELIVERED);
    queue_share_end(queue, share);
}

void queue_reported(struct queue *queue, int64_t now_ms, struct queue_report *report, enum status status)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    queue->reports--;
    if (status != STATUS_OK && status != STATUS_DAMAGED) {
        list_add_last(&queue->reports_again, &report->link);
        if (queue->reports_again_ms == INT64_MAX)
            queue->reports_again_ms = queue->now_ms + REPORT_AGAIN_MS;
        return;
    }
    queue->counts.reported += status == STATUS_OK;
    for (struct list *link; (link = list_take_first(&report->shares));) {
        struct queue_share *share = CONTAINER(link, struct queue_share, link);
        if (status == STATUS_DAMAGED && report->kind == QUEUE_REPORT_FAILED)
            hold_damaged(queue, share);
        else
            report_share_end(queue, share, report->kind);
    }
    queue_report_free(queue, report);
}

void queue_reports_tick(struct queue *queue)
{
    queue_collected_tick(queue, false);
    if (queue->now_ms < queue->reports_again_ms)
        return;
    queue->reports_again_ms = INT64_MAX;
    struct list again;
    list_init(&again);
    for (struct list *link; (link = list_take_first(&queue->reports_again));)
        list_add_last(&again, link);
    for (struct list *link; (link = list_take_first(&again));) {
        struct queue_report *report = CONTAINER(link, struct queue_report, link);
        report->tries++;
        settle_report_send(queue, report);
    }
}
