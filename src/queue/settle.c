#include "queue/settle.h"
#include "queue/entry.h"
#include "queue/lease.h"
#include "queue/retry.h"
#include "queue/schedule.h"
#include <stdlib.h>

#define REPORT_AGAIN_MS 10000

/* What is done with a recipient; each share's are sorted into these. */
enum { STAYS, ENDS, FAILS_SILENTLY, FAILS, OWES_DELIVERED, OWES_RELAYED };

void queue_journal(struct queue *queue, uint64_t id, const struct queue_entry *entry)
{
    buf_clear(&queue->scratch);
    queue_entry_put(&queue->scratch, entry);
    queue->acts->journal(queue->arg, (uint8_t)entry->kind, id, buf_span(&queue->scratch));
}

/* One entry about those recipients of the share that are of the class (all of them without classes). */
static void journal_class(struct queue *queue, struct queue_share *share, const uint8_t *class, uint8_t which,
                          struct queue_entry *entry)
{
    uint32_t few[16], *indexes = few, n = 0;
    if (share->count > ARRAY_LEN(few) && !(indexes = malloc(share->count * sizeof *indexes)))
        return; /* after a power cut they would wait again: late, not lost */
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    for (uint32_t i = 0; i < share->count; i++)
        if (!class || class[i] == which)
            indexes[n++] = rcpts[i].index;
    entry->count = n;
    entry->indexes = indexes;
    if (n)
        queue_journal(queue, share->message->id, entry);
    if (indexes != few)
        free(indexes);
}

static void journal_ended(struct queue *queue, struct queue_share *share, const uint8_t *class, uint8_t which,
                          enum queue_ended how)
{
    struct queue_entry entry = { .kind = QUEUE_ENTRY_ENDED, .how = (uint8_t)how };
    journal_class(queue, share, class, which, &entry);
}

/* -- reports -- */

/* RFC 3461 section 4.1: what a recipient's NOTIFY asks for. A report is never answered with another. */
static bool owes_failure(const struct queue *queue, const struct queue_message *message, uint8_t notify)
{
    if (message->flags & QUEUE_MESSAGE_NULL_SENDER)
        return queue->postmaster.n && !(message->flags & QUEUE_MESSAGE_POSTMASTER);
    return notify == 0 || (notify & NOTIFY_FAILURE);
}

static struct queue_report *report_new(const struct queue_message *message, enum queue_report_kind kind, uint32_t room)
{
    struct queue_report *report = calloc(1, sizeof *report + room * sizeof report->told[0]);
    if (!report)
        return NULL;
    report->kind = kind;
    report->id = message->id;
    report->to_postmaster = (message->flags & QUEUE_MESSAGE_NULL_SENDER) != 0;
    list_init(&report->shares);
    list_init(&report->link);
    return report;
}

void queue_report_free(struct queue *queue, struct queue_report *report)
{
    list_remove(&report->link);
    for (uint32_t i = 0; i < report->count; i++)
        queue_reason_unref(queue, report->told[i].reason);
    free(report);
}

static void report_tell(struct queue_report *report, const struct queue_rcpt *rcpt, const struct queue_reason *reason)
{
    report->told[report->count++] = (struct queue_told){ rcpt->index, rcpt->notify, queue_reason_again(reason) };
}

static void report_add_share(struct queue *queue, struct queue_report *report, struct queue_share *share)
{
    queue_share_report(queue, share, report);
    list_add_last(&report->shares, &share->link);
}

static void report_send(struct queue *queue, struct queue_report *report)
{
    queue->reports++;
    queue->acts->report(queue->arg, report);
}

static void log_silent(struct queue *queue, const struct queue_share *share, const char *event,
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
        bool owes = report && owes_failure(queue, share->message, rcpts[i].notify);
        class[i] = owes ? FAILS : FAILS_SILENTLY;
        owed += owes;
        if (owes)
            report_tell(report, &rcpts[i], reason);
    }
    queue->counts.failed += share->count;
    if (owed < share->count) {
        log_silent(queue, share, report && report->expired ? "expired" : "dropped", reason);
        journal_ended(queue, share, class, FAILS_SILENTLY, QUEUE_ENDED_FAILED);
    }
    if (!queue_share_drop(queue, share, class, FAILS_SILENTLY))
        report_add_share(queue, report, share);
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
static void keep_reason(struct queue *queue, struct queue_share *share, const struct queue_reason *reason)
{
    queue_reason_unref(queue, share->last);
    share->last = reason;
}

