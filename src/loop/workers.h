/* loop/workers.h -- a few threads for what would hold the loop up: password hashes, signatures, zero-filling.
 *
 * The queue in front of them is bounded: FULL says so, and the caller answers "try again later".
 */
#pragma once
#include "loop/mailbox.h"

struct work {
    struct letter letter;
    void (*run)(struct work *self);      /* in a worker; touches only what hangs on `self` */
    void (*on_done)(struct work *self);  /* in the loop's thread */
    struct work *next;
};

struct workers;

/* `threads` workers, at most `most` works waiting. NULL: errno tells. */
struct workers *workers_new(struct loop *loop, unsigned threads, unsigned most);
/* Waits for the works in hand; those still waiting are not run and their on_done is not called. */
void workers_free(struct workers *workers);
MUST_CHECK enum status workers_do(struct workers *workers, struct work *work);
