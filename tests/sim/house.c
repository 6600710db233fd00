/* In the supervisor's place: it starts the roles and gives them, in its order and with its words (wire/supervisor.h),
 * settings, listeners, channels and the event log; what dies it starts again, with its pauses. It is the directory as well,
 * as far as smtpd needs one to open its doors: nobody logs in here. */
#include "supervisor/pause.h"
#include "wire/smtpd_directory.h"
#include "wire/supervisor.h"
#include "world.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The mains of the roles, as `goniec role NAME` calls them. */
int queue_main(void);
int delivery_main(void);
int smtpd_main(void);

enum { CHILDREN_MAX = 16, LAST_MS = 10000, PORT = 2525 };

enum order { ORDER_START, ORDER_RELOAD, ORDER_STOP, ORDER_FORGET, ORDER_DIRECTORY, ORDER_COUNT };
enum stage { STAGE_DOWN, STAGE_UP, STAGE_DRAINING, STAGE_EMPTYING };

struct child {
    enum role role;
    unsigned number, count;
    int pid;                     /* 0: none */
    bool ready, reloading;
    struct channel *channel;
    struct channel *desk;        /* smtpd's to the directory, our end */
    struct loop_timer again;
    int64_t started_ms;
    unsigned failures;
    int (*main)(void);
};

struct waiter {
    int pid;
    struct kernel_ended ended;
    struct list link;
};

static struct {
    struct loop *loop;
    struct loop_fd bell;
    struct child children[CHILDREN_MAX];
    unsigned child_count, reloads;
    int listeners[CHILDREN_MAX];
    int log_fd;
    enum stage stage;
    bool orders[ORDER_COUNT];
    bool paused, runs;
    struct list ended;           /* struct waiter */
    struct kernel_gate changed;
    char why[600];               /* the first who did not end as he should, while draining */
} house;

static void ring(void)
{
    uint64_t one = 1;
    if (write(house.bell.fd, &one, sizeof one) != sizeof one)
        kernel_fail("the house's bell is broken");
}

static bool is_edge(const struct child *child) { return child->role != ROLE_QUEUE; }

/* -- what a child hears -- */

static void settings_send(struct child *child)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(1 << 16);
    AUTO(buf_done) struct buf body = BUF_EMPTY(CHANNEL_BODY_MAX);
    struct supervisor_settings *settings = calloc(1, sizeof *settings);
    plan_settings(&world->plan, house.reloads, &text);
    if (child->role == ROLE_SMTPD) {
        struct supervisor_tickets tickets = { .count = 1 };
        supervisor_tickets_put(&body, &tickets);
        channel_send(child->channel, SUPERVISOR_TICKETS, buf_span(&body));
        buf_clear(&body);
    }
    *settings = (struct supervisor_settings){ .number = child->number, .count = child->count, .file = SPAN("sim.yaml"),
                                              .text = buf_span(&text) };
    supervisor_settings_put(&body, settings);
    channel_send(child->channel, SUPERVISOR_SETTINGS, buf_span(&body));
    free(settings);
    if (child->role != ROLE_SMTPD)
        return;
    buf_clear(&body);
    supervisor_listener_put(&body, &(struct supervisor_listener){ 0 });
    channel_send_fds(child->channel, SUPERVISOR_LISTENER, buf_span(&body), &house.listeners[child->number], 1);
}

static void log_send(struct child *child)
{
    channel_send_fds(child->channel, SUPERVISOR_LOG, SPAN_NONE, &house.log_fd, 1);
}

static void peer_send(struct child *to, struct supervisor_peer peer, int fd)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    supervisor_peer_put(&body, &peer);
    channel_send_fds(to->channel, SUPERVISOR_PEER, buf_span(&body), &fd, 1);
}

static struct supervisor_peer peer_of(const struct child *child)
{
    return (struct supervisor_peer){ child->role, child->number, child->count, (uint32_t)child->pid };
}

static void connect_two(struct child *a, struct child *b)
{
    int pair[2];
    if (channel_pair(pair) != STATUS_OK)
        kernel_fail("no channel for two processes");
    peer_send(a, peer_of(b), pair[0]);
    peer_send(b, peer_of(a), pair[1]);
    close(pair[0]);
    close(pair[1]);
}

/* -- the directory's desk -- */

