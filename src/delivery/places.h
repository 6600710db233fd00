/* delivery/places.h -- the descriptors of segments and body files that the queue handed out, by number. */
#pragma once
#include "base/map.h"
#include "spool/segment.h"

/* Counted: a job that reads from one keeps it open though the queue may call it gone. */
struct place {
    struct map_node node;
    uint64_t number;
    int fd;
    unsigned refs;
    bool is_body;
    struct spool_segment segment; /* what is remembered of a segment, for spool/reader.h */
};

struct places {
    struct map segments, bodies;
};

void places_done(struct places *places);
/* Owns `fd`. What had the number before is gone. */
MUST_CHECK bool places_add(struct places *places, bool is_body, uint64_t number, int fd);
void places_gone(struct places *places, bool is_body, uint64_t number);
/* NULL: not known. */
struct place *places_take(struct places *places, bool is_body, uint64_t number);
struct place *place_again(struct place *place); /* one more reference; NULL is fine */
void place_release(struct place *place); /* NULL is fine */
