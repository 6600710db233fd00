/* Who waits for what: epoll (level-triggered, sets inside of sets), eventfd, poll. */
#include "kernel_priv.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

int __real_epoll_create1(int flags);
int __real_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __real_epoll_wait(int epoll, struct epoll_event *events, int most, int ms);
int __real_eventfd(unsigned count, int flags);
int __real_poll(struct pollfd *fds, nfds_t n, int ms);

struct epoll {
    struct object object;
    struct list watches, ready;
};

struct watch {               /* a descriptor in a set */
    struct list of_object, of_epoll, of_ready;
    struct object *object;   /* not counted: it drops the watch when it goes */
    struct epoll *epoll;
    int fd;
    struct epoll_event event;
};

struct event_fd {
    struct object object;
    uint64_t count;
};

/* -- changes -- */

static uint32_t watch_ready(const struct watch *watch)
{
    return object_ready(watch->object) & (watch->event.events | EPOLLERR | EPOLLHUP);
}

static void watch_look(struct watch *watch)
{
    if (list_is_linked(&watch->of_ready) || !watch_ready(watch))
        return;
    list_add_last(&watch->epoll->ready, &watch->of_ready);
    object_changed(&watch->epoll->object);
}

void object_changed(struct object *object)
{
    kernel_gate_open(&object->gate);
    for (LIST_EACH(link, &object->watchers))
        watch_look(CONTAINER(link, struct watch, of_object));
}

bool object_wait(struct object *object, int64_t until_us)
{
    object_hold(object);
    return fiber_wait(&object->gate, until_us);
}

/* Somebody else may close the descriptor while the call waits. */
void object_hold(struct object *object)
{
    struct object *before = kernel.running->holds;
    if (object)
        object->refs++;
    kernel.running->holds = object;
    object_unref(before);
}

uint32_t object_ready(struct object *object)
{
    switch (object->kind) {
    case OBJECT_SOCKET: return socket_ready(object);
    case OBJECT_EPOLL: return epoll_ready(object);
    case OBJECT_EVENT: return event_fd_ready(object);
    default: return EPOLLIN | EPOLLOUT;
    }
}

/* -- epoll -- */

static void watch_free(struct watch *watch)
{
    list_remove(&watch->of_object);
    list_remove(&watch->of_epoll);
    list_remove(&watch->of_ready);
    kernel_free(watch);
}

void watchers_drop(struct object *object)
{
    for (LIST_EACH(link, &object->watchers))
        watch_free(CONTAINER(link, struct watch, of_object));
}

void epoll_free(struct object *object)
{
    struct epoll *epoll = CONTAINER(object, struct epoll, object);
    for (LIST_EACH(link, &epoll->watches))
        watch_free(CONTAINER(link, struct watch, of_epoll));
    kernel_free(epoll);
}

/* What only was ready leaves the list here. */
uint32_t epoll_ready(struct object *object)
{
    struct epoll *epoll = CONTAINER(object, struct epoll, object);
    for (LIST_EACH(link, &epoll->ready)) {
        if (watch_ready(CONTAINER(link, struct watch, of_ready)))
            return EPOLLIN;
        list_remove(link);
    }
    return 0;
}

static int install(struct object *object, bool cloexec)
{
    int fd = fd_new(object, cloexec);
    object_unref(object);
    return fd;
}

int __wrap_epoll_create1(int flags);
int __wrap_epoll_create1(int flags)
{
    if (!inside())
        return __real_epoll_create1(flags);
    call_begin("epoll_create1");
    struct epoll *epoll = kernel_calloc(1, sizeof *epoll);
    object_init(&epoll->object, OBJECT_EPOLL);
    list_init(&epoll->watches);
    list_init(&epoll->ready);
    return (int)call_end("epoll_create1", flags, 0, 0, install(&epoll->object, flags & EPOLL_CLOEXEC));
}

static struct watch *watch_find(struct epoll *epoll, struct object *object, int fd)
{
    for (LIST_EACH(link, &object->watchers)) {
        struct watch *watch = CONTAINER(link, struct watch, of_object);
        if (watch->epoll == epoll && watch->fd == fd)
            return watch;
    }
    return NULL;
}

static void watch_new(struct epoll *epoll, struct object *object, int fd)
{
    struct watch *watch = kernel_calloc(1, sizeof *watch);
    watch->object = object;
    watch->epoll = epoll;
    watch->fd = fd;
    list_init(&watch->of_ready);
    list_add_last(&object->watchers, &watch->of_object);
    list_add_last(&epoll->watches, &watch->of_epoll);
}

static int control(struct epoll *epoll, int op, int fd, const struct epoll_event *event)
{
    struct object *object = fd_object(fd);
    if (!object)
        return EBADF;
    if (object->kind == OBJECT_FILE || object->kind == OBJECT_FOLDER || object->kind == OBJECT_SINK)
        return EPERM;
    struct watch *watch = watch_find(epoll, object, fd);
    if (op == EPOLL_CTL_ADD ? watch != NULL : watch == NULL)
        return op == EPOLL_CTL_ADD ? EEXIST : ENOENT;
    if (op == EPOLL_CTL_DEL) {
        watch_free(watch);
        return 0;
    }
    if (op == EPOLL_CTL_ADD) {
        watch_new(epoll, object, fd);
        watch = watch_find(epoll, object, fd);
    }
    watch->event = *event;
    watch_look(watch);
    return 0;
}

