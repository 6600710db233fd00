#include "base/time.h"
#include "lock/lock.h"
#include "supervisor/pause.h"
#include "supervisor/supervisor_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STARTS_MAX = 4 };

/* Who talks to whom. The channel to us is everybody's own. */
static const struct {
    enum role a, b;
} pairs[] = {
    { ROLE_SMTPD, ROLE_QUEUE },
    { ROLE_SMTPD, ROLE_DIRECTORY },
    { ROLE_DELIVERY, ROLE_QUEUE },
    { ROLE_DIRECTORY, ROLE_QUEUE },
    { ROLE_SHARE, ROLE_DIRECTORY },
};

static void on_again(struct loop_timer *timer)
{
    struct child *child = CONTAINER(timer, struct child, again);
    if (!child_spawn(child)) {
        loop_timer_set(&child->again, SUPERVISOR_PAUSE_MAX_MS);
        return;
    }
    child_connect(child);
    child_begin(child);
}

void child_init(struct child *child, struct supervisor *supervisor, enum role role, uint32_t number, uint32_t count)
{
    *child = (struct child){ .supervisor = supervisor, .role = role, .number = number, .count = count };
    loop_timer_init(supervisor->loop, &child->again, on_again);
}

void child_done(struct child *child)
{
    loop_timer_stop(&child->again);
    channel_free(child->channel);
    child->channel = NULL;
}

/* It goes to somebody's terminal, and may be an intruder's. */
static void tell_failed(struct child *child, struct span why)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(4096);
    buf_add(&text, why);
    for (size_t i = 0; i < text.n; i++)
        if (((unsigned char)text.p[i] < ' ' && text.p[i] != '\n') || text.p[i] == 0x7f)
            text.p[i] = '?';
    supervisor_child_failed(child, buf_span(&text));
}

/* A client of this machine came to smtpd, which can look nothing up. */
static void tell_who(struct child *child, struct span body)
{
    struct supervisor_who who;
    struct supervisor_who_is found;
    AUTO(buf_done) struct buf answer = BUF_EMPTY(2048);
    if (child->role != ROLE_SMTPD || !supervisor_who_get(body, &who))
        return;
    who_find(&who, &found);
    supervisor_who_is_put(&answer, &found);
    channel_send(child->channel, SUPERVISOR_WHO_IS, buf_span(&answer));
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct child *child = arg;
    struct supervisor_failed failed;
    if (message->kind == SUPERVISOR_READY)
        supervisor_child_ready(child);
    else if (message->kind == SUPERVISOR_FAILED && supervisor_failed_get(message->body, &failed))
        tell_failed(child, failed.text);
    else if (message->kind == SUPERVISOR_WHO)
        tell_who(child, message->body);
    /* DRAINED: its end follows, and that is what counts */
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct child *child = arg;
    channel_free(channel);
    child->channel = NULL;
    if (why != STATUS_CLOSED)
        child_kill(child); /* one that cannot be talked to is worth nothing */
}

/* --- in the new process, between fork and exec: nothing but system calls --- */

