#include "wire/process.h"
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef GONIEC_PROBE /* never in what ships */
__attribute__((weak)) void probe_run(const char *role, struct log *log); /* tests/support/probe.c */
#endif

void process_leave(struct process *process, int exit_status)
{
    process->exit_status = exit_status;
    loop_stop(process->loop);
}

void process_ready(struct process *process)
{
    channel_send(process->supervisor, SUPERVISOR_READY, SPAN_NONE);
}

void process_drained(struct process *process)
{
    channel_send(process->supervisor, SUPERVISOR_DRAINED, SPAN_NONE);
    channel_flush(process->supervisor);
    process_leave(process, 0);
}

void process_failed(struct process *process, struct span why)
{
    log_error(&process->log, "process-failed", LOG_SPAN("why", why));
    supervisor_failed_put(channel_begin(process->supervisor, SUPERVISOR_FAILED),
                          &(struct supervisor_failed){ span_head(why, 4096) });
    channel_end(process->supervisor);
    channel_flush(process->supervisor); /* often the last words */
}

static void take_settings(struct process *process, struct span body)
{
    struct supervisor_settings *settings = malloc(sizeof *settings); /* large: not on the stack */
    bool good = settings && supervisor_settings_get(body, settings);
    if (!good)
        process_failed(process, SPAN("the supervisor's settings cannot be read"));
    else
        good = process->orders->settings(process->arg, settings);
    free(settings);
    if (good)
        process->has_settings = true;
    else if (!process->has_settings)
        process_leave(process, 1);
}

static void take_log(struct process *process, int fd)
{
    log_flush(&process->log);
    if (process->log_fd >= 0)
        close(process->log_fd);
    process->log_fd = process->log.fd = fd;
}

/* The first descriptor of the message, the caller's from now on; -1: there is none. */
static int take_fd(struct channel_message *message)
{
    int fd = message->fd_count ? message->fds[0] : -1;
    message->fds[0] = -1;
    return fd;
}

static void take_listener(struct process *process, struct channel_message *message)
{
    struct supervisor_listener listener;
    if (process->orders->listener && message->fd_count && supervisor_listener_get(message->body, &listener))
        process->orders->listener(process->arg, listener.index, take_fd(message));
}

static void take_peer(struct process *process, struct channel_message *message)
{
    struct supervisor_peer peer;
    if (process->orders->peer && message->fd_count && supervisor_peer_get(message->body, &peer))
        process->orders->peer(process->arg, &peer, take_fd(message));
}

static void take_tally(struct process *process, struct channel_message *message)
{
    struct supervisor_tally tally;
    if (process->orders->tally && message->fd_count && supervisor_tally_get(message->body, &tally))
        process->orders->tally(process->arg, &tally, take_fd(message));
}

static void take_who_is(struct process *process, struct span body)
{
    struct supervisor_who_is who;
    if (process->orders->who_is && supervisor_who_is_get(body, &who))
        process->orders->who_is(process->arg, &who);
}

static void take_tickets(struct process *process, struct span body)
{
    struct supervisor_tickets tickets;
    if (process->orders->tickets && supervisor_tickets_get(body, &tickets))
        process->orders->tickets(process->arg, &tickets);
    explicit_bzero(&tickets, sizeof tickets);
}

/* From here on nothing that a stranger sends can make the process do what its duty does not need. */
static bool close_lock(struct process *process)
{
    static const enum lock_role roles[ROLE_COUNT] = {
        [ROLE_SMTPD] = LOCK_SMTPD, [ROLE_QUEUE] = LOCK_QUEUE, [ROLE_DELIVERY] = LOCK_DELIVERY, [ROLE_DIRECTORY] = LOCK_DIRECTORY,
        [ROLE_SHARE] = LOCK_SHARE, [ROLE_MIRROR] = LOCK_MIRROR,
    };
    struct lock lock = { .role = roles[process->role], .name = role_name(process->role), .log_fd = &process->log.fd };
    AUTO(buf_done) struct buf text = BUF_EMPTY(1024);
    char why[LOCK_WHY_SIZE];
    assert(lock.role != LOCK_SUPERVISOR);
    if (process->locked || (process->orders->lock && !process->orders->lock(process->arg, &lock)))
        return true;
    process->locked = lock_close(&lock, why) == STATUS_OK;
    if (process->locked)
        return true;
    buf_printf(&text, "it cannot lock itself: %s (the setting `locks: no` does without)", why);
    process_failed(process, buf_span(&text));
    process_leave(process, 1);
    return false;
}

