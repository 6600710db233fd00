/* supervisor/supervisor_priv.h -- the supervisor's state, shared by the files that keep it.
 *
 * supervisor.c starts, stops and hears signals; child.c keeps one process; reload.c changes the settings under way;
 * control.c is the socket; who.c knows the users of the machine; limits.c the descriptors; windows.c tells when messages may arrive twice.
 */
#pragma once
#include "base/log.h"
#include "supervisor/doors.h"
#include "supervisor/folders.h"
#include "supervisor/plan.h"
#include "supervisor/supervisor.h"
#include "wire/tally.h"

#define CHILDREN_MAX 256

enum child_state {
    CHILD_DOWN,     /* not started, or waiting to be started again */
    CHILD_STARTING, /* until it said READY */
    CHILD_RUNNING,
};

struct child {
    struct supervisor *supervisor;
    enum role role;
    uint32_t number, count;     /* of its role */
    enum child_state state;
    pid_t pid;                  /* 0: none */
    struct channel *channel;    /* NULL: none */
    struct loop_timer again;    /* when it is started again */
    int64_t started_ms;
    unsigned failures;          /* in a row, each soon after the start */
    bool reloading;             /* has not answered RELOAD yet */
};

typedef void reload_done_fn(void *arg, struct span faults);

enum stage { STAGE_STARTING, STAGE_RUNNING, STAGE_STOPPING, STAGE_EMPTYING };

struct supervisor {
    struct loop *loop;
    struct log log;
    struct loop_task flush;
    const char *path;           /* of the settings */
    struct plan *plan;
    struct doors *doors;
    int lock_fd;
    int log_fd;
    struct supervisor_tickets tickets;
    int tally_fd;               /* what smtpd and directory count in; -1: none */
    struct tally tally;
    struct child children[CHILDREN_MAX];
    unsigned child_count;
    enum stage stage;
    struct loop_timer deadline; /* of a stop */
    struct reload *reload;      /* under way; NULL: none */
    uint64_t reloads;            /* begun since the start */
    reload_done_fn *next_reload; /* one that waits; NULL: none */
    void *next_reload_arg;
    struct control *control;
    int exit_status;
    bool was_cut_off;           /* whoever had the lock before us did not stop in order */
    bool is_cut_off;            /* nor do we: the queue died during the stop */
    int64_t delivery_lost_ms;   /* when a delivery process last died; 0: never */
};

/* --- child.c --- */
void child_init(struct child *child, struct supervisor *supervisor, enum role role, uint32_t number, uint32_t count);
/* Forks and gives the new process its settings, listeners and log; peers and START follow. False: logged. */
MUST_CHECK bool child_spawn(struct child *child);
void child_connect(struct child *child);     /* to every peer that is up; they get a new channel too */
void child_begin(struct child *child);       /* START */
void child_settings(struct child *child);    /* SETTINGS and LISTENERs */
void child_order(struct child *child, enum supervisor_kind kind);
void child_log(struct child *child);         /* the log's descriptor */
void child_kill(struct child *child);
void child_done(struct child *child);
void child_reap(struct supervisor *supervisor); /* after SIGCHLD */

/* --- supervisor.c --- */
void supervisor_child_ready(struct child *child);
void supervisor_child_failed(struct child *child, struct span why); /* it said so */
void supervisor_child_gone(struct child *child);                    /* and is not started again */
void supervisor_stop(struct supervisor *supervisor);                /* the second time: at once */

/* --- limits.c --- */
void limits_raise(const struct plan *plan);  /* descriptors, as far as the system lets us */
void limits_tell(struct supervisor *supervisor, const struct plan *plan); /* warns when they are too few for the settings */

/* --- who.c --- */
/* Who has this uid, and in which control group its process is, as far as that can be seen. Spans are valid until the next
 * call. */
void who_find(const struct supervisor_who *who, struct supervisor_who_is *ret);

/* --- windows.c --- */
void windows_begin(struct supervisor *supervisor);  /* before the first process is started */
void windows_child_ended(struct child *child);      /* against our will, or cut off in a stop; its state is still that of before */

/* --- reload.c --- */
/* Calls `on_done` (maybe at once) with an empty text when everything holds, or with what is wrong. While the server
 * starts, or another reload is under way, it waits for that; there is only one to come, which reads the newest file. */
void reload_start(struct supervisor *supervisor, reload_done_fn *on_done, void *arg);
void reload_answer(struct child *child, struct span fault); /* READY, FAILED or gone while reloading */
void reload_next(struct supervisor *supervisor);            /* the one that waits, if any */
void reload_cancel(struct supervisor *supervisor);          /* a stop came between */

/* --- control.c --- */
MUST_CHECK bool supervisor_control_open(struct supervisor *supervisor, struct conf_faults *faults);
void supervisor_control_close(struct supervisor *supervisor); /* answers those who wait for the stop, then removes the socket */
