#include "queue/recover.h"
#include "base/hash.h"
#include "base/mutant.h"
#include "base/order.h"
#include "queue/checkpoint.h"
#include "queue/retry.h"
#include "queue/schedule.h"
#include "queue/settle.h"
#include <stdlib.h>

#define LIMBO UINT32_MAX

/* What the journal says about a message that has ended or whose record was not found yet. */
struct fate {
    struct map_node node;
    uint64_t id;
    uint32_t first, last;        /* entries in `kept`, from 1; 0: none */
    bool ended;
};

struct kept_head {
    uint32_t next;               /* from 1; 0: the last */
    uint32_t octets;
    uint8_t kind;
};

#define KEPT_MAX ((size_t)1 << 31)

static bool fate_is(const struct map_node *node, const void *key)
{
    return CONTAINER(node, const struct fate, node)->id == *(const uint64_t *)key;
}

static struct fate *fate_find(struct queue_recovery *recovery, uint64_t id)
{
    struct map_node *node = map_find(&recovery->fates, hash_u64(id), fate_is, &id);
    return node ? CONTAINER(node, struct fate, node) : NULL;
}

static struct fate *fate_ref(struct queue_recovery *recovery, uint64_t id)
{
    struct fate *fate = fate_find(recovery, id);
    if (fate || !(fate = slab_take(&recovery->fate_slab)))
        return fate;
    fate->id = id;
    if (map_add(&recovery->fates, &fate->node, hash_u64(id)) == STATUS_OK)
        return fate;
    slab_give(&recovery->fate_slab, fate);
    return NULL;
}

static enum status keep(struct queue_recovery *recovery, uint64_t id, uint8_t kind, struct span content)
{
    struct fate *fate = fate_ref(recovery, id);
    if (!fate || recovery->kept.n + sizeof(struct kept_head) + content.n > UINT32_MAX)
        return STATUS_MEMORY;
    if (fate->ended)
        return STATUS_OK;
    struct kept_head head = { 0, (uint32_t)content.n, kind };
    uint32_t at = (uint32_t)recovery->kept.n + 1;
    if (buf_add(&recovery->kept, span_of(&head, sizeof head)) != STATUS_OK ||
        buf_add(&recovery->kept, content) != STATUS_OK)
        return STATUS_MEMORY;
    if (fate->last)
        memcpy(recovery->kept.p + fate->last - 1 + offsetof(struct kept_head, next), &at, sizeof at);
    else
        fate->first = at;
    fate->last = at;
    return STATUS_OK;
}

/* -- what entries do -- */

enum { OTHER, CHOSEN };

static bool share_choose(struct queue_share *share, const uint32_t *indexes, uint32_t count, uint8_t *class)
{
    const struct queue_rcpt *rcpts = queue_share_rcpts(share);
    bool any = false;
    for (uint32_t i = 0; i < share->count; i++) {
        bool chosen = bsearch(&rcpts[i].index, indexes, count, sizeof *indexes, order_u32) != NULL;
        class[i] = chosen ? CHOSEN : OTHER;
        any |= chosen;
    }
    return any;
}

static void defer_again(struct queue *queue, struct queue_share *share, const struct queue_entry *entry)
{
    queue_reason_unref(queue, share->last);
    share->last = queue_reason_keep(queue, queue_reason_ref(queue, &entry->words));
    share->tries = entry->tries;
    share->retry_ms = entry->retry_ms;
    share->flags &= (uint8_t)~QUEUE_SHARE_LATE;
}

static void reroute(struct queue *queue, struct queue_share *share, struct span route)
{
    struct queue_domain *before = share->domain;
    struct queue_domain *after = queue_domain_ref(queue, queue_domain_name(before), route);
    if (!after)
        return;
    share->domain = after;
    queue_domain_unref(queue, before);
}

static void hold(struct queue *queue, struct queue_share *share, const struct queue_entry *entry)
{
    queue_share_hold(queue, share, &(struct queue_words){ .host = entry->who, .text = entry->why });
}