static void become_user(const struct plan *plan, enum role role)
{
    const struct plan_user *user = &plan->users[role];
    if (!plan->change_user)
        return;
    if (setgroups(1, &user->gid) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        _exit(126);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

NORETURN static void run_role(const struct child *child, int fd, pid_t parent)
{
    char number[12];
    const char *const argv[] = { "goniec", "role", role_name(child->role), number, NULL };
    snprintf(number, sizeof number, "%u", child->number);
    reset_signals();
    if (fd != SUPERVISOR_FD ? dup2(fd, SUPERVISOR_FD) != SUPERVISOR_FD : fcntl(fd, F_SETFD, 0) != 0)
        _exit(126);
    close_range(SUPERVISOR_FD + 1, UINT_MAX, 0);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    if (null > SUPERVISOR_FD)
        close(null);
    become_user(child->supervisor->plan, child->role);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* ports below 1024 are our business */
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no orphan may hold the spool when a new supervisor comes */
    if (getppid() != parent)
        _exit(126);
    execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* --- starting --- */

static bool counts(const struct child *child) { return child->role == ROLE_SMTPD || child->role == ROLE_DIRECTORY; }

/* Directory's column is behind those of the processes smtpd. */
static uint32_t column_of(const struct child *child)
{
    return child->role == ROLE_SMTPD ? child->number : child->supervisor->tally.processes;
}

static void send_tally(struct child *child)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    if (!child->channel || !counts(child))
        return;
    supervisor_tally_put(&body, &(struct supervisor_tally){ child->supervisor->tally.processes, column_of(child) });
    channel_send_fds(child->channel, SUPERVISOR_TALLY, buf_span(&body), &child->supervisor->tally_fd, 1);
}

bool child_spawn(struct child *child)
{
    static const struct channel_events events = { on_message, on_closed };
    struct supervisor *supervisor = child->supervisor;
    int pair[2];
    if (channel_pair(pair) != STATUS_OK) {
        log_error(&supervisor->log, "start-failed", LOG_STR("child", role_name(child->role)),
                  LOG_STR("why", strerror(errno)));
        return false;
    }
    log_flush(&supervisor->log);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        run_role(child, pair[1], parent);
    close(pair[1]);
    child->channel = pid > 0 ? channel_new(supervisor->loop, pair[0], &events, child) : NULL;
    if (!child->channel) {
        close(pair[0]); /* the child, if there is one, sees that and goes */
        log_error(&supervisor->log, "start-failed", LOG_STR("child", role_name(child->role)),
                  LOG_STR("why", strerror(errno)));
        if (pid <= 0)
            return false;
    }
    child->pid = pid;
    child->state = CHILD_STARTING;
    child->started_ms = time_mono_ms();
    child->reloading = false;
    log_info(&supervisor->log, "child-started", LOG_STR("child", role_name(child->role)),
             LOG_INT("number", child->number), LOG_INT("child_pid", pid));
    send_tally(child);
    child_settings(child);
    child_log(child);
    return true;
}

void child_order(struct child *child, enum supervisor_kind kind)
{
    if (child->channel)
        channel_send(child->channel, (uint16_t)kind, SPAN_NONE);
}

static void send_listeners(struct child *child)
{
    const struct doors *doors = child->supervisor->doors;
    for (size_t i = 0; i < doors->n; i++) {
        AUTO(buf_done) struct buf body = BUF_EMPTY(64);
        supervisor_listener_put(&body, &(struct supervisor_listener){ doors->items[i].index });
        channel_send_fds(child->channel, SUPERVISOR_LISTENER, buf_span(&body), &doors->items[i].fds[child->number], 1);
    }
    if (doors->local >= 0) {
        AUTO(buf_done) struct buf body = BUF_EMPTY(64);
        supervisor_listener_put(&body, &(struct supervisor_listener){ WIRE_LISTENER_LOCAL });
        channel_send_fds(child->channel, SUPERVISOR_LISTENER, buf_span(&body), &doors->local, 1);
    }
}

void child_settings(struct child *child)
{
    if (!child->channel)
        return;
    AUTO(buf_wipe) struct buf body = BUF_EMPTY(CHANNEL_BODY_MAX);
    if (child->role == ROLE_SMTPD) {
        supervisor_tickets_put(&body, &child->supervisor->tickets);
        channel_send(child->channel, SUPERVISOR_TICKETS, buf_span(&body));
        buf_clear(&body);
    }
    plan_settings(child->supervisor->plan, child->role, child->number, child->count, &body);
    if (body.failed || channel_send(child->channel, SUPERVISOR_SETTINGS, buf_span(&body)) != STATUS_OK) {
        log_error(&child->supervisor->log, "settings-too-large", LOG_STR("child", role_name(child->role)));
        return;
    }
    if (child->role == ROLE_SMTPD)
        send_listeners(child);
}

void child_log(struct child *child)
{
    if (child->channel)
        channel_send_fds(child->channel, SUPERVISOR_LOG, SPAN_NONE, &child->supervisor->log_fd, 1);
}

static void send_peer(struct child *to, const struct child *peer, int fd)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    supervisor_peer_put(&body, &(struct supervisor_peer){ peer->role, peer->number, peer->count, (uint32_t)peer->pid });
    channel_send_fds(to->channel, SUPERVISOR_PEER, buf_span(&body), &fd, 1);
}

static void connect_two(struct child *a, struct child *b)
{
    int pair[2];
    if (channel_pair(pair) != STATUS_OK) {
        log_error(&a->supervisor->log, "peer-failed", LOG_STR("why", strerror(errno)));
        return;
    }
    send_peer(a, b, pair[0]);
    send_peer(b, a, pair[1]);
    close(pair[0]);
    close(pair[1]);
}

void child_connect(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    for (size_t i = 0; child->channel && i < ARRAY_LEN(pairs); i++) {
        if (child->role != pairs[i].a && child->role != pairs[i].b)
            continue;
        enum role other = child->role == pairs[i].a ? pairs[i].b : pairs[i].a;
        for (unsigned j = 0; j < supervisor->child_count; j++) {
            struct child *peer = &supervisor->children[j];
            if (peer->role == other && peer->channel)
                connect_two(child, peer);
        }
    }
}

void child_begin(struct child *child)
{
    child_order(child, SUPERVISOR_START);
}

/* --- ending --- */

void child_kill(struct child *child)
{
    if (child->pid > 0)
        kill(child->pid, SIGKILL);
}

/* What it wanted stands in the line that it wrote itself. Or it wrote none, because the filter ended it (a call of
 * another architecture), or because it was no longer itself. */
static void tell_broken_lock(const struct child *child, int how)
{
    bool broken = (WIFEXITED(how) && WEXITSTATUS(how) == LOCK_BROKEN_STATUS) || (WIFSIGNALED(how) && WTERMSIG(how) == SIGSYS);
    if (broken)
        log_error(&child->supervisor->log, "child-broke-lock", LOG_STR("child", role_name(child->role)),
                  LOG_INT("number", child->number), LOG_INT("child_pid", child->pid),
                  LOG_STR("why", "it was ended because it asked the kernel for what its lock forbids: a bug, or a break-in; "
                                 "the event lock-broken of that process names the system call"));
}

static void on_end(struct child *child, int how)
{
    struct supervisor *supervisor = child->supervisor;
    int64_t lived_ms = time_mono_ms() - child->started_ms;
    bool stopping = supervisor->stage >= STAGE_STOPPING;
    bool expected = stopping && WIFEXITED(how) && WEXITSTATUS(how) == 0;
    log_event(&supervisor->log, expected ? LOG_INFO : LOG_ERROR, "child-ended",
              LOG_STR("child", role_name(child->role)), LOG_INT("number", child->number),
              LOG_INT("child_pid", child->pid), LOG_INT("exit", WIFEXITED(how) ? WEXITSTATUS(how) : -1),
              LOG_INT("signal", WIFSIGNALED(how) ? WTERMSIG(how) : 0), LOG_INT("lived_ms", lived_ms));
    if (!expected)
        windows_child_ended(child);
    tell_broken_lock(child, how);
    channel_free(child->channel);
    child->channel = NULL;
    child->pid = 0;
    child->state = CHILD_DOWN;
    if (counts(child))
        tally_forget(&supervisor->tally, column_of(child));
    if (child->reloading)
        reload_answer(child, SPAN_NONE); /* it starts again with the new settings */
    int64_t pause = supervisor_pause_ms(&child->failures, lived_ms);
    /* Killed in the middle of the start, it gets another chance; one that gave up by itself would do so again. */
    bool again = supervisor->stage == STAGE_RUNNING ||
                 (supervisor->stage == STAGE_STARTING && WIFSIGNALED(how) && child->failures < STARTS_MAX);
    if (again)
        loop_timer_set(&child->again, pause);
    else
        supervisor_child_gone(child);
}

void child_reap(struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];
        int how;
        if (child->pid > 0 && waitpid(child->pid, &how, WNOHANG) == child->pid)
            on_end(child, how);
    }
}
