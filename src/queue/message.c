#include "base/hash.h"
#include "base/id.h"
#include "base/mutant.h"
#include "queue/accounts.h"
#include "queue/schedule.h"
#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)
#define WAIT_MOST_S (31u * 24 * 3600) /* whatever its writer says */

const char *queue_place_name(enum queue_place place)
{
    static const char *const names[] = {
        [QUEUE_DUE] = "waiting", [QUEUE_RESOLVING] = "resolving", [QUEUE_READY] = "ready",
        [QUEUE_LEASED] = "delivering", [QUEUE_HELD] = "held", [QUEUE_REPORTING] = "reporting",
        [QUEUE_SUSPENDED] = "suspended",
    };
    return place < QUEUE_PLACE_COUNT ? names[place] : "?";
}

static bool segment_is(const struct map_node *node, const void *key)
{
    return CONTAINER(node, const struct queue_log_segment, node)->number == *(const uint32_t *)key;
}

struct queue_log_segment *queue_segment_find(const struct queue *queue, uint32_t number)
{
    struct map_node *node = map_find(&queue->segments, hash_u64(number), segment_is, &number);
    return node ? CONTAINER(node, struct queue_log_segment, node) : NULL;
}

struct queue_log_segment *queue_segment_add(struct queue *queue, uint32_t number, uint64_t epoch, uint32_t size,
                                            int writer)
{
    struct queue_log_segment *segment = calloc(1, sizeof *segment);
    if (!segment)
        return NULL;
    segment->number = number;
    segment->epoch = epoch;
    segment->size = size;
    segment->writer = writer;
    list_init(&segment->messages);
    if (map_add(&queue->segments, &segment->node, hash_u64(number)) != STATUS_OK) {
        free(segment);
        return NULL;
    }
    return segment;
}

void queue_segment_forget(struct queue *queue, struct queue_log_segment *segment)
{
    map_remove(&queue->segments, &segment->node);
    free(segment);
}

static void tell_if_empty(struct queue *queue, struct queue_log_segment *segment)
{
    if (segment->living || !segment->sealed || segment->unread || segment->empty_told || queue->recovering)
        return;
    segment->empty_told = true;
    queue->acts->segment_empty(queue->arg, segment);
}

void queue_segment_sealed(struct queue *queue, struct queue_log_segment *segment)
{
    segment->sealed = true;
    segment->writer = -1;
    tell_if_empty(queue, segment);
}

static void segment_enter(struct queue *queue, struct queue_log_segment *segment, struct queue_message *message)
{
    message->segment = segment;
    list_add_last(&segment->messages, &message->in_segment);
    segment->living++;
    segment->living_octets += message->length;
    segment->oldest = segment->oldest ? MIN(segment->oldest, message->id) : message->id;
    segment->newest = MAX(segment->newest, message->id);
    if (message->flags & QUEUE_MESSAGE_NULL_SENDER)
        return;
    message->account->waiting++;
    message->account->octets += queue_message_octets(message);
    queue_account_changed(queue, message->account);
}

static void segment_leave(struct queue *queue, struct queue_message *message)
{
    struct queue_log_segment *segment = message->segment;
    if (segment->reading == &message->in_segment)
        segment->reading = message->in_segment.next;
    list_remove(&message->in_segment);
    segment->living--;
    segment->living_octets -= message->length;
    if (!(message->flags & QUEUE_MESSAGE_NULL_SENDER)) {
        message->account->waiting--;
        message->account->octets -= queue_message_octets(message);
        queue_account_changed(queue, message->account);
    }
    tell_if_empty(queue, segment);
}

void queue_message_move(struct queue *queue, struct queue_message *message, struct queue_log_segment *to, uint32_t offset,
                        uint32_t length)
{
    segment_leave(queue, message);
    message->offset = offset;
    message->length = length;
    segment_enter(queue, to, message);
}

static bool message_is(const struct map_node *node, const void *key)
{
    return CONTAINER(node, const struct queue_message, node)->id == *(const uint64_t *)key;
}

struct queue_message *queue_message_find(const struct queue *queue, uint64_t id)
{
    struct map_node *node = map_find(&queue->messages, hash_u64(id), message_is, &id);
    return node ? CONTAINER(node, struct queue_message, node) : NULL;
}

/* -- recipients of a share: one lies in it, more in an array -- */