/* One share, at rest, that the entry is about as a whole. True: it is gone. */
static bool share_apply(struct queue *queue, struct queue_share *share, const struct queue_entry *entry)
{
    switch (entry->kind) {
    case QUEUE_ENTRY_ENDED:
    case QUEUE_ENTRY_DELETED:
        queue_share_end(queue, share);
        return true;
    case QUEUE_ENTRY_DEFERRED:
        defer_again(queue, share, entry);
        break;
    case QUEUE_ENTRY_NOTICED:
        share->flags |= QUEUE_SHARE_NOTICED;
        break;
    case QUEUE_ENTRY_OWED:
        share->flags |= entry->how == QUEUE_REPORT_RELAYED ? QUEUE_SHARE_RELAYED : QUEUE_SHARE_DELIVERED;
        queue_reason_unref(queue, share->last);
        share->last = queue_reason_ref(queue, &entry->words);
        break;
    case QUEUE_ENTRY_HELD:
        if (!MUTANT(HOLD_FORGOTTEN) || !queue->recovering)
            hold(queue, share, entry);
        break;
    case QUEUE_ENTRY_RELEASED:
        queue_share_release(queue, share);
        share->retry_ms = 0;
        break;
    case QUEUE_ENTRY_REROUTED:
        reroute(queue, share, entry->route);
        share->retry_ms = 0;
        break;
    default:
        break;
    }
    return false;
}

static void part_apply(struct queue *queue, struct queue_share *share, uint8_t *class, const struct queue_entry *entry)
{
    if (share->place != QUEUE_HELD)
        queue_share_rest(queue, share);
    struct queue_share *part = queue_share_split(queue, share, class, CHOSEN);
    if (part && part != share)
        queue_share_resume(queue, share);
    if (!part) {
        queue_share_resume(queue, share);
        return;
    }
    if (!share_apply(queue, part, entry))
        queue_share_resume(queue, part);
}

static uint32_t indexes_apply(struct queue *queue, struct queue_message *message, const struct queue_entry *entry,
                              const uint32_t *indexes)
{
    uint32_t busy = 0;
    uint32_t left = message->living;
    for (struct queue_share *next, *share = message->shares; share && left; share = next) {
        uint8_t class[WIRE_LEASE_RECIPIENTS_MAX];
        next = share->next;
        left -= MIN(left, share->count);
        bool last = !next;
        if (share->count > ARRAY_LEN(class) || !share_choose(share, indexes, entry->count, class))
            continue;
        if (share->place == QUEUE_LEASED || share->place == QUEUE_REPORTING)
            busy += share->count;
        else
            part_apply(queue, share, class, entry);
        if (last)
            break;
    }
    return busy;
}

uint32_t queue_entry_apply(struct queue *queue, struct queue_message *message, const struct queue_entry *entry)
{
    uint32_t few[64], *indexes = few, busy = 0;
    if (entry->count > ARRAY_LEN(few) && !(indexes = malloc(entry->count * sizeof *indexes)))
        return entry->count;
    bool sorted = true;
    for (uint32_t i = 0; i < entry->count; i++) {
        indexes[i] = entry->indexes ? entry->indexes[i] : queue_entry_index(entry, i);
        sorted &= i == 0 || indexes[i - 1] <= indexes[i];
    }
    if (!sorted)
        qsort(indexes, entry->count, sizeof *indexes, order_u32);
    busy = indexes_apply(queue, message, entry, indexes);
    if (indexes != few)
        free(indexes);
    return busy;
}

static void move(struct queue_recovery *recovery, struct queue_message *message, const struct queue_entry *entry)
{
    struct queue_log_segment *to = queue_segment_find(recovery->queue, entry->segment);
    if (to && entry->offset <= to->size && entry->length <= to->size - entry->offset)
        queue_message_move(recovery->queue, message, to, entry->offset, entry->length);
}

static void apply(struct queue_recovery *recovery, struct queue_message *message, const struct queue_entry *entry)
{
    if (entry->kind == QUEUE_ENTRY_MOVED)
        move(recovery, message, entry);
    else
        queue_entry_apply(recovery->queue, message, entry);
}

