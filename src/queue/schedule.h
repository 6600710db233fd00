/* queue/schedule.h -- moves shares from place to place; the only one that changes `place` and the wake-up times.
 *
 * A share at rest (QUEUE_HELD) is in no heap and no ring.
 */
#pragma once
#include "queue/queue.h"

/* Out of wherever it is, at rest. A leased share cannot be taken back. */
void queue_share_rest(struct queue *queue, struct queue_share *share);
/* Tries it as soon as possible: asks for the site if need be, else into its lane. */
void queue_share_go(struct queue *queue, struct queue_share *share);
/* Waits until `retry_ms`, or for what comes before: the delay notice, the expiry. */
void queue_share_wait(struct queue *queue, struct queue_share *share, int64_t retry_ms);
/* At rest before: goes or waits, unless somebody holds it or we are recovering. */
void queue_share_resume(struct queue *queue, struct queue_share *share);
void queue_share_lease(struct queue *queue, struct queue_share *share, struct queue_lease *lease);
/* At rest, and so it stays until somebody lets it go. `by`: the name as host, the reason as text. */
void queue_share_hold(struct queue *queue, struct queue_share *share, const struct queue_words *by);
void queue_share_release(struct queue *queue, struct queue_share *share);
/* Back from its lease, at rest. */
void queue_share_unlease(struct queue *queue, struct queue_share *share);
void queue_share_report(struct queue *queue, struct queue_share *share, struct queue_report *report);

/* Wakes the shares that are due. */
void queue_schedule_tick(struct queue *queue);

/* Asks about domains nobody could be asked about before, as far as there is somebody now. */
void queue_ask_again(struct queue *queue);
/* A delivery process has gone: its questions go to another. */
void queue_asks_lost(struct queue *queue, unsigned delivery);