static void rcpts_free(struct queue_share *share)
{
    if (share->count > 1)
        free(share->many);
}

/* One more; arrays grow by doubling, so that their room is known from their count. */
bool queue_rcpt_add(struct queue_share *share, struct queue_rcpt rcpt)
{
    uint32_t n = share->count;
    if (n == 0) {
        share->one = rcpt;
    } else if (n == 1) {
        struct queue_rcpt *many = malloc(2 * sizeof *many);
        if (!many)
            return false;
        many[0] = share->one;
        many[1] = rcpt;
        share->many = many;
    } else {
        if ((n & (n - 1)) == 0) {
            struct queue_rcpt *many = realloc(share->many, (size_t)2 * n * sizeof *many);
            if (!many)
                return false;
            share->many = many;
        }
        share->many[n] = rcpt;
    }
    share->count++;
    return true;
}

/* Leaves `n` of them: the array shrinks in place. */
static void rcpts_shrink(struct queue_share *share, uint32_t n)
{
    if (share->count > 1 && n <= 1) {
        struct queue_rcpt *many = share->many;
        if (n == 1)
            share->one = many[0];
        free(many);
    }
    share->count = n;
}

/* Removes those of the class; `taken`, where there is room for them, gets them. Returns how many stay. */
static uint32_t rcpts_sift(struct queue_share *share, uint8_t *class, uint8_t which, struct queue_rcpt *taken)
{
    struct queue_rcpt *rcpts = queue_share_rcpts(share);
    uint32_t stay = 0, gone = 0;
    for (uint32_t i = 0; i < share->count; i++) {
        if (class[i] == which) {
            if (taken)
                taken[gone++] = rcpts[i];
            continue;
        }
        rcpts[stay] = rcpts[i];
        class[stay++] = class[i];
    }
    return stay;
}

static uint32_t class_count(const struct queue_share *share, const uint8_t *class, uint8_t which)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < share->count; i++)
        n += class[i] == which;
    return n;
}

static struct queue_share *share_like(struct queue *queue, struct queue_share *share, uint32_t count)
{
    struct queue_share *twin = slab_take(&queue->share_slab);
    if (!twin)
        return NULL;
    list_init(&twin->link);
    twin->count = count;
    if (count > 1) {
        size_t room = 2;
        while (room < count)
            room *= 2;
        twin->many = malloc(room * sizeof *twin->many);
        if (!twin->many) {
            slab_give(&queue->share_slab, twin);
            return NULL;
        }
    }
    twin->message = share->message;
    twin->domain = share->domain;
    twin->domain->refs++;
    twin->last = queue_reason_again(share->last);
    twin->retry_ms = share->retry_ms;
    twin->tries = share->tries;
    twin->flags = share->flags;
    twin->place = QUEUE_HELD;
    if (twin->flags & QUEUE_SHARE_HELD)
        twin->held = queue_reason_again(share->held);
    twin->prev = share;
    twin->next = share->next;
    if (twin->next)
        twin->next->prev = twin;
    share->next = twin;
    return twin;
}

struct queue_share *queue_share_split(struct queue *queue, struct queue_share *share, uint8_t *class, uint8_t which)
{
    uint32_t n = class_count(share, class, which);
    if (n == 0 || n == share->count)
        return n ? share : NULL;
    struct queue_share *twin = share_like(queue, share, n);
    if (!twin)
        return NULL;
    uint32_t stay = rcpts_sift(share, class, which, queue_share_rcpts(twin));
    rcpts_shrink(share, stay);
    return twin;
}

static void share_free(struct queue *queue, struct queue_share *share)
{
    rcpts_free(share);
    if (share->flags & QUEUE_SHARE_HELD)
        queue_reason_unref(queue, share->held);
    queue_domain_unref(queue, share->domain);
    queue_reason_unref(queue, share->last);
    slab_give(&queue->share_slab, share);
}

static void message_free(struct queue *queue, struct queue_message *message)
{
    map_remove(&queue->messages, &message->node);
    segment_leave(queue, message);
    if (message->body && !queue->recovering)
        queue->acts->body_unused(queue->arg, message->body);
    message->account->messages--;
    queue_account_unref(queue, message->account);
    slab_give(&queue->message_slab, message);
}

