#include "net/tls.h"
#include "lock/lock.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor_priv.h"
#include "wire/process.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAST_MS = 10000 /* for queue and directory, when nobody has work for them any more */ };

/* --- the children's life --- */

static bool is_edge(const struct child *child) /* has strangers at the other end */
{
    return child->role != ROLE_QUEUE && child->role != ROLE_DIRECTORY && child->role != ROLE_SHARE &&
           child->role != ROLE_MIRROR;
}

static bool all_are(const struct supervisor *supervisor, enum child_state state)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].state != state)
            return false;
    return true;
}

void supervisor_child_ready(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    if (child->state == CHILD_STARTING) {
        child->state = CHILD_RUNNING;
        log_info(&supervisor->log, "child-ready", LOG_STR("child", role_name(child->role)),
                 LOG_INT("number", child->number));
    } else if (child->reloading) {
        reload_answer(child, SPAN_NONE);
    }
    if (supervisor->stage != STAGE_STARTING || !all_are(supervisor, CHILD_RUNNING))
        return;
    supervisor->stage = STAGE_RUNNING;
    log_info(&supervisor->log, "ready", LOG_INT("listeners", supervisor->doors->n),
             LOG_INT("processes", supervisor->child_count), LOG_SPAN("hostname", plan_hostname(supervisor->plan)),
             LOG_BOOL("locks", supervisor->plan->settings->common.locks), LOG_INT("landlock", lock_landlock()));
    notify("READY=1\nSTATUS=Taking and delivering mail");
    reload_next(supervisor);
}

/* The first start has somebody in front of the screen: say what is wrong and end. */
static void start_failed(struct supervisor *supervisor, const struct child *child, struct span why)
{
    fprintf(stderr, "goniec: %s cannot start: %.*s\n", role_name(child->role), SPAN_ARGS(why));
    supervisor->exit_status = 1;
    supervisor_stop(supervisor);
}

void supervisor_child_failed(struct child *child, struct span why)
{
    struct supervisor *supervisor = child->supervisor;
    log_error(&supervisor->log, "child-failed", LOG_STR("child", role_name(child->role)),
              LOG_INT("number", child->number), LOG_SPAN("why", why));
    if (child->reloading)
        reload_answer(child, why.n ? why : SPAN("failed"));
    else if (supervisor->stage == STAGE_STARTING)
        start_failed(supervisor, child, why);
}

/* --- the stop --- */

static bool any_alive(const struct supervisor *supervisor, bool edge_only)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (supervisor->children[i].pid > 0 && (!edge_only || is_edge(&supervisor->children[i])))
            return true;
    return false;
}

static void drain(struct supervisor *supervisor, bool edge)
{
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        loop_timer_stop(&child->again);
        if (child->pid > 0 && is_edge(child) == edge)
            child_order(child, SUPERVISOR_DRAIN);
    }
}

/* First those who serve strangers, who still need the others; then queue and directory; then we. */
static void stop_further(struct supervisor *supervisor)
{
    if (supervisor->stage == STAGE_STOPPING && !any_alive(supervisor, true)) {
        supervisor->stage = STAGE_EMPTYING;
        drain(supervisor, false);
        loop_timer_set(&supervisor->deadline, LAST_MS);
    }
    if (supervisor->stage == STAGE_EMPTYING && !any_alive(supervisor, false))
        loop_stop(supervisor->loop);
}

static void kill_stage(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->child_count; i++)
        if (is_edge(&supervisor->children[i]) == (supervisor->stage == STAGE_STOPPING))
            child_kill(&supervisor->children[i]);
}

static void on_deadline(struct loop_timer *timer)
{
    struct supervisor *supervisor = CONTAINER(timer, struct supervisor, deadline);
    log_warning(&supervisor->log, "drain-cut-off", LOG_STR("why", "what was in hand took longer than drain allows"));
    kill_stage(supervisor);
}

void supervisor_stop(struct supervisor *supervisor)
{
    if (supervisor->stage >= STAGE_STOPPING) {
        kill_stage(supervisor);
        return;
    }
    supervisor->stage = STAGE_STOPPING;
    log_info(&supervisor->log, "stopping");
    notify("STOPPING=1\nSTATUS=Finishing what is in hand");
    reload_cancel(supervisor);
    doors_unlink(supervisor->doors, NULL);
    doors_free(supervisor->doors); /* with the children's copies closed, new clients are refused at once */
    supervisor->doors = NULL;
    loop_timer_set(&supervisor->deadline, supervisor->plan->settings->common.drain_ms);
    drain(supervisor, true);
    stop_further(supervisor);
}