void queue_expire(struct queue *queue, struct queue_share *share)
{
    struct queue_message *message = share->message;
    struct queue_report *report = report_new(message, QUEUE_REPORT_FAILED, QUEUE_REPORT_RECIPIENTS_MAX);
    if (!report) {
        queue_share_wait(queue, share, queue->now_ms + queue->settings->first_retry_ms);
        return;
    }
    report->expired = true;
    uint32_t taken = 0;
    for (struct queue_share *next, *at = message->shares; at; at = next) {
        next = at->next;
        if (at != share && (!waits(at) || (!at->tries && at->place != QUEUE_READY) ||
                            taken + at->count + share->count > QUEUE_REPORT_RECIPIENTS_MAX))
            continue;
        taken += at == share ? 0 : at->count;
        keep_reason(queue, at, why_expired(queue, at));
        queue->counts.expired += at->count;
        queue_share_rest(queue, at);
        share_fails(queue, at, at->last, report);
    }
    if (report->count)
        report_send(queue, report);
    else
        queue_report_free(queue, report);
}

void queue_notice(struct queue *queue, struct queue_share *share)
{
    struct queue_message *message = share->message;
    struct queue_report *report = report_new(message, QUEUE_REPORT_DELAYED, QUEUE_REPORT_RECIPIENTS_MAX);
    for (struct queue_share *at = message->shares; at; at = at->next) {
        if (!waits(at) || (at->flags & QUEUE_SHARE_NOTICED) ||
            (report && report->count + at->count > QUEUE_REPORT_RECIPIENTS_MAX))
            continue;
        at->flags |= QUEUE_SHARE_NOTICED;
        journal_class(queue, at, NULL, 0, &(struct queue_entry){ .kind = QUEUE_ENTRY_NOTICED });
        const struct queue_reason *reason = why_expired(queue, at);
        const struct queue_rcpt *rcpts = queue_share_rcpts(at);
        for (uint32_t i = 0; report && i < at->count; i++)
            if (rcpts[i].notify == 0 || (rcpts[i].notify & NOTIFY_DELAY))
                report_tell(report, &rcpts[i], reason);
        queue_reason_unref(queue, reason);
    }
    if (report)
        report_send(queue, report);
}

static void share_defer(struct queue *queue, struct queue_share *share, const struct queue_reason *reason, bool counts)
{
    if (counts && share->tries < UINT16_MAX)
        share->tries++;
    keep_reason(queue, share, queue_reason_again(reason));
    int64_t retry_ms = queue->now_ms + queue_retry_after_ms(queue->settings, share->tries, queue_random(queue));
    struct queue_entry entry = { .kind = QUEUE_ENTRY_DEFERRED, .retry_ms = retry_ms, .tries = share->tries,
                                 .words = queue_reason_words(reason) };
    journal_class(queue, share, NULL, 0, &entry);
    queue->counts.deferred += share->count;
    queue_share_wait(queue, share, retry_ms);
}

void queue_share_unroutable(struct queue *queue, struct queue_share *share, const struct queue_words *words,
                            bool for_good)
{
    const struct queue_reason *reason = queue_reason_ref(queue, words);
    struct queue_report *report = for_good ? report_new(share->message, QUEUE_REPORT_FAILED, share->count) : NULL;
    queue_share_rest(queue, share);
    if (!for_good || !report) {
        share_defer(queue, share, reason, true);
    } else {
        share_fails(queue, share, reason, report);
        if (report->count)
            report_send(queue, report);
        else
            queue_report_free(queue, report);
    }
    queue_reason_unref(queue, reason);
}

void queue_owe_again(struct queue *queue, struct queue_share *share, enum queue_report_kind kind)
{
    struct queue_report *report = report_new(share->message, kind, share->count);
    if (!report)
        return;
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    for (uint32_t i = 0; i < share->count; i++)
        report_tell(report, &rcpts[i], share->last);
    report_add_share(queue, report, share);
    report_send(queue, report);
}

/* -- the outcome of a lease -- */

static const struct queue_reason *reason_of(struct queue *queue, const struct lease_outcome *outcome,
                                            const struct outcome_recipient *recipient)
{
    struct queue_words words = { .code = recipient->code, .host = outcome->host, .address = outcome->address,
                                 .text = recipient->text };
    memcpy(words.enhanced, recipient->enhanced, sizeof words.enhanced);
    return queue_reason_ref(queue, &words);
}

/* False: it says what cannot be; what was said up to there counts. */
static bool results_read(struct queue *queue, struct queue_lease *lease, const struct lease_outcome *outcome)
{
    struct wire_reader reader = wire_read(outcome->recipients);
    uint32_t cursor = 0;
    if (outcome->recipient_count != lease->count)
        return false;
    for (uint32_t i = 0; i < outcome->recipient_count; i++) {
        struct outcome_recipient recipient;
        if (!outcome_recipient_get(&reader, &recipient) || recipient.result > OUTCOME_RELAYED)
            return false;
        struct queue_leased *entry = queue_lease_entry(lease, recipient.index, &cursor);
        if (!entry || entry->told)
            return false;
        entry->told = true;
        entry->result = recipient.result;
        if (recipient.result != OUTCOME_DELIVERED)
            entry->reason = reason_of(queue, outcome, &recipient);
    }
    return wire_end(&reader);
}

