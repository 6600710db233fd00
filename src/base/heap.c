#include "base/heap.h"
#include <stdlib.h>

void heap_done(struct heap *heap)
{
    free(heap->nodes);
    *heap = HEAP_EMPTY;
}

/* Children of k are 4k-2 .. 4k+1, the parent of k is (k+2)/4, counted from 1. */
static void place(struct heap *heap, struct heap_node *node, uint32_t at)
{
    heap->nodes[at] = node;
    node->at = at;
}

static void rise(struct heap *heap, struct heap_node *node, uint32_t at)
{
    while (at > 1) {
        uint32_t parent = (at + 2) / 4;
        if (heap->nodes[parent]->due <= node->due)
            break;
        place(heap, heap->nodes[parent], at);
        at = parent;
    }
    place(heap, node, at);
}

static void sink(struct heap *heap, struct heap_node *node, uint32_t at)
{
    for (;;) {
        uint32_t child = 4 * at - 2, least = 0;
        for (uint32_t k = child; k < child + 4 && k <= heap->n; k++)
            if (!least || heap->nodes[k]->due < heap->nodes[least]->due)
                least = k;
        if (!least || heap->nodes[least]->due >= node->due)
            break;
        place(heap, heap->nodes[least], at);
        at = least;
    }
    place(heap, node, at);
}

enum status heap_set(struct heap *heap, struct heap_node *node, int64_t due)
{
    if (node->at) {
        int64_t before = node->due;
        node->due = due;
        if (due < before)
            rise(heap, node, node->at);
        else
            sink(heap, node, node->at);
        return STATUS_OK;
    }
    if (heap->n + 1 >= heap->room) {
        uint32_t room = heap->room ? heap->room * 2 : 16;
        struct heap_node **nodes = realloc(heap->nodes, room * sizeof *nodes);
        if (!nodes)
            return STATUS_MEMORY;
        heap->nodes = nodes;
        heap->room = room;
    }
    node->due = due;
    rise(heap, node, ++heap->n);
    return STATUS_OK;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    uint32_t at = node->at;
    if (!at)
        return;
    node->at = 0;
    struct heap_node *last = heap->nodes[heap->n--];
    if (last == node)
        return;
    if (at > 1 && heap->nodes[(at + 2) / 4]->due > last->due)
        rise(heap, last, at);
    else
        sink(heap, last, at);
}