static void on_question(void *arg, struct channel *channel, struct channel_message *message)
{
    AUTO(buf_done) struct buf body = BUF_EMPTY(256);
    struct ask_may_send may;
    struct ask_is_recipient is;
    struct tell_verdict verdict = { .verdict = VERDICT_YES };
    if (message->kind == ASK_MAY_SEND && ask_may_send_get(message->body, &may))
        verdict.token = may.token;
    else if (message->kind == ASK_IS_RECIPIENT && ask_is_recipient_get(message->body, &is))
        verdict.token = is.token;
    else
        return;
    tell_verdict_put(&body, &verdict);
    channel_send(channel, TELL_VERDICT, buf_span(&body));
}

static void on_desk_closed(void *arg, struct channel *channel, enum status why)
{
    struct child *child = arg;
    channel_free(channel);
    child->desk = NULL;
}

static void desk_open(struct child *child)
{
    static const struct channel_events events = { on_question, on_desk_closed };
    AUTO(buf_done) struct buf body = BUF_EMPTY(64);
    int pair[2];
    if (child->desk)
        channel_free(child->desk);
    child->desk = NULL;
    if (!child->channel || channel_pair(pair) != STATUS_OK)
        return;
    child->desk = channel_new(house.loop, pair[0], &events, child);
    peer_send(child, (struct supervisor_peer){ ROLE_DIRECTORY, 0, 1, 1 }, pair[1]);
    close(pair[1]);
    tell_mechanisms_put(&body, &(struct tell_mechanisms){ SPAN("PLAIN LOGIN") });
    channel_send(child->desk, TELL_MECHANISMS, buf_span(&body));
}

/* -- a child's life -- */

/* What it may fail at is the disk and memory, not what we say to it. */
static void on_failed(const struct child *child, struct span why)
{
    kernel_trace("%s failed: %.*s", role_name(child->role), SPAN_ARGS(why));
    bool is_starved = world->plan.memory && span_find_span(why, SPAN("out of memory")) < why.n;
    if (span_find_span(why, SPAN("sim.yaml")) < why.n && !is_starved)
        kernel_fail("%s refuses the settings: %.*s", role_name(child->role), SPAN_ARGS(why));
}

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct child *child = arg;
    struct supervisor_failed failed;
    if (message->kind == SUPERVISOR_READY)
        child->ready = true, child->reloading = false;
    else if (message->kind == SUPERVISOR_FAILED && supervisor_failed_get(message->body, &failed))
        on_failed(child, failed.text);
    kernel_gate_open(&house.changed);
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct child *child = arg;
    channel_free(channel);
    child->channel = NULL;
    if (why != STATUS_CLOSED && child->pid)
        kernel_kill(child->pid);
}

static void await(void *arg)
{
    struct waiter *waiter = arg;
    kernel_wait(waiter->pid, -1, &waiter->ended);
    list_add_last(&house.ended, &waiter->link);
    ring();
}

static void spawn(struct child *child)
{
    static const struct channel_events events = { on_message, on_closed };
    int pair[2];
    if (channel_pair(pair) != STATUS_OK)
        kernel_fail("no channel for a process");
    char name[32];
    snprintf(name, sizeof name, "%s%u", role_name(child->role), child->number);
    child->pid = kernel_spawn(name, child->main, pair[1]);
    child->channel = channel_new(house.loop, pair[0], &events, child);
    child->started_ms = kernel_now_ms();
    child->ready = child->reloading = false;
    world->totals.restarts++;
    struct waiter *waiter = calloc(1, sizeof *waiter);
    waiter->pid = child->pid;
    list_init(&waiter->link);
    kernel_fiber("waiter", await, waiter);
    settings_send(child);
    log_send(child);
}

static bool talks(const struct child *a, const struct child *b)
{
    return a->channel && b->channel && a != b && (a->role == ROLE_QUEUE) != (b->role == ROLE_QUEUE);
}

static void join_all(struct child *child)
{
    for (unsigned i = 0; i < house.child_count; i++)
        if (talks(child, &house.children[i]))
            connect_two(child, &house.children[i]);
    if (child->role == ROLE_SMTPD)
        desk_open(child);
}

static void order(struct child *child, enum supervisor_kind kind)
{
    if (child->channel)
        channel_send(child->channel, (uint16_t)kind, SPAN_NONE);
}