int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    if (!inside())
        return __real_epoll_ctl(epoll, op, fd, event);
    call_begin("epoll_ctl");
    struct object *object = fd_of_kind(epoll, OBJECT_EPOLL, EINVAL);
    int wrong = object ? control(CONTAINER(object, struct epoll, object), op, fd, event) : errno;
    if (wrong)
        return (int)call_error("epoll_ctl", epoll, op, fd, wrong);
    return (int)call_end("epoll_ctl", epoll, op, fd, 0);
}

/* Each that is told of moves behind the others: the kernel's list goes round. */
static int collect(struct epoll *epoll, struct epoll_event *events, int most)
{
    struct list again;
    int count = 0;
    list_init(&again);
    while (count < most && !list_is_empty(&epoll->ready)) {
        struct watch *watch = CONTAINER(list_take_first(&epoll->ready), struct watch, of_ready);
        uint32_t ready = watch_ready(watch);
        if (!ready)
            continue;
        events[count++] = (struct epoll_event){ ready, watch->event.data };
        list_add_last(&again, &watch->of_ready);
    }
    for (struct list *link; (link = list_take_first(&again)) != NULL;)
        list_add_last(&epoll->ready, link);
    return count;
}

/* Nobody promises an order. */
static void shuffle(struct epoll_event *events, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)chance_below((uint64_t)i + 1);
        struct epoll_event kept = events[i];
        events[i] = events[j];
        events[j] = kept;
    }
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int ms)
{
    if (!inside())
        return __real_epoll_wait(fd, events, most, ms);
    call_begin("epoll_wait");
    struct object *object = fd_of_kind(fd, OBJECT_EPOLL, EINVAL);
    if (!object)
        return (int)call_error("epoll_wait", fd, most, ms, errno);
    int64_t until_us = ms < 0 ? NEVER : now_us() + (int64_t)ms * 1000;
    int count;
    while ((count = collect(CONTAINER(object, struct epoll, object), events, most)) == 0 && now_us() < until_us) {
        if (fault(kernel.faults.eintr))
            return (int)call_error("epoll_wait", fd, most, ms, EINTR);
        object_wait(object, until_us);
    }
    if (count > 1 && fault(kernel.faults.change))
        shuffle(events, count);
    return (int)call_end("epoll_wait", fd, most, ms, count);
}

/* -- eventfd -- */

int __wrap_eventfd(unsigned count, int flags);
int __wrap_eventfd(unsigned count, int flags)
{
    if (!inside())
        return __real_eventfd(count, flags);
    call_begin("eventfd");
    struct event_fd *event = kernel_calloc(1, sizeof *event);
    object_init(&event->object, OBJECT_EVENT);
    event->object.nonblock = flags & EFD_NONBLOCK;
    event->count = count;
    return (int)call_end("eventfd", count, flags, 0, install(&event->object, flags & EFD_CLOEXEC));
}

void event_fd_free(struct object *object) { kernel_free(CONTAINER(object, struct event_fd, object)); }

uint32_t event_fd_ready(struct object *object)
{
    return (CONTAINER(object, struct event_fd, object)->count ? EPOLLIN : 0u) | EPOLLOUT;
}

ssize_t event_fd_read(struct object *object, void *p, size_t n)
{
    struct event_fd *event = CONTAINER(object, struct event_fd, object);
    while (!event->count) {
        if (object->nonblock) {
            errno = EAGAIN;
            return -1;
        }
        object_wait(object, NEVER);
    }
    *(uint64_t *)p = event->count;
    event->count = 0;
    return sizeof event->count;
}

ssize_t event_fd_write(struct object *object, const void *p, size_t n)
{
    struct event_fd *event = CONTAINER(object, struct event_fd, object);
    event->count += *(const uint64_t *)p;
    object_changed(object);
    return sizeof event->count;
}

/* -- poll -- */

static int poll_look(struct pollfd *fds, nfds_t n)
{
    int count = 0;
    for (nfds_t i = 0; i < n; i++) {
        struct object *object = fds[i].fd >= 0 ? fd_object(fds[i].fd) : NULL;
        unsigned ready = object ? object_ready(object) & ((unsigned)fds[i].events | POLLERR | POLLHUP) : 0; /* the same bits */
        fds[i].revents = (short)(object || fds[i].fd < 0 ? ready : POLLNVAL);
        count += fds[i].revents != 0;
    }
    return count;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int ms)
{
    if (!inside())
        return __real_poll(fds, n, ms);
    call_begin("poll");
    int64_t until_us = ms < 0 ? NEVER : now_us() + (int64_t)ms * 1000;
    int count;
    while ((count = poll_look(fds, n)) == 0 && now_us() < until_us) {
        if (n == 1)
            object_wait(fd_object(fds[0].fd), until_us);
        else
            fiber_sleep_until(n ? MIN(until_us, now_us() + 1000) : until_us);
    }
    return (int)call_end("poll", (int64_t)n, ms, 0, count);
}