static void count_less(struct queue *queue, struct queue_share *share, uint32_t n)
{
    queue->recipients -= n;
    queue->by_place[share->place] -= n;
    share->message->living -= n;
}

void queue_share_end(struct queue *queue, struct queue_share *share)
{
    struct queue_message *message = share->message;
    count_less(queue, share, share->count);
    if (share->next)
        share->next->prev = share->prev;
    if (share->prev)
        share->prev->next = share->next;
    else
        message->shares = share->next;
    share_free(queue, share);
    if (!message->shares)
        message_free(queue, message);
}

bool queue_share_drop(struct queue *queue, struct queue_share *share, uint8_t *class, uint8_t which)
{
    uint32_t n = class_count(share, class, which);
    if (n == share->count) {
        queue_share_end(queue, share);
        return true;
    }
    if (n) {
        count_less(queue, share, n);
        rcpts_shrink(share, rcpts_sift(share, class, which, NULL));
    }
    return false;
}

void queue_message_forget(struct queue *queue, struct queue_message *message)
{
    while (message->shares->next) {
        queue_share_rest(queue, message->shares);
        queue_share_end(queue, message->shares);
    }
    queue_share_rest(queue, message->shares);
    queue_share_end(queue, message->shares);
}

/* -- a new message -- */

/* What stands behind the last "@", in lower case; our own name for a bare postmaster. */
static bool domain_of(const struct queue *queue, struct span address, char lower[WIRE_DOMAIN_MAX], struct span *ret)
{
    size_t at = span_rfind(address, '@');
    struct span domain = at < address.n ? span_from(address, at + 1) : queue->hostname;
    if (domain.n > WIRE_DOMAIN_MAX || address.n == 0 || address.n > WIRE_ADDRESS_MAX)
        return false;
    for (size_t i = 0; i < domain.n; i++)
        lower[i] = ascii_lower(domain.p[i]);
    *ret = span_of(lower, domain.n);
    return true;
}

/* Takes over one reference to the domain. */
static struct queue_share *share_begin(struct queue *queue, struct queue_message *message, struct queue_domain *domain,
                                       int64_t after_ms)
{
    struct queue_share *share = slab_take(&queue->share_slab);
    if (!share) {
        queue_domain_unref(queue, domain);
        return NULL;
    }
    list_init(&share->link);
    share->message = message;
    share->domain = domain;
    share->place = QUEUE_HELD;
    share->retry_ms = after_ms;
    share->flags = after_ms ? QUEUE_SHARE_LATE : 0;
    share->next = message->shares;
    message->shares = share;
    return share;
}

struct queue_share *queue_share_begin(struct queue *queue, struct queue_message *message, struct span domain,
                                      struct span route)
{
    struct queue_domain *known = queue_domain_ref(queue, domain, route);
    return known ? share_begin(queue, message, known, 0) : NULL;
}

static enum status recipient_add(struct queue *queue, struct queue_message *message, const struct writer_recipient *from,
                                 uint32_t index)
{
    char lower[WIRE_DOMAIN_MAX];
    struct span name;
    if (!domain_of(queue, from->address, lower, &name))
        return STATUS_DAMAGED;
    struct queue_domain *domain = queue_domain_ref(queue, name, SPAN_NONE);
    if (!domain)
        return STATUS_MEMORY;
    struct queue_share *share = domain->filling;
    int64_t after_ms = from->wait_s ? id_time_wall_ms(message->id) + (int64_t)MIN(from->wait_s, WAIT_MOST_S) * TIME_SECOND_MS : 0;
    if (!share || share->retry_ms != after_ms || share->count >= (uint32_t)queue->settings->recipients_per_transaction)
        domain->filling = share = share_begin(queue, message, domain, after_ms);
    else
        domain->refs--; /* the share has one already, so this is not the last */
    struct queue_rcpt rcpt = { .index = index, .notify = from->notify };
    if (!share || !queue_rcpt_add(share, rcpt))
        return STATUS_MEMORY;
    if (queue->postmaster.n && span_eq_case(from->address, queue->postmaster))
        message->flags |= QUEUE_MESSAGE_POSTMASTER;
    return STATUS_OK;
}