void supervisor_child_gone(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    if (supervisor->stage == STAGE_STARTING)
        start_failed(supervisor, child, SPAN("it ended at once; the event log tells more"));
    else
        stop_further(supervisor);
}

/* --- signals --- */

static void on_hangup_done(void *arg, struct span faults)
{
    (void)arg;
    (void)faults; /* logged by the reload itself */
}

static void on_signal(void *arg, int signal)
{
    struct supervisor *supervisor = arg;
    if (signal == SIGCHLD)
        child_reap(supervisor);
    else if (signal == SIGHUP)
        reload_start(supervisor, on_hangup_done, NULL);
    else
        supervisor_stop(supervisor);
}

static void on_flush(struct loop_task *task)
{
    log_flush(&CONTAINER(task, struct supervisor, flush)->log);
}

/* --- the start --- */

static void add_children(struct supervisor *supervisor, enum role role, unsigned count)
{
    for (unsigned i = 0; i < count && supervisor->child_count < CHILDREN_MAX; i++)
        child_init(&supervisor->children[supervisor->child_count++], supervisor, role, i, count);
}

static bool start_children(struct supervisor *supervisor, struct conf_faults *faults)
{
    const struct root_settings *settings = supervisor->plan->settings;
    add_children(supervisor, ROLE_DIRECTORY, 1);
    add_children(supervisor, ROLE_QUEUE, 1);
    add_children(supervisor, ROLE_SHARE, settings->share.redis.n ? 1 : 0);
    add_children(supervisor, ROLE_MIRROR, settings->accounts.postgresql.n ? 1 : 0);
    add_children(supervisor, ROLE_DELIVERY, plan_processes(settings->delivery.processes));
    add_children(supervisor, ROLE_SMTPD, supervisor->doors->processes);
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        if (!child_spawn(&supervisor->children[i])) {
            conf_faults_add(faults, 0, 0, "cannot start processes");
            return false;
        }
        child_connect(&supervisor->children[i]); /* to those before it */
    }
    for (unsigned i = 0; i < supervisor->child_count; i++)
        child_begin(&supervisor->children[i]);
    return true;
}

static bool watch_signals(struct supervisor *supervisor)
{
    static const int signals[] = { SIGCHLD, SIGHUP, SIGINT, SIGTERM };
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (loop_signal(supervisor->loop, signals[i], on_signal, supervisor) != STATUS_OK)
            return false;
    return true;
}

static bool open_loop(struct supervisor *supervisor, struct conf_faults *faults)
{
    supervisor->loop = loop_new();
    if (!supervisor->loop || !watch_signals(supervisor)) {
        conf_faults_add(faults, 0, 0, "out of memory or descriptors");
        return false;
    }
    loop_hook_add(supervisor->loop, &supervisor->flush, on_flush);
    loop_timer_init(supervisor->loop, &supervisor->deadline, on_deadline);
    return true;
}

static bool make_tally(struct supervisor *supervisor, struct conf_faults *faults)
{
    uint32_t processes = supervisor->doors->processes;
    if (tally_create(processes, &supervisor->tally_fd) == STATUS_OK &&
        tally_map(supervisor->tally_fd, processes, processes, &supervisor->tally) == STATUS_OK)
        return true;
    conf_faults_add(faults, 0, 0, "no memory that processes share can be had: %s", strerror(errno));
    return false;
}

/* Ours forbids what no mail server needs, to us and so to all that we start; theirs come on top of it. */
static bool close_lock(struct supervisor *supervisor, struct conf_faults *faults)
{
    struct lock lock = { .role = LOCK_SUPERVISOR, .name = role_name(ROLE_SUPERVISOR), .log_fd = &supervisor->log.fd };
    char why[LOCK_WHY_SIZE];
    bool wanted = supervisor->plan->settings->common.locks;
    if (!wanted)
        log_warning(&supervisor->log, "locks-off", LOG_STR("why", "the settings say `locks: no`: the kernel does not hold the "
                                                                  "processes to their duties"));
    else if (lock_landlock() == 0)
        log_warning(&supervisor->log, "landlock-missing", LOG_STR("why", "this kernel has no Landlock: the processes are held by "
                                                                          "their system calls and their user alone"));
    if (!wanted || lock_close(&lock, why) == STATUS_OK)
        return true;
    conf_faults_add(faults, 0, 0, "this kernel cannot lock processes (%s); the setting `locks: no` does without", why);
    return false;
}

static void tell_users(struct supervisor *supervisor)
{
    const struct plan *plan = supervisor->plan;
    if (plan->change_user && plan->users_shared)
        log_info(&supervisor->log, "users-shared", LOG_SPAN("user", plan->settings->common.user),
                 LOG_STR("what", "those who speak with strangers have no user of their own (goniec-smtpd, goniec-delivery, or the "
                                 "settings users.smtpd and users.delivery); the other locks hold all the same"));
}