static uint8_t class_of(const struct queue *queue, const struct queue_message *message, const struct queue_leased *entry,
                        uint8_t notify)
{
    bool success = (notify & NOTIFY_SUCCESS) && !(message->flags & QUEUE_MESSAGE_NULL_SENDER);
    if (!entry->told)
        return STAYS;
    switch (entry->result) {
    case OUTCOME_DELIVERED:
        return ENDS; /* the next server reports, as it was asked to */
    case OUTCOME_CAUGHT:
        return success ? OWES_DELIVERED : ENDS;
    case OUTCOME_RELAYED:
        return success ? OWES_RELAYED : ENDS;
    case OUTCOME_FAILED:
        return owes_failure(queue, message, notify) ? FAILS : FAILS_SILENTLY;
    default:
        return STAYS;
    }
}

/* The reports that one lease's outcome leads to. */
struct outcome_reports {
    struct queue_report *failed, *delivered, *relayed;
};

static struct queue_report **report_for(struct outcome_reports *reports, uint8_t class)
{
    return class == FAILS ? &reports->failed : class == OWES_DELIVERED ? &reports->delivered : &reports->relayed;
}

static const struct queue_reason *told_of(struct queue_lease *lease, const struct queue_rcpt *rcpt, uint32_t *cursor)
{
    const struct queue_leased *entry = queue_lease_entry(lease, rcpt->index, cursor);
    return entry ? entry->reason : NULL;
}

/* Cuts those of the class out of the share and puts them into their report. True: the share went there whole.
 * Without memory they stay: they wait and are tried again. */
static bool share_report_class(struct queue *queue, struct queue_lease *lease, struct queue_share *share, uint8_t *class,
                               uint8_t which, struct outcome_reports *reports)
{
    static const enum queue_report_kind kinds[] = { [FAILS] = QUEUE_REPORT_FAILED,
                                                    [OWES_DELIVERED] = QUEUE_REPORT_DELIVERED,
                                                    [OWES_RELAYED] = QUEUE_REPORT_RELAYED };
    struct queue_report **report = report_for(reports, which);
    if (!*report && !(*report = report_new(share->message, kinds[which], lease->count)))
        return false;
    struct queue_share *part = queue_share_split(queue, share, class, which);
    if (!part)
        return false;
    uint32_t cursor = 0;
    const struct queue_rcpt *rcpts = queue_share_rcpts(part);
    for (uint32_t i = 0; i < part->count; i++)
        report_tell(*report, &rcpts[i], told_of(lease, &rcpts[i], &cursor));
    keep_reason(queue, part, queue_reason_again((*report)->told[(*report)->count - 1].reason));
    if (which != FAILS) {
        part->flags |= which == OWES_RELAYED ? QUEUE_SHARE_RELAYED : QUEUE_SHARE_DELIVERED;
        struct queue_entry entry = { .kind = QUEUE_ENTRY_OWED, .how = (uint8_t)kinds[which],
                                     .words = queue_reason_words(part->last) };
        journal_class(queue, part, NULL, 0, &entry);
    }
    report_add_share(queue, *report, part);
    return part == share;
}

/* What is left of the share waits, unless nothing is. */
static void share_rest_settle(struct queue *queue, struct queue_lease *lease, struct queue_share *share, uint8_t *class,
                              bool counts)
{
    journal_ended(queue, share, class, ENDS, QUEUE_ENDED_DELIVERED);
    if (queue_share_drop(queue, share, class, ENDS))
        return;
    for (uint32_t i = 0; i < share->count; i++)
        if (class[i] == FAILS_SILENTLY) {
            uint32_t cursor = 0;
            log_silent(queue, share, "dropped", told_of(lease, queue_share_rcpts(share) + i, &cursor));
            break;
        }
    journal_ended(queue, share, class, FAILS_SILENTLY, QUEUE_ENDED_FAILED);
    if (queue_share_drop(queue, share, class, FAILS_SILENTLY))
        return;
    uint32_t cursor = 0;
    share_defer(queue, share, told_of(lease, queue_share_rcpts(share), &cursor), counts);
}

