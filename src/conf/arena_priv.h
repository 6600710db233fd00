/* conf/arena_priv.h -- memory that lives and dies together: all strings and lists of one settings object. */
#pragma once
#include "base/span.h"

struct conf_arena {
    struct conf_arena_block *blocks;
};

void conf_arena_done(struct conf_arena *arena);
/* Zeroed and aligned for anything; `n` items of `size` octets. NULL: out of memory. */
void *conf_arena_get(struct conf_arena *arena, size_t n, size_t size);
/* A copy with a NUL behind it (not counted). False: out of memory. */
MUST_CHECK bool conf_arena_copy(struct conf_arena *arena, struct span text, struct span *ret);
