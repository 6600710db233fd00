/* loop/mailbox.h -- where threads meet: letters put in from any thread, taken out in the loop's thread.
 *
 * Letters are intrusive and keep their order; one wake-up serves all letters put since the last.
 */
#pragma once
#include "loop/loop.h"
#include <pthread.h>

struct letter {
    struct letter *next;
};

struct mailbox {
    struct loop_fd fd;
    struct letter *_Atomic newest; /* a stack; turned round when taken */
    void (*on_letter)(struct mailbox *self, struct letter *letter);
};

MUST_CHECK enum status mailbox_init(struct mailbox *self, struct loop *loop,
                                    void (*on_letter)(struct mailbox *, struct letter *));
void mailbox_done(struct mailbox *self); /* letters still inside are the caller's to find */
void mailbox_put(struct mailbox *self, struct letter *letter); /* any thread */
