/* Octets through sockets, and the options of these. */
#include "kernel_socket.h"
#include <string.h>

static size_t octets_of(const struct iovec *pieces, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += pieces[i].iov_len;
    return n;
}

static bool must_not_wait(const struct sock *sock, int flags) { return sock->object.nonblock || flags & MSG_DONTWAIT; }

static int64_t until_of(int64_t limit_us) { return limit_us ? now_us() + limit_us : NEVER; }

/* -- receiving -- */

/* Waits for octets. Positive: so many; 0: the end; -1 with errno. */
static ssize_t receive_wait(struct sock *sock, size_t most, int flags)
{
    int64_t until_us = until_of(sock->receive_us);
    while (true) {
        int wrong = sock->error;
        if (sock->state != SOCK_CONNECTED) {
            errno = ENOTCONN;
            return -1;
        }
        if (sock->in->visible)
            return (ssize_t)flow_takes(sock->in, most);
        sock->error = 0;
        if (wrong || sock->in->fin || sock->in_shut) {
            errno = wrong;
            return wrong ? -1 : 0;
        }
        errno = EAGAIN;
        if (must_not_wait(sock, flags))
            return -1;
        errno = EINTR;
        if (fault(kernel.faults.eintr))
            return -1;
        if (!object_wait(&sock->object, until_us)) {
            errno = EAGAIN;
            return -1;
        }
    }
}

static void install_passed(struct msghdr *message, struct object **objects, unsigned count, int flags)
{
    struct cmsghdr *header = message->msg_controllen >= CMSG_SPACE(sizeof(int)) ? CMSG_FIRSTHDR(message) : NULL;
    unsigned got = 0, most = header ? (unsigned)((message->msg_controllen - CMSG_LEN(0)) / sizeof(int)) : 0;
    for (unsigned i = 0; i < count; i++) {
        int fd = got < most ? fd_new(objects[i], flags & MSG_CMSG_CLOEXEC) : -1;
        object_unref(objects[i]);
        if (fd < 0)
            message->msg_flags |= MSG_CTRUNC;
        else
            memcpy(CMSG_DATA(header) + got++ * sizeof fd, &fd, sizeof fd);
    }
    if (!got)
        return;
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * got);
    message->msg_controllen = CMSG_SPACE(sizeof(int) * got);
}

static void passed_receive(struct sock *sock, struct msghdr *message, int flags)
{
    struct object *objects[PASSED_MAX];
    unsigned count = flow_passed(sock->in, objects, PASSED_MAX);
    if (message && count)
        install_passed(message, objects, MIN(count, PASSED_MAX), flags);
    else if (message)
        message->msg_controllen = 0;
    for (unsigned i = 0; !message && i < MIN(count, PASSED_MAX); i++)
        object_unref(objects[i]);
}

ssize_t socket_receive(int fd, struct object *object, const struct iovec *pieces, size_t count, int flags,
                       struct msghdr *message)
{
    struct sock *sock = sock_of(object);
    size_t most = octets_of(pieces, count);
    if (must_not_wait(sock, flags) && fault(kernel.faults.again)) {
        errno = EAGAIN;
        return -1;
    }
    ssize_t n = receive_wait(sock, most, flags);
    if (message)
        message->msg_flags = 0;
    if (n <= 0) {
        if (message)
            message->msg_controllen = 0;
        return n;
    }
    if (n > 1 && fault(kernel.faults.short_io))
        n = 1 + (ssize_t)chance_below((uint64_t)n - 1);
    passed_receive(sock, message, flags);
    if (flags & MSG_PEEK) {
        memcpy(pieces[0].iov_base, sock->in->octets + sock->in->begin, MIN((size_t)n, pieces[0].iov_len));
        return (ssize_t)MIN((size_t)n, pieces[0].iov_len);
    }
    size_t left = (size_t)n;
    for (size_t i = 0; left > 0; i++) {
        size_t now = MIN(left, pieces[i].iov_len);
        flow_take(sock->in, pieces[i].iov_base, now);
        left -= now;
    }
    return n;
}

/* -- sending -- */

static int send_error(struct sock *sock)
{
    int wrong = sock->error;
    if (sock->state != SOCK_CONNECTED)
        return ENOTCONN;
    sock->error = 0;
    if (wrong)
        return wrong;
    bool nobody = !sock->out->reader && !sock->out->link->tcp;
    return sock->out->fin_sent || sock->out->broken || nobody ? EPIPE : 0;
}

