/* What happens at a time: a heap, the earliest first; equal times in the order in which they were set. */
#include "kernel_priv.h"

static struct {
    struct event **items;    /* from 1 */
    size_t count, room;
    uint64_t order;
} heap;

static bool earlier(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void put(size_t index, struct event *event)
{
    heap.items[index] = event;
    event->index = index;
}

static void rise(size_t index, struct event *event)
{
    for (; index > 1 && earlier(event, heap.items[index / 2]); index /= 2)
        put(index, heap.items[index / 2]);
    put(index, event);
}

static void sink(size_t index, struct event *event)
{
    for (size_t child; (child = 2 * index) <= heap.count; index = child) {
        if (child < heap.count && earlier(heap.items[child + 1], heap.items[child]))
            child++;
        if (!earlier(heap.items[child], event))
            break;
        put(index, heap.items[child]);
    }
    put(index, event);
}

void event_stop(struct event *event)
{
    size_t index = event->index;
    if (!index)
        return;
    event->index = 0;
    struct event *last = heap.items[heap.count--];
    if (last == event)
        return;
    rise(index, last);
    sink(last->index, last);
}

void event_set(struct event *event, int64_t at_us)
{
    event_stop(event);
    event->at_us = at_us;
    event->order = heap.order++;
    if (heap.count + 2 > heap.room) {
        heap.room = heap.room ? 2 * heap.room : 256;
        heap.items = kernel_grow(heap.items, heap.room * sizeof *heap.items);
    }
    rise(++heap.count, event);
}

int64_t events_next_us(void) { return heap.count ? heap.items[1]->at_us : NEVER; }

void events_run(void)
{
    while (heap.count && heap.items[1]->at_us <= now_us()) {
        struct event *event = heap.items[1];
        event_stop(event);
        event->run(event);
    }
}

void events_done(void)
{
    kernel_free(heap.items);
    heap.items = NULL;
    heap.count = heap.room = 0;
    heap.order = 0;
}
