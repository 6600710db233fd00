#include "loop/loop.h"
#include "base/time.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS_A_TURN 256
#define SIGNALS_MAX 32

struct signal_handler {
    void (*run)(void *arg, int signal);
    void *arg;
};

struct loop {
    int epoll;
    int bulk;                 /* a set of its own inside the first one; -1 until it is needed */
    struct loop_fd bulk_fd;
    bool bulk_ready, running;
    int64_t now_ms, wall_ms;
    struct heap timers;
    struct list tasks, hooks;
    struct epoll_event ready[EVENTS_A_TURN]; /* of this turn; a removed descriptor's are blanked */
    int ready_count;
    struct loop_fd signal_fd;
    sigset_t signals;
    struct signal_handler handlers[SIGNALS_MAX];
};

static void read_clock(struct loop *loop)
{
    loop->now_ms = time_mono_ms();
    loop->wall_ms = time_wall_ms();
}

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return NULL;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        free(loop);
        return NULL;
    }
    loop->signal_fd.fd = -1;
    loop->bulk = -1;
    sigemptyset(&loop->signals);
    list_init(&loop->tasks);
    list_init(&loop->hooks);
    read_clock(loop);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->signal_fd.fd >= 0)
        close(loop->signal_fd.fd);
    if (loop->bulk >= 0)
        close(loop->bulk);
    close(loop->epoll);
    heap_done(&loop->timers);
    free(loop);
}

int64_t loop_now_ms(const struct loop *loop) { return loop->now_ms; }
int64_t loop_wall_ms(const struct loop *loop) { return loop->wall_ms; }
void loop_stop(struct loop *loop) { loop->running = false; }

static uint32_t epoll_events(unsigned want)
{
    return (want & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0) | (want & LOOP_WRITE ? EPOLLOUT : 0);
}

enum status loop_fd_add(struct loop *loop, struct loop_fd *self, int fd, unsigned want,
                        void (*on_ready)(struct loop_fd *, unsigned))
{
    struct epoll_event event = { .events = epoll_events(want), .data.ptr = self };
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return STATUS_IO;
    *self = (struct loop_fd){ .fd = fd, .want = want, .on_ready = on_ready, .loop = loop };
    return STATUS_OK;
}

static int set_of(const struct loop_fd *self) { return self->bulk ? self->loop->bulk : self->loop->epoll; }

void loop_fd_want(struct loop_fd *self, unsigned want)
{
    if (!self->loop || self->want == want)
        return;
    struct epoll_event event = { .events = epoll_events(want), .data.ptr = self };
    if (epoll_ctl(set_of(self), EPOLL_CTL_MOD, self->fd, &event) == 0)
        self->want = want;
}

static void on_bulk_ready(struct loop_fd *fd, unsigned ready) { fd->loop->bulk_ready = true; }

static bool open_bulk(struct loop *loop)
{
    if (loop->bulk >= 0)
        return true;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd >= 0 && loop_fd_add(loop, &loop->bulk_fd, fd, LOOP_READ, on_bulk_ready) == STATUS_OK)
        loop->bulk = fd;
    else if (fd >= 0)
        close(fd);
    return loop->bulk >= 0;
}

void loop_fd_set_bulk(struct loop_fd *self, bool bulk)
{
    if (!self->loop || self->bulk == bulk || !open_bulk(self->loop))
        return;
    struct epoll_event event = { .events = epoll_events(self->want), .data.ptr = self };
    int from = set_of(self), to = bulk ? self->loop->bulk : self->loop->epoll;
    if (epoll_ctl(to, EPOLL_CTL_ADD, self->fd, &event) != 0)
        return;
    epoll_ctl(from, EPOLL_CTL_DEL, self->fd, NULL);
    self->bulk = bulk;
}

void loop_fd_remove(struct loop_fd *self)
{
    if (!self->loop)
        return;
    epoll_ctl(set_of(self), EPOLL_CTL_DEL, self->fd, NULL);
    loop_fd_forget(self);
}

void loop_fd_forget(struct loop_fd *self)
{
    if (!self->loop)
        return;
    for (int i = 0; i < self->loop->ready_count; i++)
        if (self->loop->ready[i].data.ptr == self)
            self->loop->ready[i].data.ptr = NULL;
    self->loop = NULL;
}

void loop_timer_init(struct loop *loop, struct loop_timer *self, void (*on_due)(struct loop_timer *))
{
    *self = (struct loop_timer){ .on_due = on_due, .loop = loop };
}

/* Out of memory for a timer would silence a timeout, which no caller could mend: give up loudly,
 * the supervisor starts the process again and nothing acknowledged depends on it. */
void loop_timer_set(struct loop_timer *self, int64_t after_ms)
{
    if (heap_set(&self->loop->timers, &self->node, self->loop->now_ms + MAX(after_ms, 0)) != STATUS_OK)
        abort();
}

void loop_timer_stop(struct loop_timer *self)
{
    if (self->loop)
        heap_remove(&self->loop->timers, &self->node);
}

void loop_task_init(struct loop *loop, struct loop_task *self, void (*run)(struct loop_task *))
{
    self->run = run;
    self->loop = loop;
    list_init(&self->link);
}

