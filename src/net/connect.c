#include "net/connect.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

struct connecting {
    struct loop_fd watch;
    struct loop_timer timer;
    struct loop_task task; /* for an outcome that was clear at once */
    int error;
    connect_done *done;
    void *arg;
};

static void finish(struct connecting *connecting, enum status status, int error)
{
    int fd = connecting->watch.fd;
    connect_done *done = connecting->done;
    void *arg = connecting->arg;
    connecting->watch.fd = -1;
    if (status != STATUS_OK && fd >= 0) {
        loop_fd_remove(&connecting->watch);
        close(fd);
        fd = -1;
    }
    connect_cancel(connecting);
    done(arg, status, fd, error);
}

static void on_due(struct loop_timer *timer)
{
    finish(CONTAINER(timer, struct connecting, timer), STATUS_TIMEOUT, ETIMEDOUT);
}

static void on_ready(struct loop_fd *watch, unsigned ready)
{
    struct connecting *connecting = CONTAINER(watch, struct connecting, watch);
    int error = 0;
    socklen_t n = sizeof(error);
    int fd = watch->fd;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    loop_fd_remove(watch);
    watch->fd = fd; /* whatever the loop made of it */
    if (error)
        finish(connecting, error == ETIMEDOUT ? STATUS_TIMEOUT : STATUS_IO, error);
    else
        finish(connecting, STATUS_OK, 0);
}

static void on_task(struct loop_task *task)
{
    struct connecting *connecting = CONTAINER(task, struct connecting, task);
    finish(connecting, connecting->error ? STATUS_IO : STATUS_OK, connecting->error);
}

/* 0: connected; EINPROGRESS; or why not. */
static int begin(const struct net_address *to, const struct net_address *from, int *ret_fd)
{
    sa_family_t family = to->as.any.sa_family;
    int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (from && from->n) {
        /* The port is chosen at connect(), so that many connections to different peers may share one. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
        if (bind(fd, &from->as.any, from->n) != 0)
            goto out;
    }
    *ret_fd = fd;
    if (connect(fd, &to->as.any, to->n) == 0)
        return 0;
    if (errno == EINPROGRESS)
        return EINPROGRESS;
    *ret_fd = -1;
out:;
    int error = errno;
    close(fd);
    return error;
}

struct connecting *connect_start(struct loop *loop, const struct net_address *to, const struct connect_options *options,
                                 connect_done *done, void *arg)
{
    struct connecting *connecting = calloc(1, sizeof(*connecting));
    if (!connecting)
        return NULL;
    *connecting = (struct connecting){ .done = done, .arg = arg, .watch.fd = -1 };
    loop_timer_init(loop, &connecting->timer, on_due);
    loop_task_init(loop, &connecting->task, on_task);

    int fd = -1;
    connecting->error = begin(to, options->from, &fd);
    if (connecting->error == EINPROGRESS) {
        if (loop_fd_add(loop, &connecting->watch, fd, LOOP_WRITE, on_ready) == STATUS_OK) {
            loop_timer_set(&connecting->timer, options->timeout_ms);
            return connecting;
        }
        connecting->error = errno;
        close(fd);
        fd = -1;
    }
    connecting->watch.fd = fd;
    loop_later(&connecting->task);
    return connecting;
}

void connect_cancel(struct connecting *connecting)
{
    if (!connecting)
        return;
    int fd = connecting->watch.fd;
    loop_timer_stop(&connecting->timer);
    loop_task_cancel(&connecting->task);
    loop_fd_remove(&connecting->watch);
    if (fd >= 0)
        close(fd);
    free(connecting);
}
