/* base/heap.h -- what is due first: a 4-ary heap whose nodes live inside its members. */
#pragma once
#include "base/attr.h"
#include "base/status.h"

struct heap_node {
    int64_t due;  /* the caller's unit */
    uint32_t at;  /* place in the heap, from 1; 0 while outside */
};

struct heap {
    struct heap_node **nodes; /* nodes[0] is unused */
    uint32_t n, room;
};

#define HEAP_EMPTY ((struct heap){ NULL, 0, 0 })

void heap_done(struct heap *heap);
/* Puts the node in, or moves it to its new time. MEMORY: it is not in (or keeps its old time). */
MUST_CHECK enum status heap_set(struct heap *heap, struct heap_node *node, int64_t due);
void heap_remove(struct heap *heap, struct heap_node *node); /* nothing happens when it is outside */
static inline struct heap_node *heap_first(const struct heap *heap) { return heap->n ? heap->nodes[1] : NULL; }
static inline bool heap_has(const struct heap_node *node) { return node->at != 0; }