static void start(struct process *process)
{
    if (!close_lock(process))
        return;
#ifdef GONIEC_PROBE
    if (process->locked && probe_run)
        probe_run(role_name(process->role), &process->log);
#endif
    process->started = true;
    process->orders->start(process->arg);
}

/* What may not come now; a role need not think of it. */
static bool is_out_of_order(const struct process *process, uint16_t kind)
{
    switch (kind) {
    case SUPERVISOR_LISTENER:
    case SUPERVISOR_PEER: return !process->has_settings;
    case SUPERVISOR_START: return !process->has_settings || process->started;
    case SUPERVISOR_RELOAD: return !process->started;
    default: return false;
    }
}

static void drain(struct process *process)
{
    bool again = process->draining;
    process->draining = true;
    if (!process->started)
        process_drained(process);
    else if (!again)
        process->orders->drain(process->arg);
}

static void on_order(void *arg, struct channel *channel, struct channel_message *message)
{
    struct process *process = arg;
    if (is_out_of_order(process, message->kind)) {
        log_warning(&process->log, "order-refused", LOG_INT("kind", message->kind), LOG_BOOL("started", process->started));
        return;
    }
    switch (message->kind) {
    case SUPERVISOR_SETTINGS:
        take_settings(process, message->body);
        break;
    case SUPERVISOR_LOG:
        if (message->fd_count)
            take_log(process, take_fd(message));
        break;
    case SUPERVISOR_LISTENER:
        take_listener(process, message);
        break;
    case SUPERVISOR_PEER:
        take_peer(process, message);
        break;
    case SUPERVISOR_TICKETS:
        take_tickets(process, message->body);
        break;
    case SUPERVISOR_TALLY:
        take_tally(process, message);
        break;
    case SUPERVISOR_WHO_IS:
        take_who_is(process, message->body);
        break;
    case SUPERVISOR_START:
        start(process);
        break;
    case SUPERVISOR_RELOAD:
        process->orders->reload(process->arg);
        break;
    case SUPERVISOR_DRAIN:
        drain(process);
        break;
    default:
        log_warning(&process->log, "unknown-order", LOG_INT("kind", message->kind));
        break;
    }
}

static void on_supervisor_gone(void *arg, struct channel *channel, enum status why)
{
    process_leave(arg, 1);
}

static void on_alone(struct loop_timer *timer)
{
    struct process *process = CONTAINER(timer, struct process, alone);
    log_error(&process->log, "peer-missing", LOG_STR("what", "a channel to another process broke, and no other came; "
              "this one ends, to be started again with new ones"));
    process_leave(process, 1);
}

static void peers_check(struct process *process)
{
    bool alone = process->started && !process->draining && !process->orders->is_joined(process->arg);
    if (alone == loop_timer_runs(&process->alone))
        return;
    if (alone)
        loop_timer_set(&process->alone, PROCESS_ALONE_MS);
    else
        loop_timer_stop(&process->alone);
}

static void on_flush(struct loop_task *task)
{
    struct process *process = CONTAINER(task, struct process, flush);
    if (process->orders->is_joined)
        peers_check(process);
    log_flush(&process->log);
}

void process_keep_secrets(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
}

enum status process_init(struct process *process, enum role role, const struct process_orders *orders, void *arg)
{
    static const struct channel_events events = { on_order, on_supervisor_gone };
    *process = (struct process){ .orders = orders, .arg = arg, .role = role, .log_fd = -1, .loop = loop_new() };
    if (!process->loop)
        return STATUS_IO;
    signal(SIGPIPE, SIG_IGN);
    process_keep_secrets();
    log_init(&process->log, -1, role_name(role), LOG_INFO);
    process->supervisor = channel_new(process->loop, SUPERVISOR_FD, &events, process);
    if (!process->supervisor) {
        loop_free(process->loop);
        return STATUS_MEMORY;
    }
    loop_timer_init(process->loop, &process->alone, on_alone);
    loop_hook_add(process->loop, &process->flush, on_flush);
    return STATUS_OK;
}

int process_run(struct process *process)
{
    loop_run(process->loop);
    return process->exit_status;
}

void process_done(struct process *process)
{
    channel_free(process->supervisor);
    log_done(&process->log);
    if (process->log_fd >= 0)
        close(process->log_fd);
    loop_hook_remove(&process->flush);
    loop_timer_stop(&process->alone);
    loop_free(process->loop);
}
