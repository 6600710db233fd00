#include "queue/slab.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_OCTETS ((size_t)64 << 10)
#define CHUNK_HEAD sizeof(max_align_t)

static bool chunk_add(struct slab *slab)
{
    char *chunk = malloc(CHUNK_OCTETS);
    if (!chunk)
        return false;
    memcpy(chunk, &slab->chunks, sizeof slab->chunks);
    slab->chunks = chunk;
    slab->fresh = chunk + CHUNK_HEAD;
    slab->left = CHUNK_OCTETS - CHUNK_HEAD;
    slab->octets += CHUNK_OCTETS;
    return true;
}

void *slab_take(struct slab *slab)
{
    char *thing = slab->free;
    if (thing) {
        memcpy(&slab->free, thing, sizeof slab->free);
    } else {
        assert(slab->size >= sizeof(void *) && slab->size <= CHUNK_OCTETS / 8);
        if (slab->left < slab->size && !chunk_add(slab))
            return NULL;
        thing = slab->fresh;
        slab->fresh += slab->size;
        slab->left -= slab->size;
    }
    slab->used++;
    return memset(thing, 0, slab->size);
}

void slab_give(struct slab *slab, void *thing)
{
    if (!thing)
        return;
    memcpy(thing, &slab->free, sizeof slab->free);
    slab->free = thing;
    slab->used--;
}

void slab_done(struct slab *slab)
{
    void *chunk = slab->chunks;
    while (chunk) {
        void *next;
        memcpy(&next, chunk, sizeof next);
        free(chunk);
        chunk = next;
    }
    *slab = (struct slab){ .size = slab->size };
}