/* Recipients came in order; shares were put in front, so turn them round. */
static void shares_settle(struct queue *queue, struct queue_message *message)
{
    struct queue_share *turned = NULL;
    for (struct queue_share *share = message->shares, *next; share; share = next) {
        next = share->next;
        share->domain->filling = NULL;
        share->next = turned;
        share->prev = NULL;
        if (turned)
            turned->prev = share;
        turned = share;
        message->living += share->count;
        queue->recipients += share->count;
        queue->by_place[QUEUE_HELD] += share->count;
    }
    message->shares = turned;
}

static enum status recipients_add(struct queue *queue, struct queue_message *message,
                                  const struct queue_arrival *arrival)
{
    struct wire_reader reader = wire_read(arrival->recipients);
    for (uint32_t i = 0; i < arrival->recipient_count; i++) {
        struct writer_recipient recipient;
        if (!writer_recipient_get(&reader, &recipient))
            return STATUS_DAMAGED;
        if (MUTANT(RECIPIENT_FORGOTTEN) && i > 0 && i + 1 == arrival->recipient_count)
            break;
        enum status status = recipient_add(queue, message, &recipient, i);
        if (status != STATUS_OK)
            return status;
    }
    return wire_end(&reader) ? STATUS_OK : STATUS_DAMAGED;
}

static void shares_undo(struct queue *queue, struct queue_message *message)
{
    while (message->shares) {
        struct queue_share *share = message->shares;
        message->shares = share->next;
        share->domain->filling = NULL;
        share_free(queue, share);
    }
}

struct queue_message *queue_message_begin(struct queue *queue, uint64_t id, struct span account)
{
    struct queue_message *message = slab_take(&queue->message_slab);
    if (!message)
        return NULL;
    message->id = id;
    list_init(&message->in_segment);
    message->account = queue_account_ref(queue, account);
    if (!message->account) {
        slab_give(&queue->message_slab, message);
        return NULL;
    }
    message->account->messages++;
    return message;
}

void queue_message_undo(struct queue *queue, struct queue_message *message)
{
    shares_undo(queue, message);
    message->account->messages--;
    queue_account_unref(queue, message->account);
    slab_give(&queue->message_slab, message);
}

/* Its shares are complete: into the tables. */
enum status queue_message_enter(struct queue *queue, struct queue_message *message, struct queue_log_segment *segment)
{
    enum status status = map_add(&queue->messages, &message->node, hash_u64(message->id));
    if (status != STATUS_OK)
        return status;
    segment_enter(queue, segment, message);
    shares_settle(queue, message);
    return STATUS_OK;
}

static enum status arrival_check(const struct queue *queue, const struct queue_arrival *arrival,
                                 struct queue_log_segment **ret)
{
    struct queue_log_segment *segment = queue_segment_find(queue, arrival->segment);
    if (!segment)
        return STATUS_NOT_FOUND;
    if (arrival->id == 0 || arrival->recipient_count == 0 || arrival->recipient_count > WIRE_RECIPIENTS_MAX ||
        arrival->offset > segment->size || arrival->length > segment->size - arrival->offset)
        return STATUS_DAMAGED;
    if (queue_message_find(queue, arrival->id))
        return STATUS_EXISTS;
    *ret = segment;
    return STATUS_OK;
}

enum status queue_message_add(struct queue *queue, const struct queue_arrival *arrival, struct queue_message **ret)
{
    struct queue_log_segment *segment;
    enum status status = arrival_check(queue, arrival, &segment);
    if (status != STATUS_OK)
        return status;
    struct queue_message *message = queue_message_begin(queue, arrival->id, arrival->account);
    if (!message)
        return STATUS_MEMORY;
    message->body = arrival->body;
    message->offset = arrival->offset;
    message->length = arrival->length;
    message->recipients = (uint16_t)MIN(arrival->recipient_count, UINT16_MAX);
    message->flags = arrival->sender.n ? 0 : QUEUE_MESSAGE_NULL_SENDER;
    if (arrival->body)
        message->flags |= (uint16_t)(QUEUE_MESSAGE_BODY * MIN((arrival->octets + MIB - 1) / MIB, UINT16_MAX / QUEUE_MESSAGE_BODY));
    status = recipients_add(queue, message, arrival);
    if (status == STATUS_OK)
        status = queue_message_enter(queue, message, segment);
    if (status != STATUS_OK) {
        queue_message_undo(queue, message);
        return status;
    }
    *ret = message;
    return STATUS_OK;
}
