/* Sockets: the calls on them. TCP is simulated as it looks from above: connect takes a way there and back, octets take a
 * while, a close is seen by the other side. */
#include "kernel_socket.h"
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>

int __real_socket(int family, int type, int protocol);
int __real_socketpair(int family, int type, int protocol, int ret[2]);

#define SILENCE_US (INT64_C(127) * 1000000) /* how long Linux tries */
#define PORT_FIRST 20000

static struct {
    struct list listening;
    unsigned port;
} all;

static struct list *listening(void)
{
    if (!all.listening.next)
        list_init(&all.listening);
    return &all.listening;
}

static struct sock *sock_new(int family)
{
    struct sock *sock = kernel_calloc(1, sizeof *sock);
    object_init(&sock->object, OBJECT_SOCKET);
    sock->family = family;
    list_init(&sock->listening);
    list_init(&sock->queue);
    list_init(&sock->queued);
    return sock;
}

void socket_free(struct object *object)
{
    struct sock *sock = sock_of(object);
    event_stop(&sock->answer);
    for (struct list *link; (link = list_take_first(&sock->queue)) != NULL;)
        object_unref(&CONTAINER(link, struct sock, queued)->object);
    list_remove(&sock->listening);
    list_remove(&sock->queued);
    if (sock->inode) {
        sock->inode->listener = NULL;
        inode_unref(sock->inode);
    }
    if (sock->in)
        link_leave(sock);
    kernel_free(sock);
}

uint32_t socket_ready(struct object *object)
{
    const struct sock *sock = sock_of(object);
    uint32_t error = sock->error ? EPOLLERR : 0;
    switch (sock->state) {
    case SOCK_NEW:
        return error ? EPOLLIN | EPOLLOUT | EPOLLHUP | error : EPOLLOUT | EPOLLHUP;
    case SOCK_LISTENS:
        return list_is_empty(&sock->queue) ? 0 : EPOLLIN;
    case SOCK_CONNECTING:
        return 0;
    case SOCK_CONNECTED:
        break;
    }
    bool over = sock->in->fin || sock->in_shut, nobody = !sock->out->link->tcp && !sock->out->reader;
    bool sent = sock->out->fin_sent || sock->out->broken || nobody;
    return error | (sock->in->visible || over ? EPOLLIN : 0u) | (over ? EPOLLRDHUP : 0u) | (over && sent ? EPOLLHUP : 0u) |
           (sent || flow_room(sock->out) >= sock->out->most / 3 ? EPOLLOUT : 0u);
}

static struct sock *sock_find(int fd)
{
    struct object *object = fd_of_kind(fd, OBJECT_SOCKET, ENOTSOCK);
    return object ? sock_of(object) : NULL;
}

static int install(struct sock *sock, int flags)
{
    sock->object.nonblock = flags & SOCK_NONBLOCK;
    int fd = fd_new(&sock->object, flags & SOCK_CLOEXEC);
    object_unref(&sock->object);
    return fd;
}

