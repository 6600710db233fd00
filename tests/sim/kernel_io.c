/* Octets through descriptors of every kind, and the descriptors themselves. */
#include "kernel_file.h"
#include "kernel_socket.h"
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __real_write(int fd, const void *p, size_t n);
int __real_close(int fd);

/* -- a log that somebody else keeps -- */

struct sink {
    struct object object;
    void (*on_write)(void *arg, int pid, const void *p, size_t n);
    void *arg;
};

int kernel_sink(void (*on_write)(void *arg, int pid, const void *p, size_t n), void *arg)
{
    struct sink *sink = kernel_calloc(1, sizeof *sink);
    object_init(&sink->object, OBJECT_SINK);
    sink->on_write = on_write;
    sink->arg = arg;
    int fd = fd_new(&sink->object, true);
    object_unref(&sink->object);
    return fd;
}

void sink_free(struct object *object) { kernel_free(CONTAINER(object, struct sink, object)); }

ssize_t sink_write(struct object *object, const void *p, size_t n)
{
    struct sink *sink = CONTAINER(object, struct sink, object);
    sink->on_write(sink->arg, me()->pid, p, n);
    return (ssize_t)n;
}

/* -- reading and writing -- */

static ssize_t object_read(int fd, struct object *object, const struct iovec *pieces, size_t count)
{
    switch (object->kind) {
    case OBJECT_SOCKET: return socket_receive(fd, object, pieces, count, 0, NULL);
    case OBJECT_EVENT: return event_fd_read(object, pieces[0].iov_base, pieces[0].iov_len);
    case OBJECT_FILE: return file_read(object, pieces[0].iov_base, pieces[0].iov_len); /* short is fine */
    default: errno = EINVAL; return -1;
    }
}

static ssize_t object_write(int fd, struct object *object, const struct iovec *pieces, size_t count)
{
    switch (object->kind) {
    case OBJECT_SOCKET: return socket_send(fd, object, pieces, count, 0, NULL);
    case OBJECT_EVENT: return event_fd_write(object, pieces[0].iov_base, pieces[0].iov_len);
    case OBJECT_FILE: return file_write(object, pieces[0].iov_base, pieces[0].iov_len);
    case OBJECT_SINK: return sink_write(object, pieces[0].iov_base, pieces[0].iov_len);
    default: errno = EINVAL; return -1;
    }
}

static ssize_t vector(const char *name, int fd, const struct iovec *pieces, size_t count,
                      ssize_t (*run)(int fd, struct object *object, const struct iovec *pieces, size_t count))
{
    call_begin(name);
    struct object *object = fd_object(fd);
    return call_end(name, fd, count ? (int64_t)pieces[0].iov_len : 0, (int64_t)count,
                    object ? run(fd, object, pieces, count) : -1);
}

ssize_t __wrap_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n)
{
    return inside() ? vector("read", fd, &(struct iovec){ p, n }, 1, object_read) : __real_read(fd, p, n);
}

ssize_t __wrap_readv(int fd, const struct iovec *pieces, int count);
ssize_t __wrap_readv(int fd, const struct iovec *pieces, int count)
{
    return vector("readv", fd, pieces, (size_t)count, object_read);
}

ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    struct iovec piece = { (void *)(uintptr_t)p, n };
    return inside() ? vector("write", fd, &piece, 1, object_write) : __real_write(fd, p, n);
}

ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count)
{
    return vector("writev", fd, pieces, (size_t)count, object_write);
}

static ssize_t receive(const char *name, int fd, const struct iovec *pieces, size_t count, int flags, struct msghdr *message)
{
    call_begin(name);
    struct object *object = fd_of_kind(fd, OBJECT_SOCKET, ENOTSOCK);
    return call_end(name, fd, flags, (int64_t)count,
                    object ? socket_receive(fd, object, pieces, count, flags, message) : -1);
}

static ssize_t transmit(const char *name, int fd, const struct iovec *pieces, size_t count, int flags,
                        const struct msghdr *message)
{
    call_begin(name);
    struct object *object = fd_of_kind(fd, OBJECT_SOCKET, ENOTSOCK);
    return call_end(name, fd, flags, (int64_t)count, object ? socket_send(fd, object, pieces, count, flags, message) : -1);
}

ssize_t __wrap_recv(int fd, void *p, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *p, size_t n, int flags)
{
    return receive("recv", fd, &(struct iovec){ p, n }, 1, flags, NULL);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    return receive("recvmsg", fd, message->msg_iov, message->msg_iovlen, flags, message);
}

ssize_t __wrap_send(int fd, const void *p, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *p, size_t n, int flags)
{
    struct iovec piece = { (void *)(uintptr_t)p, n };
    return transmit("send", fd, &piece, 1, flags, NULL);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return transmit("sendmsg", fd, message->msg_iov, message->msg_iovlen, flags, message);
}

ssize_t __wrap_sendfile64(int to, int from, off_t *at, size_t n);
ssize_t __wrap_sendfile64(int to, int from, off_t *at, size_t n)
{
    char octets[16384];
    call_begin("sendfile");
    struct object *file = fd_of_kind(from, OBJECT_FILE, EINVAL), *socket = fd_of_kind(to, OBJECT_SOCKET, EINVAL);
    if (!file || !socket || !at)
        return call_error("sendfile", to, from, (int64_t)n, EINVAL);
    if (fault(kernel.faults.read_eio))
        return call_error("sendfile", to, from, (int64_t)n, EIO);
    size_t got = inode_read(file_of(file)->inode, octets, MIN(n, sizeof octets), (uint64_t)*at);
    ssize_t sent = got ? socket_send(to, socket, &(struct iovec){ octets, got }, 1, 0, NULL) : 0;
    if (sent > 0)
        *at += sent;
    return call_end("sendfile", to, from, (int64_t)n, sent);
}

/* -- descriptors -- */

int __wrap_close(int fd);
int __wrap_close(int fd)
{
    if (!inside())
        return __real_close(fd);
    call_begin("close");
    return (int)call_end("close", fd, 0, 0, fd_close(me(), fd));
}

int __wrap_dup(int fd);
int __wrap_dup(int fd)
{
    call_begin("dup");
    struct object *object = fd_object(fd);
    return (int)call_end("dup", fd, 0, 0, object ? fd_new(object, false) : -1);
}

static int control(int fd, int order, int64_t value)
{
    struct object *object = fd_object(fd);
    if (!object)
        return -1;
    switch (order) {
    case F_DUPFD: case F_DUPFD_CLOEXEC:
        return fd_new(object, order == F_DUPFD_CLOEXEC);
    case F_GETFD:
        return me()->fds[fd].cloexec ? FD_CLOEXEC : 0;
    case F_SETFD:
        me()->fds[fd].cloexec = value & FD_CLOEXEC;
        return 0;
    case F_GETFL:
        return O_RDWR | (object->nonblock ? O_NONBLOCK : 0);
    case F_SETFL:
        object->nonblock = value & O_NONBLOCK;
        return 0;
    default:
        errno = EINVAL;
        return -1;
    }
}

int __wrap_fcntl64(int fd, int order, ...);
int __wrap_fcntl64(int fd, int order, ...)
{
    va_list args;
    va_start(args, order);
    int value = order == F_GETFD || order == F_GETFL ? 0 : va_arg(args, int);
    va_end(args);
    call_begin("fcntl");
    return (int)call_end("fcntl", fd, order, value, control(fd, order, value));
}