/* -- the three steps -- */

enum status queue_recover_begin(struct queue_recovery *recovery, struct queue *queue)
{
    *recovery = (struct queue_recovery){ .queue = queue, .fates = MAP_EMPTY, .fate_slab = SLAB_OF(struct fate),
                                         .kept = BUF_EMPTY(KEPT_MAX) };
    queue->recovering = true;
    recovery->limbo = queue_segment_add(queue, LIMBO, 0, UINT32_MAX, -1);
    return recovery->limbo ? STATUS_OK : STATUS_MEMORY;
}

static void segment_known(struct queue_recovery *recovery, const struct queue_entry *entry)
{
    struct queue_log_segment *segment = queue_segment_find(recovery->queue, entry->segment);
    if (segment && segment->epoch == entry->epoch && entry->known < segment->size)
        segment->covered = segment->known = MAX(segment->known, entry->known);
}

static enum status message_known(struct queue_recovery *recovery, uint64_t id, struct span content)
{
    struct fate *fate = fate_find(recovery, id);
    if (queue_message_find(recovery->queue, id) || (fate && fate->ended))
        return STATUS_OK;
    return queue_checkpoint_message_get(recovery->queue, id, content, recovery->limbo);
}

static enum status remember_end(struct queue_recovery *recovery, uint64_t id)
{
    if (queue_message_find(recovery->queue, id))
        return STATUS_OK;
    struct fate *fate = fate_ref(recovery, id);
    if (!fate)
        return STATUS_MEMORY;
    fate->ended = true;
    return STATUS_OK;
}

bool queue_id_is_near(uint64_t id, uint64_t last, int64_t now_ms, int64_t slack_ms)
{
    int64_t ms = id_time_wall_ms(id);
    return ms <= now_ms + QUEUE_IDS_AHEAD_MS || ms <= id_time_wall_ms(last) + slack_ms;
}

static void id_raise(struct queue_recovery *recovery, uint64_t id)
{
    uint64_t *last = &recovery->last_ids[id_writer(id)];
    *last = MAX(*last, id);
}

/* After a clock that went back, another writer's highest says nothing about where this one's end. What a record says may
 * be somebody's invention; what was written since the checkpoint says where its ids ended may be a day of work. */
static void id_seen(struct queue_recovery *recovery, uint64_t id)
{
    if (queue_id_is_near(id, recovery->last_ids[id_writer(id)], recovery->queue->now_ms, QUEUE_IDS_AHEAD_MS))
        id_raise(recovery, id);
    else
        recovery->ahead++;
}

enum status queue_recover_entry(struct queue_recovery *recovery, uint8_t kind, uint64_t id, struct span content)
{
    struct queue_entry entry;
    recovery->entries++;
    if (kind == QUEUE_ENTRY_MESSAGE) {
        id_seen(recovery, id);
        enum status status = message_known(recovery, id, content);
        recovery->damaged += status == STATUS_DAMAGED;
        return status;
    }
    if (kind == QUEUE_ENTRY_WRITER && content.n == 0) {
        id_raise(recovery, id); /* a queue before us believed it */
        return STATUS_OK;
    }
    if (!queue_entry_get(kind, content, &entry)) {
        recovery->damaged++;
        return STATUS_DAMAGED;
    }
    if (kind == QUEUE_ENTRY_SEGMENT) {
        segment_known(recovery, &entry);
        return STATUS_OK;
    }
    id_seen(recovery, id);
    struct queue_message *message = queue_message_find(recovery->queue, id);
    if (!message)
        return keep(recovery, id, kind, content);
    apply(recovery, message, &entry);
    return remember_end(recovery, id);
}

static void apply_kept(struct queue_recovery *recovery, const struct fate *fate)
{
    for (uint32_t at = fate->first; at;) {
        struct kept_head head;
        struct queue_entry entry;
        memcpy(&head, recovery->kept.p + at - 1, sizeof head);
        struct span content = span_of(recovery->kept.p + at - 1 + sizeof head, head.octets);
        struct queue_message *message = queue_message_find(recovery->queue, fate->id);
        if (message && queue_entry_get(head.kind, content, &entry))
            apply(recovery, message, &entry);
        at = head.next;
    }
}