/* Puts what fits; the descriptors go with the first octet. */
static size_t send_some(struct sock *sock, const struct iovec *pieces, size_t count, size_t skip, struct object **objects,
                        unsigned passed)
{
    size_t room = flow_room(sock->out), sent = 0;
    if (room > 1 && fault(kernel.faults.short_io))
        room = 1 + chance_below(room - 1);
    for (size_t i = 0; i < count && room > 0; i++) {
        size_t before = MIN(skip, pieces[i].iov_len), n = MIN(pieces[i].iov_len - before, room);
        skip -= before;
        if (!n)
            continue;
        flow_put(sock->out, (const char *)pieces[i].iov_base + before, n, objects, sent ? 0 : passed);
        sent += n;
        room -= n;
    }
    return sent;
}

static unsigned passed_of(const struct msghdr *message, struct object **ret)
{
    unsigned count = 0;
    struct msghdr *copy = (struct msghdr *)(uintptr_t)message;
    for (struct cmsghdr *header = message ? CMSG_FIRSTHDR(message) : NULL; header; header = CMSG_NXTHDR(copy, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && count < PASSED_MAX; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            ret[count] = fd_object(fd);
            if (!ret[count])
                return UINT32_MAX;
            count++;
        }
    }
    return count;
}

ssize_t socket_send(int fd, struct object *object, const struct iovec *pieces, size_t count, int flags,
                    const struct msghdr *message)
{
    struct sock *sock = sock_of(object);
    struct object *objects[PASSED_MAX];
    size_t n = octets_of(pieces, count), done = 0;
    unsigned passed = passed_of(message, objects);
    int64_t until_us = until_of(sock->send_us);
    errno = EBADF;
    if (passed == UINT32_MAX)
        return -1;
    bool again = must_not_wait(sock, flags) && fault(kernel.faults.again);
    int wrong = 0;
    while (done < n && (wrong = again ? EAGAIN : send_error(sock)) == 0) {
        if (flow_room(sock->out) > 0) {
            for (unsigned i = 0; i < passed; i++)
                objects[i]->refs++;
            done += send_some(sock, pieces, count, done, objects, passed);
            passed = 0;
            if (must_not_wait(sock, flags))
                break;
            continue;
        }
        wrong = must_not_wait(sock, flags) ? EAGAIN : fault(kernel.faults.eintr) ? EINTR : 0;
        if (!wrong && !object_wait(&sock->object, until_us))
            wrong = EAGAIN;
        if (wrong)
            break;
    }
    errno = wrong;
    return done || !n ? (ssize_t)done : -1;
}

/* -- options -- */

static struct sock *sock_find(int fd)
{
    struct object *object = fd_of_kind(fd, OBJECT_SOCKET, ENOTSOCK);
    return object ? sock_of(object) : NULL;
}

int __wrap_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how)
{
    call_begin("shutdown");
    struct sock *sock = sock_find(fd);
    if (!sock || sock->state != SOCK_CONNECTED)
        return (int)call_error("shutdown", fd, how, 0, sock ? ENOTCONN : errno);
    if (how != SHUT_RD)
        flow_finish(sock->out);
    sock->in_shut |= how != SHUT_WR;
    object_changed(&sock->object);
    return (int)call_end("shutdown", fd, how, 0, 0);
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t n);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t n)
{
    call_begin("setsockopt");
    struct sock *sock = sock_find(fd);
    if (!sock)
        return (int)call_error("setsockopt", fd, level, option, errno);
    if (level == SOL_SOCKET && option == SO_LINGER) {
        const struct linger *linger = value;
        sock->resets = linger->l_onoff && linger->l_linger == 0;
    } else if (level == SOL_SOCKET && option == SO_REUSEPORT) {
        sock->shares = *(const int *)value;
    } else if (level == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO)) {
        const struct timeval *limit = value;
        int64_t us = limit->tv_sec * INT64_C(1000000) + limit->tv_usec;
        *(option == SO_RCVTIMEO ? &sock->receive_us : &sock->send_us) = us;
    }
    return (int)call_end("setsockopt", fd, level, option, 0);
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *n)
{
    call_begin("getsockopt");
    struct sock *sock = sock_find(fd);
    if (!sock)
        return (int)call_error("getsockopt", fd, level, option, errno);
    memset(value, 0, *n);
    if (level == SOL_SOCKET && option == SO_ERROR) {
        *(int *)value = sock->error;
        sock->error = 0;
    } else if (level == SOL_SOCKET && option == SO_PEERGROUPS) {
        *n = 0;
    }
    return (int)call_end("getsockopt", fd, level, option, 0); /* SO_PEERCRED: root, as we all are here */
}