void loop_later(struct loop_task *self)
{
    if (!list_is_linked(&self->link))
        list_add_last(&self->loop->tasks, &self->link);
}

void loop_task_cancel(struct loop_task *self)
{
    if (self->loop && list_is_linked(&self->link))
        list_remove(&self->link);
}

void loop_hook_add(struct loop *loop, struct loop_task *self, void (*run)(struct loop_task *))
{
    loop_task_init(loop, self, run);
    list_add_last(&loop->hooks, &self->link);
}

void loop_hook_remove(struct loop_task *self)
{
    loop_task_cancel(self);
}

static void on_signal_ready(struct loop_fd *fd, unsigned ready)
{
    struct loop *loop = fd->loop;
    struct signalfd_siginfo info;
    while (read(fd->fd, &info, sizeof info) == sizeof info)
        if (info.ssi_signo < SIGNALS_MAX && loop->handlers[info.ssi_signo].run)
            loop->handlers[info.ssi_signo].run(loop->handlers[info.ssi_signo].arg, (int)info.ssi_signo);
}

enum status loop_signal(struct loop *loop, int signal, void (*on_signal)(void *arg, int signal), void *arg)
{
    if (signal <= 0 || signal >= SIGNALS_MAX)
        return STATUS_DENIED;
    loop->handlers[signal] = (struct signal_handler){ on_signal, arg };
    sigaddset(&loop->signals, signal);
    if (sigprocmask(SIG_BLOCK, &loop->signals, NULL) < 0)
        return STATUS_IO;
    int fd = signalfd(loop->signal_fd.fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return STATUS_IO;
    if (loop->signal_fd.fd >= 0)
        return STATUS_OK;
    if (loop_fd_add(loop, &loop->signal_fd, fd, LOOP_READ, on_signal_ready) == STATUS_OK)
        return STATUS_OK;
    close(fd);
    return STATUS_IO;
}

static int next_wait_ms(const struct loop *loop, int most_ms)
{
    struct heap_node *first = heap_first(&loop->timers);
    if (!list_is_empty(&loop->tasks))
        return 0;
    if (!first)
        return most_ms;
    /* The kept clock is as old as this turn: measure again, else every timer would come late. */
    int64_t wait = MIN(MAX(first->due - time_mono_ms(), 0), 1000000);
    return most_ms < 0 ? (int)wait : (int)MIN(wait, most_ms);
}

static void run_ready(struct loop *loop)
{
    for (int i = 0; i < loop->ready_count; i++) {
        struct loop_fd *fd = loop->ready[i].data.ptr;
        uint32_t events = loop->ready[i].events;
        if (!fd)
            continue; /* removed earlier in this turn */
        unsigned ready = (events & (EPOLLIN | EPOLLRDHUP) ? LOOP_READ : 0u) | (events & EPOLLOUT ? LOOP_WRITE : 0u) |
                         (events & (EPOLLERR | EPOLLHUP) ? LOOP_ERROR : 0u);
        fd->on_ready(fd, ready);
    }
    loop->ready_count = 0;
}

/* Each call gives the kernel's list a turn of its own, so whoever was called stands behind the others. */
static void run_bulk(struct loop *loop)
{
    if (!loop->bulk_ready)
        return;
    loop->bulk_ready = false;
    loop->ready_count = MAX(epoll_wait(loop->bulk, loop->ready, LOOP_BULK_TURN, 0), 0);
    run_ready(loop);
}

static void run_timers(struct loop *loop)
{
    struct heap_node *first;
    while ((first = heap_first(&loop->timers)) != NULL && first->due <= loop->now_ms) {
        struct loop_timer *timer = CONTAINER(first, struct loop_timer, node);
        heap_remove(&loop->timers, first);
        timer->on_due(timer);
    }
}

/* Only the tasks asked for until now: one that asks again waits for the next turn. */
static void run_tasks(struct loop *loop)
{
    struct list now;
    if (list_is_empty(&loop->tasks))
        return;
    list_init(&now);
    list_add_first(&loop->tasks, &now); /* `now` takes the ring over from `tasks` */
    list_remove(&loop->tasks);
    struct list *link;
    while ((link = list_take_first(&now)) != NULL) {
        struct loop_task *task = CONTAINER(link, struct loop_task, link);
        task->run(task);
    }
}

/* A hook may remove itself or any other: a marker keeps our place in the ring. */
static void run_hooks(struct loop *loop)
{
    struct list marker;
    list_init(&marker);
    list_add_first(&loop->hooks, &marker);
    while (marker.next != &loop->hooks) {
        struct list *link = marker.next;
        list_remove(&marker);
        list_add_first(link, &marker);
        struct loop_task *hook = CONTAINER(link, struct loop_task, link);
        hook->run(hook);
    }
    list_remove(&marker);
}

void loop_turn(struct loop *loop, int wait_ms)
{
    int count = epoll_wait(loop->epoll, loop->ready, EVENTS_A_TURN, next_wait_ms(loop, wait_ms));
    loop->ready_count = MAX(count, 0);
    read_clock(loop);
    run_ready(loop);
    run_bulk(loop);
    run_timers(loop);
    run_tasks(loop);
    run_hooks(loop);
}

void loop_run(struct loop *loop)
{
    loop->running = true;
    while (loop->running)
        loop_turn(loop, -1);
}