int __wrap_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol)
{
    if (!inside())
        return __real_socket(family, type, protocol);
    call_begin("socket");
    if ((type & 0xF) != SOCK_STREAM || (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
        return (int)call_error("socket", family, type, protocol, EAFNOSUPPORT);
    return (int)call_end("socket", family, type, protocol, install(sock_new(family), type));
}

int __wrap_socketpair(int family, int type, int protocol, int ret[2]);
int __wrap_socketpair(int family, int type, int protocol, int ret[2])
{
    if (!inside())
        return __real_socketpair(family, type, protocol, ret);
    call_begin("socketpair");
    struct sock *a = sock_new(family), *b = sock_new(family);
    a->local.any.sa_family = b->local.any.sa_family = (sa_family_t)family;
    a->peer = b->peer = a->local;
    a->local_n = a->peer_n = b->local_n = b->peer_n = sizeof a->local.any.sa_family;
    link_new(a, b, false);
    ret[0] = install(a, type);
    ret[1] = ret[0] >= 0 ? install(b, type) : -1;
    if (ret[1] < 0 && ret[0] >= 0)
        fd_close(me(), ret[0]);
    else if (ret[0] < 0)
        object_unref(&b->object);
    return (int)call_end("socketpair", ret[0], ret[1], 0, ret[1] < 0 ? -1 : 0);
}

/* -- addresses -- */

static in_port_t *port_of(union where *where)
{
    return where->any.sa_family == AF_INET ? &where->in.sin_port : &where->in6.sin6_port;
}

static bool is_any(const union where *where)
{
    static const struct in6_addr any6 = IN6ADDR_ANY_INIT;
    return where->any.sa_family == AF_INET ? where->in.sin_addr.s_addr == INADDR_ANY
                                           : memcmp(&where->in6.sin6_addr, &any6, sizeof any6) == 0;
}

static bool is_same(const union where *a, const union where *b)
{
    return a->any.sa_family == AF_INET ? a->in.sin_addr.s_addr == b->in.sin_addr.s_addr
                                       : memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0;
}

/* How well it fits: 2 the very address, 1 the one that stands for all, 0 not. */
static unsigned fits(struct sock *sock, union where *at)
{
    if (sock->family != at->any.sa_family || *port_of(&sock->local) != *port_of(at))
        return 0;
    return is_same(&sock->local, at) ? 2 : is_any(&sock->local);
}

/* Who listens there; of several that share an address (SO_REUSEPORT) whom the seed says. */
static struct sock *listener_find(union where *at, unsigned least)
{
    struct sock *found = NULL;
    unsigned best = least, count = 0;
    for (LIST_EACH(link, listening())) {
        struct sock *sock = CONTAINER(link, struct sock, listening);
        unsigned fit = fits(sock, at);
        if (fit < best || fit == 0)
            continue;
        count = fit > best ? 1 : count + 1;
        best = fit;
        if (chance_below(count) == 0)
            found = sock;
    }
    return found;
}

static void local_choose(struct sock *sock)
{
    if (!sock->local_n) {
        sock->local.any.sa_family = (sa_family_t)sock->family;
        sock->local_n = sock->family == AF_INET ? sizeof sock->local.in : sizeof sock->local.in6;
        if (sock->family == AF_INET)
            sock->local.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        else
            sock->local.in6.sin6_addr = in6addr_loopback;
    }
    if (*port_of(&sock->local) == 0)
        *port_of(&sock->local) = htons((in_port_t)(PORT_FIRST + all.port++ % 40000));
}

static int bind_path(struct sock *sock, const char *path)
{
    struct inode *parent;
    const char *last;
    if (path_find(disk_root(), path, &parent, &last))
        return EADDRINUSE;
    if (!parent)
        return errno;
    sock->inode = inode_new(INODE_SOCKET, S_IFSOCK | 0755);
    inode_ref(sock->inode);
    name_set(parent, last, sock->inode);
    return 0;
}

int __wrap_bind(int fd, const struct sockaddr *at, socklen_t n);
int __wrap_bind(int fd, const struct sockaddr *at, socklen_t n)
{
    call_begin("bind");
    struct sock *sock = sock_find(fd);
    int wrong = !sock ? errno : n > sizeof sock->local || at->sa_family != sock->family ? EINVAL : 0;
    if (!wrong && at->sa_family == AF_UNIX)
        wrong = bind_path(sock, ((const struct sockaddr_un *)(const void *)at)->sun_path);
    if (wrong)
        return (int)call_error("bind", fd, n, 0, wrong);
    memcpy(&sock->local, at, n);
    sock->local_n = n;
    return (int)call_end("bind", fd, n, 0, 0);
}

int __wrap_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog)
{
    call_begin("listen");
    struct sock *sock = sock_find(fd);
    if (!sock || !sock->local_n)
        return (int)call_error("listen", fd, backlog, 0, sock ? EDESTADDRREQ : errno);
    if (sock->inode)
        sock->inode->listener = &sock->object;
    else if (!list_is_linked(&sock->listening) && !sock->shares && listener_find(&sock->local, 2))
        return (int)call_error("listen", fd, backlog, 0, EADDRINUSE);
    else if (!list_is_linked(&sock->listening))
        list_add_last(listening(), &sock->listening);
    sock->backlog = (unsigned)MAX(backlog, 1);
    sock->state = SOCK_LISTENS;
    return (int)call_end("listen", fd, backlog, 0, 0);
}

/* -- connecting -- */

/* A new end in the listener's queue, connected with this one. 0, or why not. */
static int join(struct sock *sock, struct sock *listener)
{
    if (listener->queue_n > listener->backlog)
        return EAGAIN;
    struct sock *other = sock_new(sock->family);
    if (sock->family == AF_UNIX)
        sock->local.any.sa_family = AF_UNIX;
    else
        local_choose(sock);
    other->local = sock->peer;
    other->local_n = sock->peer_n;
    other->peer = sock->local;
    other->peer_n = sock->family == AF_UNIX ? sizeof(sa_family_t) : sock->local_n;
    link_new(sock, other, sock->family != AF_UNIX);
    list_add_last(&listener->queue, &other->queued);
    listener->queue_n++;
    object_changed(&listener->object);
    return 0;
}

static void on_answer(struct event *event)
{
    struct sock *sock = CONTAINER(event, struct sock, answer);
    struct sock *listener = sock->verdict == KERNEL_CONNECT ? listener_find(&sock->peer, 1) : NULL;
    int wrong = sock->verdict == KERNEL_SILENT ? ETIMEDOUT : sock->verdict == KERNEL_UNREACHABLE ? EHOSTUNREACH : ECONNREFUSED;
    if (listener)
        wrong = join(sock, listener);
    if (wrong == EAGAIN) { /* no room in the queue: as if nobody answered */
        sock->verdict = KERNEL_SILENT;
        event_set(&sock->answer, now_us() + SILENCE_US);
        return;
    }
    if (wrong) {
        sock->state = SOCK_NEW;
        sock->error = wrong;
    }
    object_changed(&sock->object);
}

static struct {
    enum kernel_connect (*answer)(void *arg, const struct sockaddr *to, socklen_t n);
    void *arg;
} network;

void kernel_network(enum kernel_connect (*answer)(void *arg, const struct sockaddr *to, socklen_t n), void *arg)
{
    network.answer = answer;
    network.arg = arg;
}

static int connect_path(struct sock *sock)
{
    struct inode *parent;
    const char *last;
    struct inode *inode = path_find(disk_root(), sock->peer.un.sun_path, &parent, &last);
    if (!inode)
        return ENOENT;
    if (inode->kind != INODE_SOCKET || !inode->listener)
        return ECONNREFUSED;
    return join(sock, sock_of(inode->listener));
}

static void connect_begin(struct sock *sock)
{
    sock->state = SOCK_CONNECTING;
    sock->verdict = KERNEL_CONNECT;
    if (network.answer && me() != kernel.world)
        sock->verdict = network.answer(network.arg, &sock->peer.any, sock->peer_n);
    int64_t way = (int64_t)kernel.faults.latency_us * 2;
    way += way ? (int64_t)chance_below((uint64_t)way) : 0;
    sock->answer.run = on_answer;
    event_set(&sock->answer, now_us() + 1 + (sock->verdict == KERNEL_SILENT ? SILENCE_US : way));
}

int __wrap_connect(int fd, const struct sockaddr *to, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t n)
{
    call_begin("connect");
    kernel.figures.connects++;
    struct sock *sock = sock_find(fd);
    int wrong = !sock ? errno : n > sizeof sock->peer ? EINVAL : to->sa_family != sock->family ? EAFNOSUPPORT
              : sock->state == SOCK_CONNECTED ? EISCONN : sock->state == SOCK_CONNECTING ? EALREADY : 0;
    if (wrong)
        return (int)call_error("connect", fd, n, 0, wrong);
    memset(&sock->peer, 0, sizeof sock->peer);
    memcpy(&sock->peer, to, n);
    sock->peer_n = n;
    if (sock->family == AF_UNIX)
        wrong = connect_path(sock);
    else
        connect_begin(sock);
    if (!wrong && sock->object.nonblock && sock->state == SOCK_CONNECTING)
        wrong = EINPROGRESS;
    while (!wrong && sock->state == SOCK_CONNECTING)
        object_wait(&sock->object, NEVER);
    if (!wrong && sock->state == SOCK_NEW) {
        wrong = sock->error;
        sock->error = 0;
    }
    return (int)(wrong ? call_error("connect", fd, n, 0, wrong) : call_end("connect", fd, n, 0, 0));
}

static void address_out(const union where *where, socklen_t n, struct sockaddr *ret, socklen_t *ret_n)
{
    if (!ret || !ret_n)
        return;
    memcpy(ret, where, MIN(n, *ret_n));
    *ret_n = n;
}

int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *n, int flags);
int __wrap_accept4(int fd, struct sockaddr *peer, socklen_t *n, int flags)
{
    call_begin("accept4");
    struct sock *sock = sock_find(fd);
    if (!sock || sock->state != SOCK_LISTENS)
        return (int)call_error("accept4", fd, flags, 0, sock ? EINVAL : errno);
    while (list_is_empty(&sock->queue)) {
        if (sock->object.nonblock)
            return (int)call_error("accept4", fd, flags, 0, EAGAIN);
        object_wait(&sock->object, NEVER);
    }
    struct sock *other = CONTAINER(list_take_first(&sock->queue), struct sock, queued);
    sock->queue_n--;
    if (fault(kernel.faults.accept_fails)) {
        object_unref(&other->object);
        return (int)call_error("accept4", fd, flags, 0, ECONNABORTED);
    }
    address_out(&other->peer, other->peer_n, peer, n);
    int got = install(other, flags);
    return (int)call_end("accept4", fd, flags, 0, got);
}

int __wrap_accept(int fd, struct sockaddr *peer, socklen_t *n);
int __wrap_accept(int fd, struct sockaddr *peer, socklen_t *n) { return __wrap_accept4(fd, peer, n, 0); }

int __wrap_getsockname(int fd, struct sockaddr *ret, socklen_t *n);
int __wrap_getsockname(int fd, struct sockaddr *ret, socklen_t *n)
{
    call_begin("getsockname");
    struct sock *sock = sock_find(fd);
    if (!sock)
        return -1;
    address_out(&sock->local, sock->local_n, ret, n);
    return 0;
}

int __wrap_getpeername(int fd, struct sockaddr *ret, socklen_t *n);
int __wrap_getpeername(int fd, struct sockaddr *ret, socklen_t *n)
{
    call_begin("getpeername");
    struct sock *sock = sock_find(fd);
    if (!sock || sock->state != SOCK_CONNECTED)
        return (int)call_error("getpeername", fd, 0, 0, sock ? ENOTCONN : errno);
    address_out(&sock->peer, sock->peer_n, ret, n);
    return 0;
}