static void share_settle(struct queue *queue, struct queue_lease *lease, struct queue_share *share,
                         const struct queue_leased *entries, bool counts, struct outcome_reports *reports)
{
    uint8_t class[WIRE_LEASE_RECIPIENTS_MAX];
    uint32_t n[OWES_RELAYED + 1] = { 0 };
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    for (uint32_t i = 0; i < share->count; i++) {
        class[i] = class_of(queue, share->message, &entries[i], rcpts[i].notify);
        n[class[i]]++;
    }
    queue->counts.delivered += n[ENDS] + n[OWES_DELIVERED] + n[OWES_RELAYED];
    queue->counts.failed += n[FAILS] + n[FAILS_SILENTLY];
    queue_share_unlease(queue, share);
    for (uint8_t which = FAILS; which <= OWES_RELAYED; which++)
        if (n[which] && share_report_class(queue, lease, share, class, which, reports))
            return;
    share_rest_settle(queue, lease, share, class, counts);
}

static void reports_send(struct queue *queue, struct outcome_reports *reports)
{
    struct queue_report *all[] = { reports->failed, reports->delivered, reports->relayed };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i] && all[i]->count)
            report_send(queue, all[i]);
        else if (all[i])
            queue_report_free(queue, all[i]);
    }
}

/* How the site behaved, with the words of a recipient that was put off or refused. */
static void site_learn(struct queue *queue, struct queue_lease *lease, uint8_t trouble)
{
    static const enum queue_met met[] = { [TROUBLE_NONE] = QUEUE_MET_GOOD, [TROUBLE_CONNECT] = QUEUE_MET_NOBODY,
                                          [TROUBLE_BUSY] = QUEUE_MET_BUSY, [TROUBLE_LOCAL] = QUEUE_MET_NOTHING };
    struct queue_words words = { 0 };
    for (uint32_t i = 0; i < lease->count && !words.text.n; i++)
        words = queue_reason_words(lease->leased[i].reason);
    queue_site_back(queue, lease->site, lease->delivery, trouble < ARRAY_LEN(met) ? met[trouble] : QUEUE_MET_NOTHING,
                    words.text.n ? &words : NULL);
}

static void lease_settle(struct queue *queue, struct queue_lease *lease, uint8_t trouble)
{
    struct outcome_reports reports = { 0 };
    const struct queue_leased *entries = lease->leased;
    for (struct list *link; (link = list_first(&lease->shares));) {
        struct queue_share *share = CONTAINER(link, struct queue_share, link);
        uint32_t count = share->count;
        share_settle(queue, lease, share, entries, trouble != TROUBLE_LOCAL, &reports);
        entries += count;
    }
    site_learn(queue, lease, trouble);
    queue_lease_end(queue, lease);
    reports_send(queue, &reports);
}

enum status queue_outcome(struct queue *queue, int64_t now_ms, unsigned delivery, const struct lease_outcome *outcome)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    struct queue_lease *lease = queue_lease_find(queue, delivery, outcome->lease);
    if (!lease)
        return STATUS_NOT_FOUND;
    bool good = results_read(queue, lease, outcome);
    lease_settle(queue, lease, good ? outcome->trouble : TROUBLE_LOCAL);
    queue_pump(queue);
    return good ? STATUS_OK : STATUS_DAMAGED;
}

#define LOST_FIRST_MS 1000 /* a message at which delivery dies must not make it die again at once, for ever */

void queue_lease_lost(struct queue *queue, struct queue_lease *lease)
{
    log_warning(queue->log, "lease-lost", LOG_ID(lease->message->id), LOG_INT("recipients", lease->count),
                LOG_INT("ms", queue->now_ms - lease->since_ms),
                LOG_STR("what", "a delivery process ended while it had this message; it may arrive twice"));
    queue->counts.lost_leases++;
    for (struct list *link; (link = list_first(&lease->shares));) {
        struct queue_share *share = CONTAINER(link, struct queue_share, link);
        queue_share_unlease(queue, share);
        int64_t after = MIN((int64_t)LOST_FIRST_MS << MIN(share->tries, 12), queue->settings->longest_retry_ms);
        if (share->tries < UINT16_MAX)
            share->tries++;
        queue_share_wait(queue, share, queue->now_ms + after);
    }
    queue_site_back(queue, lease->site, lease->delivery, QUEUE_MET_NOTHING, NULL);
    queue_lease_end(queue, lease);
}

/* -- reports come back -- */

static void hold_damaged(struct queue *queue, struct queue_share *share)
{
    struct queue_words by = { .host = SPAN("goniec"), .text = SPAN("its record is damaged, so its sender cannot be told") };
    struct queue_entry entry = { .kind = QUEUE_ENTRY_HELD, .who = by.host, .why = by.text };
    journal_class(queue, share, NULL, 0, &entry);
    queue_share_rest(queue, share);
    queue_share_hold(queue, share, &by);
}

static void report_share_end(struct queue *queue, struct queue_share *share, enum queue_report_kind kind)
{
    journal_ended(queue, share, NULL, 0, kind == QUEUE_REPORT_FAILED ? QUEUE_ENDED_FAILED : QUEUE_ENDED_DELIVERED);
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
        report_send(queue, report);
    }
}
