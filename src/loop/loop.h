/* loop/loop.h -- one thread's event loop: descriptors, timers, signals, and things to do once a turn.
 *
 * A thin level-triggered epoll. One turn: wait, call what is ready, run timers that are due, run the
 * tasks asked for with loop_later(), then the turn hooks (where channels and logs flush, so that many
 * small sends become one write). The clock is read once a turn. Everything belongs to the loop's thread.
 */
#pragma once
#include "base/heap.h"
#include "base/list.h"
#include "base/status.h"

struct loop;

#define LOOP_BULK_TURN 8

enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_ERROR = 4 }; /* LOOP_ERROR: hang-up or error; reported always */

struct loop_fd {
    int fd;
    unsigned want;  /* LOOP_READ | LOOP_WRITE */
    void (*on_ready)(struct loop_fd *self, unsigned ready);
    struct loop *loop;
    bool bulk;      /* see loop_fd_set_bulk() */
};

struct loop_timer {
    struct heap_node node;
    void (*on_due)(struct loop_timer *self);
    struct loop *loop;
};

struct loop_task {
    struct list link;
    void (*run)(struct loop_task *self);
    struct loop *loop;
};

/* NULL: out of memory or descriptors (errno). */
struct loop *loop_new(void);
void loop_free(struct loop *loop);
/* Runs turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn that waits at most `wait_ms` (-1: as long as it takes). For tests and special mains. */
void loop_turn(struct loop *loop, int wait_ms);

/* The time this turn began. */
int64_t loop_now_ms(const struct loop *loop);      /* monotonic */
int64_t loop_wall_ms(const struct loop *loop);

/* Watches `fd`. The caller owns both; `self` must stay until loop_fd_remove(), which may be called in any
 * handler, also for another descriptor that is ready in the same turn. IO: errno. */
MUST_CHECK enum status loop_fd_add(struct loop *loop, struct loop_fd *self, int fd, unsigned want,
                                   void (*on_ready)(struct loop_fd *, unsigned));
void loop_fd_want(struct loop_fd *self, unsigned want); /* no system call when nothing changes */
/* Bulk: there is much to do whenever it is ready. Of these only LOOP_BULK_TURN are called in one turn, behind all others
 * and one after the other, so that short dialogues do not wait for large transfers. Stays as it is when the system
 * refuses. */
void loop_fd_set_bulk(struct loop_fd *self, bool bulk);
void loop_fd_remove(struct loop_fd *self);              /* before close(); nothing happens the second time */
/* The same without a system call, for a descriptor that is closed right behind this and of which there is no duplicate:
 * closing the last one takes it out of the epoll set. */
void loop_fd_forget(struct loop_fd *self);

/* A timer must be loop_timer_init()ed once; setting it again moves it. A firing timer is already stopped. */
void loop_timer_init(struct loop *loop, struct loop_timer *self, void (*on_due)(struct loop_timer *));
void loop_timer_set(struct loop_timer *self, int64_t after_ms);   /* from this turn's time */
void loop_timer_stop(struct loop_timer *self);
static inline bool loop_timer_runs(const struct loop_timer *self) { return heap_has(&self->node); }

/* A task runs once, after the handlers of this turn; asking again before that changes nothing. */
void loop_task_init(struct loop *loop, struct loop_task *self, void (*run)(struct loop_task *));
void loop_later(struct loop_task *self);
void loop_task_cancel(struct loop_task *self);

/* A hook runs at the end of every turn, before the loop waits again. */
void loop_hook_add(struct loop *loop, struct loop_task *self, void (*run)(struct loop_task *));
void loop_hook_remove(struct loop_task *self);

/* Turns the signal into a call inside the loop (signalfd). Call before threads are started. */
MUST_CHECK enum status loop_signal(struct loop *loop, int signal, void (*on_signal)(void *arg, int signal), void *arg);
