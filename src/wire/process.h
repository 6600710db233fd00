/* wire/process.h -- the frame that every role's main stands in: the loop, the event log, and the supervisor's orders.
 *
 * The role says what it does with each order; the frame keeps the channel, the log's descriptor and the end. Every
 * descriptor that is handed over is the role's. A supervisor that goes away ends the process: another one starts
 * processes of its own.
 */
#pragma once
#include "base/log.h"
#include "lock/lock.h"
#include "wire/supervisor.h"
#include "wire/tally.h"

struct process;

struct process_orders {
    /* New settings, valid from the next start() or reload() on; spans are borrowed during the call. False: they are
     * refused (the role has called process_failed()); before START the process then ends. */
    bool (*settings)(void *arg, const struct supervisor_settings *settings);
    void (*listener)(void *arg, uint32_t index, int fd);                       /* NULL: closed */
    void (*peer)(void *arg, const struct supervisor_peer *peer, int fd);       /* NULL: closed */
    void (*tickets)(void *arg, const struct supervisor_tickets *tickets);      /* NULL: not wanted */
    void (*tally)(void *arg, const struct supervisor_tally *tally, int fd);    /* NULL: closed */
    void (*who_is)(void *arg, const struct supervisor_who_is *who);            /* NULL: it never asks */
    /* Just before START: what the role needs of the machine from then on (lock/lock.h), by the settings last sent. False:
     * they ask for no locks. NULL: nothing beside the role's system calls. */
    bool (*lock)(void *arg, struct lock *lock);
    void (*start)(void *arg);   /* open the doors, then process_ready(), now or later */
    void (*reload)(void *arg);  /* what was sent since holds, then process_ready() */
    /* Has it the channels that it cannot work without? A peer that dies is replaced by the supervisor, but nobody mends a
     * channel that broke between two who live: who misses one for PROCESS_ALONE_MS ends, and its successor gets all anew.
     * NULL: it needs none. Asked once a turn, after START. */
    bool (*is_joined)(void *arg);
    void (*drain)(void *arg);   /* take nothing new; process_drained() when nothing is left in hand */
};

struct process {
    struct loop *loop;
    struct log log;
    struct channel *supervisor;
    const struct process_orders *orders;
    void *arg;
    /* private */
    struct loop_task flush;
    struct loop_timer alone;
    enum role role;
    int log_fd;
    int exit_status;
    bool has_settings, started, draining, locked;
};

#define PROCESS_ALONE_MS 60000 /* the supervisor never takes as long to start a peer again */

/* No core dumps and no debugger of the same user: keys, passwords and mail lie in the memory. process_init() does it. */
void process_keep_secrets(void);
/* Makes the loop and takes descriptor 3. IO, MEMORY: errno tells; the process cannot live. */
MUST_CHECK enum status process_init(struct process *process, enum role role, const struct process_orders *orders, void *arg);
/* Obeys until the end; returns what main returns. */
int process_run(struct process *process);
/* Frees the loop and the log; the role has freed what it hung on them. */
void process_done(struct process *process);

void process_ready(struct process *process);
void process_drained(struct process *process); /* says so and ends the run with 0 */
/* Says what is wrong to the log and to the supervisor, who tells the person who asked. */
void process_failed(struct process *process, struct span why);
void process_leave(struct process *process, int exit_status);
