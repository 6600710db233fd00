#include "base/mutant.h"
#include "queue/accounts.h"
#include "queue/lease.h"
#include "queue/schedule.h"
#include "queue/settle_priv.h"

/* What is done with a recipient; each share's are sorted into these. */
enum { STAYS, ENDS, FAILS_SILENTLY, FAILS, OWES_DELIVERED, OWES_RELAYED };

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
    if (outcome->recipient_count != lease->count && !lease->held_as)
        return false;
    for (uint32_t i = 0; i < outcome->recipient_count; i++) {
        struct outcome_recipient recipient;
        if (!outcome_recipient_get(&reader, &recipient) || recipient.result > OUTCOME_RELAYED)
            return false;
        struct queue_leased *entry = queue_lease_entry(lease, recipient.index, &cursor);
        if (!entry && lease->held_as)
            continue; /* it was known before the restart */
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
        return settle_owes_failure(queue, message, notify) ? FAILS : FAILS_SILENTLY;
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
    if (!*report && !(*report = settle_report_new(share->message, kinds[which], lease->count)))
        return false;
    struct queue_share *part = queue_share_split(queue, share, class, which);
    if (!part)
        return false;
    uint32_t cursor = 0;
    const struct queue_rcpt *rcpts = queue_share_rcpts(part);
    for (uint32_t i = 0; i < part->count; i++)
        settle_report_tell(*report, &rcpts[i], told_of(lease, &rcpts[i], &cursor));
    settle_keep_reason(queue, part, queue_reason_again((*report)->told[(*report)->count - 1].reason));
    if (which != FAILS) {
        part->flags |= which == OWES_RELAYED ? QUEUE_SHARE_RELAYED : QUEUE_SHARE_DELIVERED;
        struct queue_entry entry = { .kind = QUEUE_ENTRY_OWED, .how = (uint8_t)kinds[which],
                                     .words = queue_reason_words(part->last) };
        settle_journal(queue, part, NULL, 0, &entry);
    }
    if (MUTANT(BOUNCE_CLOSED_EARLY) && which == FAILS)
        settle_journal_ended(queue, part, NULL, 0, QUEUE_ENDED_FAILED);
    settle_report_add(queue, *report, part);
    return part == share;
}

/* What is left of the share waits, unless nothing is. */
static void share_rest_settle(struct queue *queue, struct queue_lease *lease, struct queue_share *share, uint8_t *class,
                              bool counts)
{
    settle_journal_ended(queue, share, class, ENDS, QUEUE_ENDED_DELIVERED);
    if (queue_share_drop(queue, share, class, ENDS))
        return;
    for (uint32_t i = 0; i < share->count; i++)
        if (class[i] == FAILS_SILENTLY) {
            uint32_t cursor = 0;
            settle_log_silent(queue, share, "dropped", told_of(lease, queue_share_rcpts(share) + i, &cursor));
            break;
        }
    settle_journal_ended(queue, share, class, FAILS_SILENTLY, QUEUE_ENDED_FAILED);
    if (queue_share_drop(queue, share, class, FAILS_SILENTLY))
        return;
    uint32_t cursor = 0;
    settle_defer(queue, share, told_of(lease, queue_share_rcpts(share), &cursor), counts);
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
    if (n[FAILS] + n[FAILS_SILENTLY])
        queue_account_failed(queue, share->message, n[FAILS] + n[FAILS_SILENTLY]);
    queue_share_unlease(queue, share);
    for (unsigned which = FAILS; which <= OWES_RELAYED; which++)
        if (n[which] && share_report_class(queue, lease, share, class, (uint8_t)which, reports))
            return;
    share_rest_settle(queue, lease, share, class, counts);
}

static void reports_send(struct queue *queue, struct outcome_reports *reports)
{
    struct queue_report *all[] = { reports->failed, reports->delivered, reports->relayed };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i] && all[i]->count)
            settle_report_send(queue, all[i]);
        else if (all[i])
            queue_report_free(queue, all[i]);
    }
}

/* Over, and how the site behaved, with the words of a recipient that was put off or refused. */
static void lease_over(struct queue *queue, struct queue_lease *lease, uint8_t trouble)
{
    static const enum queue_met met[] = { [TROUBLE_NONE] = QUEUE_MET_GOOD, [TROUBLE_CONNECT] = QUEUE_MET_NOBODY,
                                          [TROUBLE_BUSY] = QUEUE_MET_BUSY, [TROUBLE_LOCAL] = QUEUE_MET_NOTHING };
    struct queue_words words = { 0 };
    for (uint32_t i = 0; i < lease->count && !words.text.n; i++)
        words = queue_reason_words(lease->leased[i].reason);
    queue_lease_over(queue, lease, trouble < ARRAY_LEN(met) ? met[trouble] : QUEUE_MET_NOTHING, words.text.n ? &words : NULL);
}

static void lease_settle(struct queue *queue, struct queue_lease *lease, uint8_t trouble)
{
    struct outcome_reports reports = { 0 };
    uint64_t id = lease->message->id;
    const struct queue_leased *entries = lease->leased;
    for (struct list *link; (link = list_first(&lease->shares));) {
        struct queue_share *share = CONTAINER(link, struct queue_share, link);
        uint32_t count = share->count;
        share_settle(queue, lease, share, entries, trouble != TROUBLE_LOCAL, &reports);
        entries += count;
    }
    lease_over(queue, lease, trouble);
    reports_send(queue, &reports);
    settle_report_complete(queue, id);
}

enum status queue_outcome(struct queue *queue, int64_t now_ms, unsigned delivery, const struct lease_outcome *outcome)
{
    queue->now_ms = MAX(queue->now_ms, now_ms);
    struct queue_lease *lease = queue_lease_find(queue, delivery, outcome->lease);
    if (!lease) /* of a lease from before our start perhaps nobody was left */
        return outcome->lease & LEASE_HELD_BIT ? STATUS_OK : STATUS_NOT_FOUND;
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
    queue_lease_over(queue, lease, QUEUE_MET_NOTHING, NULL);
}
