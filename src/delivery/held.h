/* delivery/held.h -- what outlives the queue that gave it: messages that a server is taking, and outcomes that the
 * queue may have died with.
 *
 * A server's 250 that the queue does not know of is a message that goes out twice. So an outcome is kept until the
 * queue has confirmed it, and the next queue hears of both before it grants anything.
 */
#pragma once
#include "delivery/job.h"

/* Keeps the job's outcome, which is told to the queue now, if there is one. */
void held_keep(struct job *job, const struct lease_outcome *outcome);
/* The queue has written so many more. */
void held_settled(struct delivery *delivery, uint32_t outcomes);
/* Tells the new queue everything. The jobs in hand get new numbers. */
void held_tell(struct delivery *delivery);
void held_free(struct delivery *delivery);
