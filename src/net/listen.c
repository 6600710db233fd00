#include "net/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A path left over by a process that has died: nobody answers there. A live one stays. */
static void unlink_stale(const struct net_address *at)
{
    struct stat stat_of;
    if (lstat(at->as.un.sun_path, &stat_of) != 0 || !S_ISSOCK(stat_of.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, &at->as.any, at->n) != 0 && errno == ECONNREFUSED)
        unlink(at->as.un.sun_path);
    close(fd);
}

static bool set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

static bool set_options(int fd, const struct net_address *at, const struct listen_options *options)
{
    if (at->as.any.sa_family == AF_UNIX)
        return true;
    bool dual = options->dual && at->as.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&at->as.in6.sin6_addr);
    return set(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
           (!options->share || set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
           (at->as.any.sa_family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? 0 : 1)) &&
           set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

enum status listen_open(const struct net_address *at, const struct listen_options *options, int *ret)
{
    int fd = socket(at->as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return STATUS_IO;
    if (at->as.any.sa_family == AF_UNIX)
        unlink_stale(at);
    int backlog = options->backlog > 0 ? options->backlog : 65535; /* the kernel cuts it to somaxconn */
    if (set_options(fd, at, options) && bind(fd, &at->as.any, at->n) == 0 && listen(fd, backlog) == 0) {
        *ret = fd;
        return STATUS_OK;
    }
    int error = errno;
    close(fd);
    errno = error;
    return STATUS_IO;
}

struct listener {
    struct loop_fd watch;
    int reserve; /* a descriptor kept for the moment when there are no others; -1 when even that is gone */
    unsigned batch; /* connections to try for: grows while there are more, so that a lone one costs one call */
    bool in_batch, dead;
    const struct listener_events *events;
    void *arg;
};

static void dispose(struct listener *listener)
{
    if (listener->reserve >= 0)
        close(listener->reserve);
    free(listener);
}

/* Without this an exhausted process would spin: the waiting connection keeps the listener readable. */
static bool refuse_one(struct listener *listener)
{
    if (listener->reserve < 0)
        return false;
    close(listener->reserve);
    int fd = accept4(listener->watch.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    listener->reserve = fcntl(listener->watch.fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && listener->events->on_exhausted)
        listener->events->on_exhausted(listener->arg, listener);
    return fd >= 0;
}

/* False: nothing more to accept in this turn. */
static bool accept_one(struct listener *listener)
{
    struct net_address peer = { .n = sizeof(peer.as) };
    int fd = accept4(listener->watch.fd, &peer.as.any, &peer.n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        peer.n = MIN(peer.n, (socklen_t)sizeof(peer.as));
        listener->events->on_accept(listener->arg, listener, fd, &peer);
        return true;
    }
    switch (errno) {
    case EINTR: case ECONNABORTED: case EPROTO: /* this one has gone; the next may be fine */
        return true;
    case EMFILE: case ENFILE: case ENOBUFS: case ENOMEM:
        return refuse_one(listener);
    default:
        return false;
    }
}

static void on_ready(struct loop_fd *watch, unsigned ready)
{
    struct listener *listener = CONTAINER(watch, struct listener, watch);
    listener->in_batch = true;
    unsigned i = 0;
    while (i < listener->batch && !listener->dead && watch->want && accept_one(listener))
        i++;
    listener->batch = i < listener->batch ? MAX(i, 1u) : MIN(2 * i, (unsigned)LISTEN_BATCH);
    listener->in_batch = false;
    if (listener->dead)
        dispose(listener);
}

struct listener *listener_new(struct loop *loop, int fd, const struct listener_events *events, void *arg)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    if (!listener)
        return NULL;
    *listener = (struct listener){ .events = events, .arg = arg, .batch = 1, .reserve = fcntl(fd, F_DUPFD_CLOEXEC, 0) };
    if (loop_fd_add(loop, &listener->watch, fd, LOOP_READ, on_ready) != STATUS_OK) {
        dispose(listener);
        return NULL;
    }
    return listener;
}

int listener_release(struct listener *listener)
{
    int fd = listener->watch.fd;
    loop_fd_remove(&listener->watch);
    if (listener->in_batch)
        listener->dead = true;
    else
        dispose(listener);
    return fd;
}

void listener_free(struct listener *listener)
{
    if (listener)
        close(listener_release(listener));
}

void listener_pause(struct listener *listener) { loop_fd_want(&listener->watch, 0); }
void listener_resume(struct listener *listener) { loop_fd_want(&listener->watch, LOOP_READ); }
