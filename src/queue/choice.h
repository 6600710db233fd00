/* queue/choice.h -- the ids of the messages that an operator means, oldest first, without ever looking at all at once.
 *
 * They are found in batches: of each, the smallest ids behind those of the batch before, from the segments that can
 * have such. One look is at one segment, so that among millions of messages nobody waits for more than that.
 */
#pragma once
#include "queue/filter.h"

struct choice {
    struct queue *queue;         /* NULL: not begun */
    const struct filter *filter; /* the caller's */
    uint64_t after, until;       /* ids behind the one, not behind the other */
    int64_t now_ms;
    uint64_t *ids;               /* the batch: a heap with the greatest in front while it is found, then in order */
    size_t at, n, room;
    uint32_t *segments;          /* numbers of those to look at, by the oldest id in them */
    size_t segment_at, segment_count;
    bool looking, last;          /* last: no batch comes behind this one */
};

/* Messages that come after this call are not among them. `limit`: so many are wanted; 0: all. */
void choice_begin(struct choice *choice, struct queue *queue, const struct filter *filter, uint64_t after, uint64_t limit,
                  int64_t now_ms);
void choice_done(struct choice *choice);
/* The next id; its message may have gone. AGAIN: call it again in another turn. NOT_FOUND: that was all. MEMORY. */
MUST_CHECK enum status choice_next(struct choice *choice, uint64_t *ret);