static bool open_all(struct supervisor *supervisor, struct conf_faults *faults)
{
    bool made = false;
    supervisor->plan = plan_new(supervisor->path, faults);
    if (!supervisor->plan)
        return false;
    const struct root_settings *settings = supervisor->plan->settings;
    limits_raise(supervisor->plan);
    unsigned processes = MIN(plan_processes(settings->smtpd.processes), CHILDREN_MAX / 2u);
    if (!folders_make(supervisor->plan, faults) || (supervisor->lock_fd = folders_lock(supervisor->plan, faults, &supervisor->was_cut_off)) < 0 ||
        (supervisor->log_fd = folders_log(supervisor->plan, faults)) < 0)
        return false;
    log_init(&supervisor->log, supervisor->log_fd, role_name(ROLE_SUPERVISOR),
             (enum log_level)settings->common.log.level);
    /* From here on a signal waits for the loop: a stop in the middle of the start is a stop, too. */
    if (!open_loop(supervisor, faults) || !plan_self_sign(supervisor->plan, faults, &made))
        return false;
    windows_begin(supervisor);
    limits_tell(supervisor, supervisor->plan);
    tell_users(supervisor);
    if (settings->common.tls.certificates.n == 0)
        log_warning(&supervisor->log, "self-signed-certificate", LOG_BOOL("made", made),
                    LOG_STR("why", "no certificate is configured (tls.certificates); clients will warn or refuse"));
    supervisor->doors = supervisor_doors_open(supervisor->plan, NULL, processes, faults);
    if (!supervisor->doors || !doors_open_local(supervisor->doors, supervisor->plan, NULL, faults) || !make_tally(supervisor, faults))
        return false;
    supervisor->tickets.count = 1;
    tls_random(supervisor->tickets.keys[0], sizeof supervisor->tickets.keys[0]);
    return supervisor_control_open(supervisor, faults) && close_lock(supervisor, faults) && start_children(supervisor, faults);
}

static void close_all(struct supervisor *supervisor)
{
    supervisor_control_close(supervisor);
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        child_kill(&supervisor->children[i]); /* none is left after a stop; after a failed start some are */
        child_done(&supervisor->children[i]);
    }
    doors_unlink(supervisor->doors, NULL);
    doors_free(supervisor->doors);
    if (supervisor->loop) {
        loop_hook_remove(&supervisor->flush);
        loop_timer_stop(&supervisor->deadline);
        loop_free(supervisor->loop);
    }
    log_done(&supervisor->log);
    if (supervisor->log_fd >= 0)
        close(supervisor->log_fd);
    if (supervisor->lock_fd >= 0)
        close(supervisor->lock_fd);
    if (supervisor->tally_fd >= 0)
        close(supervisor->tally_fd);
    tally_unmap(&supervisor->tally);
    plan_free(supervisor->plan);
}

int supervisor_run(const char *path)
{
    struct supervisor *supervisor = calloc(1, sizeof *supervisor);
    struct conf_faults faults;
    if (!supervisor)
        return 1;
    supervisor->path = path;
    supervisor->lock_fd = supervisor->log_fd = supervisor->tally_fd = -1;
    log_init(&supervisor->log, -1, role_name(ROLE_SUPERVISOR), LOG_INFO);
    notify_init();
    process_keep_secrets();
    umask(0027);
    conf_faults_init(&faults, path);
    int exit_status = 1;
    if (open_all(supervisor, &faults)) {
        loop_turn(supervisor->loop, 0); /* its end sends what the children wait for */
        loop_run(supervisor->loop);
        log_info(&supervisor->log, "stopped");
        exit_status = supervisor->exit_status;
        if (!supervisor->is_cut_off)
            folders_mark_stopped(supervisor->lock_fd);
    } else {
        fputs(buf_cstr(&faults.text), stderr);
        if (!supervisor->was_cut_off)
            folders_mark_stopped(supervisor->lock_fd);
    }
    close_all(supervisor);
    conf_faults_done(&faults);
    free(supervisor);
    return exit_status;
}

bool supervisor_check(const char *path, struct conf_faults *faults)
{
    struct plan *plan = plan_new(path, faults);
    if (!plan)
        return false;
    if (!folders_are_locked(plan)) /* else the ports are in use by the very server that was set up so */
        doors_free(supervisor_doors_open(plan, NULL, 1, faults));
    plan_free(plan);
    return faults->count == 0;
}
