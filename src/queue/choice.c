#include "queue/choice.h"
#include "base/order.h"
#include <stdlib.h>

#define BATCH_LEAST 64u
#define BATCH_MOST 4096u

void choice_begin(struct choice *choice, struct queue *queue, const struct filter *filter, uint64_t after, uint64_t limit,
                  int64_t now_ms)
{
    *choice = (struct choice){ .queue = queue, .filter = filter, .after = after, .now_ms = now_ms };
    choice->room = (size_t)MIN(MAX(limit ? limit : BATCH_MOST, BATCH_LEAST), BATCH_MOST);
    for (MAP_EACH(node, &queue->segments))
        choice->until = MAX(choice->until, CONTAINER(node, struct queue_log_segment, node)->newest);
}

void choice_done(struct choice *choice)
{
    free(choice->ids);
    free(choice->segments);
    *choice = (struct choice){ 0 };
}

/* -- the smallest of many: a heap whose first is the greatest of those kept -- */

static void sink(uint64_t *ids, size_t n, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && ids[child + 1] > ids[child];
        if (ids[at] >= ids[child])
            return;
        uint64_t id = ids[at];
        ids[at] = ids[child];
        ids[child] = id;
    }
}

static void keep(struct choice *choice, uint64_t id)
{
    if (choice->n < choice->room) {
        choice->ids[choice->n++] = id;
        if (choice->n == choice->room)
            for (size_t at = choice->n / 2; at-- > 0;)
                sink(choice->ids, choice->n, at);
    } else if (id < choice->ids[0]) {
        choice->ids[0] = id;
        sink(choice->ids, choice->n, 0);
    }
}

static bool is_full(const struct choice *choice) { return choice->n == choice->room; }

/* -- looking -- */

static bool may_have(const struct choice *choice, const struct queue_log_segment *segment)
{
    if (!segment->living || segment->newest <= choice->after || segment->oldest > choice->until)
        return false;
    return !is_full(choice) || segment->oldest < choice->ids[0];
}

static void look(struct choice *choice, struct queue_log_segment *segment)
{
    for (struct list *link = segment->messages.next; link != &segment->messages; link = link->next) {
        const struct queue_message *message = CONTAINER(link, struct queue_message, in_segment);
        if (message->id > choice->after && message->id <= choice->until &&
            (!is_full(choice) || message->id < choice->ids[0]) && filter_message(choice->filter, message, choice->now_ms))
            keep(choice, message->id);
    }
}

struct place {
    uint64_t oldest;
    uint32_t number;
};

static int place_order(const void *a, const void *b)
{
    return order_u64(&((const struct place *)a)->oldest, &((const struct place *)b)->oldest);
}

static enum status segments_order(struct choice *choice)
{
    struct queue *queue = choice->queue;
    struct place *places = calloc(queue->segments.n + 1, sizeof *places);
    uint32_t *numbers = reallocarray(choice->segments, queue->segments.n + 1, sizeof *numbers);
    size_t n = 0;
    choice->segments = numbers ? numbers : choice->segments;
    for (const struct map_node *node = map_first(&queue->segments); places && numbers && node;
         node = map_next(&queue->segments, node)) {
        const struct queue_log_segment *segment = CONTAINER(node, const struct queue_log_segment, node);
        if (may_have(choice, segment))
            places[n++] = (struct place){ segment->oldest, segment->number };
    }
    if (n)
        qsort(places, n, sizeof *places, place_order);
    for (size_t i = 0; i < n; i++)
        numbers[i] = places[i].number;
    free(places);
    choice->segment_at = 0;
    choice->segment_count = n;
    return places && numbers ? STATUS_OK : STATUS_MEMORY;
}

/* The ids that were given are the only batch. */
static enum status given_take(struct choice *choice)
{
    choice->last = true;
    choice->ids = malloc(choice->filter->id_count * sizeof *choice->ids);
    if (!choice->ids)
        return STATUS_MEMORY;
    for (size_t i = 0; i < choice->filter->id_count; i++)
        if (choice->filter->ids[i] > choice->after)
            choice->ids[choice->n++] = choice->filter->ids[i];
    return STATUS_OK;
}

static enum status batch_begin(struct choice *choice)
{
    if (choice->filter->ids)
        return given_take(choice);
    choice->n = choice->at = 0;
    choice->looking = true;
    if (choice->ids) /* the first was small, so that the first answer comes at once */
        choice->room = MIN(2 * choice->room, (size_t)BATCH_MOST);
    uint64_t *ids = reallocarray(choice->ids, choice->room, sizeof *ids);
    if (!ids)
        return STATUS_MEMORY;
    choice->ids = ids;
    return segments_order(choice);
}

/* One segment. */
static void batch_look(struct choice *choice)
{
    while (choice->segment_at < choice->segment_count) {
        struct queue_log_segment *segment = queue_segment_find(choice->queue, choice->segments[choice->segment_at++]);
        if (segment && may_have(choice, segment)) {
            look(choice, segment);
            return;
        }
    }
    choice->looking = false;
    choice->last = !is_full(choice);
    if (choice->n) {
        qsort(choice->ids, choice->n, sizeof *choice->ids, order_u64);
        choice->after = choice->ids[choice->n - 1];
    }
}

enum status choice_next(struct choice *choice, uint64_t *ret)
{
    if (!choice->looking && choice->at == choice->n) {
        if (choice->last)
            return STATUS_NOT_FOUND;
        enum status status = batch_begin(choice);
        if (status != STATUS_OK)
            return status;
    }
    if (choice->looking) {
        batch_look(choice);
        return STATUS_AGAIN;
    }
    if (choice->at == choice->n)
        return STATUS_NOT_FOUND;
    *ret = choice->ids[choice->at++];
    return STATUS_OK;
}
