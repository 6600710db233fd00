#include "conf/arena_priv.h"
#include <stdlib.h>

enum { BLOCK = 16 << 10 };

struct conf_arena_block {
    struct conf_arena_block *next;
    size_t used, room;
    _Alignas(max_align_t) char octets[];
};

void conf_arena_done(struct conf_arena *arena)
{
    for (struct conf_arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    arena->blocks = NULL;
}

static struct conf_arena_block *add_block(struct conf_arena *arena, size_t least)
{
    size_t room = MAX(least, (size_t)BLOCK);
    struct conf_arena_block *block = calloc(1, sizeof *block + room);
    if (!block)
        return NULL;
    block->room = room;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *conf_arena_get(struct conf_arena *arena, size_t n, size_t size)
{
    size_t octets;
    if (__builtin_mul_overflow(n, size, &octets) || octets > SIZE_MAX / 2)
        return NULL;
    size_t align = _Alignof(max_align_t);
    octets = (octets + align - 1) / align * align;
    struct conf_arena_block *block = arena->blocks;
    if (!block || block->room - block->used < octets)
        block = add_block(arena, octets);
    if (!block)
        return NULL;
    void *ret = block->octets + block->used;
    block->used += octets;
    return ret;
}

bool conf_arena_copy(struct conf_arena *arena, struct span text, struct span *ret)
{
    char *copy = conf_arena_get(arena, text.n + 1, 1);
    if (!copy)
        return false;
    if (text.n)
        memcpy(copy, text.p, text.n);
    *ret = span_of(copy, text.n);
    return true;
}