static void on_again(struct loop_timer *timer)
{
    struct child *child = CONTAINER(timer, struct child, again);
    if (house.paused || house.stage != STAGE_UP || child->pid)
        return;
    spawn(child);
    join_all(child);
    order(child, SUPERVISOR_START);
}

static void channels_close(struct child *child)
{
    if (child->channel)
        channel_free(child->channel);
    if (child->desk)
        channel_free(child->desk);
    child->channel = child->desk = NULL;
}

/* A thread's buffers for reading (net/stream.c) are the only memory that is kept to the end. */
enum { BUFFER_OCTETS = 163840, BUFFERS = 2 /* each no larger */ };

static bool is_clean(const struct kernel_ended *ended)
{
    bool good = ended->how == KERNEL_EXITED && ended->status == 0 && !ended->fds && !ended->threads;
    return good && ended->blocks <= BUFFERS && ended->octets <= ended->blocks * BUFFER_OCTETS;
}

static void unclean(const struct kernel_ended *ended)
{
    if (!house.why[0])
        snprintf(house.why, sizeof house.why, "%s ended %s with %d; it left %llu octets in %llu blocks, %u descriptors, %u threads",
                 ended->name, ended->how == KERNEL_EXITED ? "by itself" : ended->how == KERNEL_KILLED ? "killed" : "aborted",
                 ended->status, (unsigned long long)ended->octets, (unsigned long long)ended->blocks, ended->fds, ended->threads);
}

static void on_end(const struct kernel_ended *ended)
{
    for (unsigned i = 0; i < house.child_count; i++) {
        struct child *child = &house.children[i];
        if (child->pid != ended->pid)
            continue;
        kernel_trace("%s ended: how %d status %d", ended->name, ended->how, ended->status);
        if (ended->how == KERNEL_ABORTED && !world->plan.memory)
            kernel_fail("%s aborted", ended->name);
        if (child->role == ROLE_DELIVERY)
            ledger_incident(KILLED_DELIVERY, (uint64_t)ended->pid);
        channels_close(child);
        child->pid = 0;
        child->ready = false;
        if (house.stage >= STAGE_DRAINING && !is_clean(ended))
            unclean(ended);
        if (house.stage == STAGE_UP && !house.paused)
            loop_timer_set(&child->again, supervisor_pause_ms(&child->failures, kernel_now_ms() - child->started_ms));
    }
}

static bool any_alive(bool edge_only)
{
    for (unsigned i = 0; i < house.child_count; i++)
        if (house.children[i].pid && (!edge_only || is_edge(&house.children[i])))
            return true;
    return false;
}

static void drain(bool edge)
{
    for (unsigned i = 0; i < house.child_count; i++)
        if (is_edge(&house.children[i]) == edge)
            order(&house.children[i], SUPERVISOR_DRAIN);
}

static void stop_further(void)
{
    if (house.stage == STAGE_DRAINING && !any_alive(true)) {
        house.stage = STAGE_EMPTYING;
        drain(false);
    }
    if (house.stage == STAGE_EMPTYING && !any_alive(false))
        house.stage = STAGE_DOWN;
}

/* -- orders -- */

static void doors_open(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int one = 1;
    for (unsigned i = 0; i < world->plan.smtpds; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
        if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1000) != 0)
            kernel_fail("the doors cannot be opened");
        house.listeners[i] = fd;
    }
}

static void doors_close(void)
{
    for (unsigned i = 0; i < world->plan.smtpds; i++) {
        if (house.listeners[i] >= 0)
            close(house.listeners[i]);
        house.listeners[i] = -1;
    }
}

static void start(void)
{
    doors_open();
    house.stage = STAGE_UP;
    house.paused = false;
    for (unsigned i = 0; i < house.child_count; i++) {
        house.children[i].failures = 0;
        spawn(&house.children[i]);
        join_all(&house.children[i]);
    }
    for (unsigned i = 0; i < house.child_count; i++)
        order(&house.children[i], SUPERVISOR_START);
}

static void reload(void)
{
    house.reloads++;
    for (unsigned i = 0; i < house.child_count; i++) {
        struct child *child = &house.children[i];
        if (!child->channel)
            continue;
        log_send(child);
        settings_send(child);
        order(child, SUPERVISOR_RELOAD);
        child->reloading = true;
    }
}

