/* queue/checkpoint.h -- the whole state of a message as one entry, and the places that need no scan any more. */
#pragma once
#include "queue/entry.h"
#include "queue/queue.h"

/* Appends the content of the MESSAGE entry. TOO_LONG, MEMORY: it does not fit. */
MUST_CHECK enum status queue_checkpoint_message_put(struct buf *buf, const struct queue_message *message);
/* Makes the message again, at rest; into `limbo` when its segment is not what it was. DAMAGED; MEMORY. */
MUST_CHECK enum status queue_checkpoint_message_get(struct queue *queue, uint64_t id, struct span content,
                                                    struct queue_log_segment *limbo);