enum status queue_recover_found(struct queue_recovery *recovery, const struct queue_arrival *arrival)
{
    struct fate *fate = fate_find(recovery, arrival->id);
    struct queue_log_segment *segment = queue_segment_find(recovery->queue, arrival->segment);
    id_seen(recovery, arrival->id);
    if (segment)
        segment->known = MAX(segment->known, arrival->offset);
    if (fate && fate->ended)
        return STATUS_OK;
    struct queue_message *message;
    enum status status = queue_message_add(recovery->queue, arrival, &message);
    if (status != STATUS_OK) {
        recovery->damaged += status == STATUS_DAMAGED;
        return status == STATUS_EXISTS ? STATUS_OK : status;
    }
    recovery->found++;
    if (!fate)
        return STATUS_OK;
    apply_kept(recovery, fate);
    return remember_end(recovery, arrival->id);
}

/* Messages whose segment was given back: they had ended, or the journal's end is lost. */
static void limbo_empty(struct queue_recovery *recovery)
{
    struct queue *queue = recovery->queue;
    for (LIST_EACH(link, &recovery->limbo->messages)) {
        struct queue_message *message = CONTAINER(link, struct queue_message, in_segment);
        log_error(queue->log, "record-missing", LOG_ID(message->id),
                  LOG_STR("what", "the checkpoint names a message whose segment has been given back"));
        recovery->lost++;
        queue_message_forget(queue, message);
    }
    queue_segment_forget(queue, recovery->limbo);
}

/* We were not here when its time ran out, and what stood in its way may be gone: it is tried once more. */
static void share_last_chance(struct queue_share *share)
{
    share->flags |= QUEUE_SHARE_LAST;
    share->retry_ms = 0;
}

/* The clock was set back: nobody meant to wait longer than we ever do. */
static void share_not_too_late(const struct queue *queue, struct queue_share *share)
{
    int64_t longest_ms = queue->settings->longest_retry_ms / 100 * (100 + queue->settings->jitter);
    if (!(share->flags & QUEUE_SHARE_LATE))
        share->retry_ms = MIN(share->retry_ms, queue->now_ms + longest_ms);
}

static void message_resume(struct queue *queue, struct queue_message *message)
{
    bool is_late = queue->now_ms >= queue_expires_ms(queue->settings, message->id);
    for (struct queue_share *next, *share = message->shares; share; share = next) {
        next = share->next;
        share_not_too_late(queue, share);
        if (is_late && !((share->flags & QUEUE_SHARE_LATE) && share->retry_ms > queue->now_ms))
            share_last_chance(share);
        if (share->flags & (QUEUE_SHARE_DELIVERED | QUEUE_SHARE_RELAYED)) {
            queue_share_release(queue, share); /* only its report is left, which nobody holds */
            queue_owe_again(queue, share,
                            share->flags & QUEUE_SHARE_RELAYED ? QUEUE_REPORT_RELAYED : QUEUE_REPORT_DELIVERED);
        } else {
            queue_share_resume(queue, share);
        }
    }
}

void queue_recover_give_up(struct queue_recovery *recovery)
{
    map_done(&recovery->fates);
    slab_done(&recovery->fate_slab);
    buf_done(&recovery->kept);
}

void queue_recover_end(struct queue_recovery *recovery, int64_t now_ms)
{
    struct queue *queue = recovery->queue;
    queue->now_ms = MAX(queue->now_ms, now_ms);
    limbo_empty(recovery);
    queue->recovering = false;
    for (MAP_EACH(node, &queue->messages))
        message_resume(queue, CONTAINER(node, struct queue_message, node));
    for (MAP_EACH(node, &queue->segments)) {
        struct queue_log_segment *segment = CONTAINER(node, struct queue_log_segment, node);
        if (segment->sealed)
            queue_segment_sealed(queue, segment);
    }
    queue_recover_give_up(recovery);
}
