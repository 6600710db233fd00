/* queue/slab.h -- many small things of one size, without malloc's header on each and without a storm of calls.
 *
 * Chunks are given back all at once, by slab_done(): while anything lives, what a full queue needed it may need again.
 */
#pragma once
#include "base/attr.h"

struct slab {
    size_t size;      /* octets of one thing; a multiple of 8, at least that of a pointer */
    void *free;       /* things given back, linked through their first octets */
    void *chunks;     /* all chunks, linked the same way */
    char *fresh;      /* never used yet */
    size_t left;      /* octets behind `fresh` */
    size_t used;      /* things in use */
    size_t octets;    /* of all chunks */
};

#define SLAB_OF(type) ((struct slab){ .size = (sizeof(type) + 7) / 8 * 8 })

/* Zeroed; NULL: out of memory. */
void *slab_take(struct slab *slab);
void slab_give(struct slab *slab, void *thing); /* NULL is fine */
void slab_done(struct slab *slab);              /* all things are gone with it */