static void stop(void)
{
    house.why[0] = 0;
    house.stage = STAGE_DRAINING;
    for (unsigned i = 0; i < house.child_count; i++)
        loop_timer_stop(&house.children[i].again);
    doors_close();
    drain(true);
}

static void forget(void)
{
    house.stage = STAGE_DOWN;
    for (unsigned i = 0; i < house.child_count; i++) {
        struct child *child = &house.children[i];
        loop_timer_stop(&child->again);
        if (child->pid)
            kernel_kill(child->pid);
        channels_close(child);
        child->pid = 0;
        child->ready = false;
    }
    doors_close();
}

static void desks_anew(void)
{
    for (unsigned i = 0; i < house.child_count; i++)
        if (house.children[i].role == ROLE_SMTPD)
            desk_open(&house.children[i]);
}

static void on_bell(struct loop_fd *fd, unsigned ready)
{
    static void (*const acts[ORDER_COUNT])(void) = { start, reload, stop, forget, desks_anew };
    uint64_t n;
    ssize_t got = read(fd->fd, &n, sizeof n);
    (void)got;
    for (struct list *link; (link = list_take_first(&house.ended));) {
        struct waiter *waiter = CONTAINER(link, struct waiter, link);
        on_end(&waiter->ended);
        free(waiter);
    }
    for (unsigned i = 0; i < ORDER_COUNT; i++)
        if (house.orders[i]) {
            house.orders[i] = false;
            acts[i]();
        }
    stop_further();
    kernel_gate_open(&house.changed);
}

static void child_add(enum role role, unsigned count, int (*main)(void))
{
    for (unsigned i = 0; i < count; i++) {
        struct child *child = &house.children[house.child_count++];
        *child = (struct child){ .role = role, .number = i, .count = count, .main = main };
        loop_timer_init(house.loop, &child->again, on_again);
    }
}

static void run(void *arg)
{
    loop_run(house.loop);
}

static void house_init(void)
{
    memset(&house, 0, sizeof house);
    house.runs = true;
    list_init(&house.ended);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        house.listeners[i] = -1;
    house.loop = loop_new();
    house.log_fd = story_sink();
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!house.loop || loop_fd_add(house.loop, &house.bell, bell, LOOP_READ, on_bell) != STATUS_OK)
        kernel_fail("the house has no loop");
    child_add(ROLE_QUEUE, 1, queue_main);
    child_add(ROLE_DELIVERY, world->plan.deliveries, delivery_main);
    child_add(ROLE_SMTPD, world->plan.smtpds, smtpd_main);
    kernel_fiber("house", run, NULL);
}

/* -- what other fibers ask for -- */

static void ask(enum order which)
{
    house.orders[which] = true;
    ring();
    while (house.orders[which])
        kernel_gate_wait(&house.changed, -1);
}

void house_begin(void) { house_init(); }
void house_start(void) { ask(ORDER_START); }
void house_reload(void) { ask(ORDER_RELOAD); }
void house_forget(void) { ask(ORDER_FORGET); }
void house_off(void) { house.paused = true; }
void house_directory_dies(void) { ask(ORDER_DIRECTORY); }

static bool all_ready(void)
{
    for (unsigned i = 0; i < house.child_count; i++)
        if (!house.children[i].ready)
            return false;
    return true;
}

bool house_wait_ready(int64_t ms)
{
    int64_t until = kernel_now_ms() + ms;
    while (!all_ready()) {
        if (kernel_now_ms() >= until)
            return false;
        kernel_gate_wait(&house.changed, until - kernel_now_ms());
    }
    return true;
}

bool house_stop(int64_t ms, char *why, size_t room)
{
    int64_t until = kernel_now_ms() + ms;
    ask(ORDER_STOP);
    while (house.stage != STAGE_DOWN && kernel_now_ms() < until)
        kernel_gate_wait(&house.changed, until - kernel_now_ms());
    if (house.stage != STAGE_DOWN)
        snprintf(house.why, sizeof house.why, "a stop took longer than %lld s", (long long)ms / 1000);
    snprintf(why, room, "%s", house.why);
    if (house.stage != STAGE_DOWN)
        house_forget();
    return !why[0];
}

int house_pid(const char *role, unsigned number)
{
    for (unsigned i = 0; i < house.child_count; i++)
        if (strcmp(role_name(house.children[i].role), role) == 0 && house.children[i].number == number)
            return house.children[i].pid;
    return 0;
}
