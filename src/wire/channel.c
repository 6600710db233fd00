#include "wire/channel.h"
#include "wire/codec.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME_OCTETS 8
#define READ_OCTETS (64u << 10)
#define PARKED_FDS_MAX 512 /* descriptors received ahead of the frame that names them */

/* Descriptors travel with the octet that begins their frame; `at` counts the octets sent before it. */
struct outgoing_fds {
    struct list link;
    uint64_t at;
    unsigned count;
    int fds[CHANNEL_FDS_MAX];
};

struct channel {
    struct loop_fd fd;
    struct loop_task hook, cut; /* `cut`: ends it, outside of everybody's calls */
    enum status cut_why;      /* FULL: a word could not be said */
    const struct channel_events *events;
    void *arg;
    struct buf out;
    size_t out_done;          /* octets of `out` that the kernel took */
    bool secret;              /* a password is among them */
    uint64_t sent;            /* octets ever taken by the kernel */
    size_t composing;         /* start in `out` of the frame that channel_begin() opened */
    struct list outgoing;     /* struct outgoing_fds in order */
    struct buf in;
    int parked[PARKED_FDS_MAX];
    unsigned parked_count;
    unsigned busy;            /* depth of our own handlers: free waits for 0 */
    bool dead, freed, hooked, is_cut;
};

static void destroy(struct channel *channel)
{
    struct list *link;
    while ((link = list_take_first(&channel->outgoing)) != NULL) {
        struct outgoing_fds *fds = CONTAINER(link, struct outgoing_fds, link);
        for (unsigned i = 0; i < fds->count; i++)
            close(fds->fds[i]);
        free(fds);
    }
    for (unsigned i = 0; i < channel->parked_count; i++)
        close(channel->parked[i]);
    buf_wipe(&channel->out); /* passwords and keys pass through here */
    buf_wipe(&channel->in);
    free(channel);
}

/* Stops all traffic; the object stays until channel_free(). */
static void shut(struct channel *channel)
{
    if (channel->dead)
        return;
    channel->dead = true;
    loop_hook_remove(&channel->hook);
    loop_task_cancel(&channel->cut);
    loop_fd_remove(&channel->fd);
    close(channel->fd.fd);
}

static void fail(struct channel *channel, enum status why)
{
    if (channel->dead)
        return;
    shut(channel);
    channel->events->on_closed(channel->arg, channel, why);
}

/* Puts the descriptors that go with the octet at `channel->sent` into `message`; how far one write may go. */
static struct outgoing_fds *fds_due(struct channel *channel, size_t *most)
{
    struct list *first = list_first(&channel->outgoing);
    if (!first)
        return NULL;
    struct outgoing_fds *fds = CONTAINER(first, struct outgoing_fds, link);
    if (fds->at > channel->sent) {
        *most = MIN(*most, (size_t)(fds->at - channel->sent));
        return NULL;
    }
    struct list *second = first->next;
    if (second != &channel->outgoing)
        *most = MIN(*most, (size_t)(CONTAINER(second, struct outgoing_fds, link)->at - channel->sent));
    return fds;
}

static ssize_t send_some(struct channel *channel, int flags)
{
    size_t most = channel->out.n - channel->out_done;
    struct outgoing_fds *fds = fds_due(channel, &most);
    struct iovec octets = { channel->out.p + channel->out_done, most };
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &octets, .msg_iovlen = 1 };
    if (fds) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fds->count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fds->count);
        memcpy(CMSG_DATA(header), fds->fds, sizeof(int) * fds->count);
    }
    ssize_t took = sendmsg(channel->fd.fd, &message, MSG_NOSIGNAL | flags);
    if (took > 0 && fds) {
        list_remove(&fds->link);
        for (unsigned i = 0; i < fds->count; i++)
            close(fds->fds[i]);
        free(fds);
    }
    return took;
}

/* Writes what waits. OK: all gone or the kernel is full (then we ask for LOOP_WRITE). */
static enum status push(struct channel *channel, int flags)
{
    while (channel->out_done < channel->out.n) {
        ssize_t took = send_some(channel, flags);
        if (took < 0 && errno == EINTR)
            continue;
        if (took < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            loop_fd_want(&channel->fd, LOOP_READ | LOOP_WRITE);
            return STATUS_OK;
        }
        if (took < 0)
            return errno == EPIPE || errno == ECONNRESET ? STATUS_CLOSED : STATUS_IO;
        channel->out_done += (size_t)took;
        channel->sent += (uint64_t)took;
    }
    if (channel->secret)
        explicit_bzero(channel->out.p, channel->out.n);
    channel->secret = false;
    buf_clear(&channel->out);
    channel->out_done = 0;
    loop_fd_want(&channel->fd, LOOP_READ);
    return STATUS_OK;
}

static void leave(struct channel *channel)
{
    if (--channel->busy == 0 && channel->freed)
        destroy(channel);
}

static void cut(struct channel *channel, enum status why)
{
    channel->is_cut = true;
    channel->cut_why = why;
    loop_later(&channel->cut);
}

static void on_turn_end(struct loop_task *task)
{
    struct channel *channel = CONTAINER(task, struct channel, hook);
    if (channel->dead || channel->is_cut || channel->out_done >= channel->out.n || channel->fd.want & LOOP_WRITE)
        return;
    channel->busy++;
    enum status status = push(channel, MSG_DONTWAIT);
    if (status != STATUS_OK)
        cut(channel, status); /* the hooks before us have looked at everything, and nothing else may happen for a long time */
    leave(channel);
}

static void on_cut(struct loop_task *task)
{
    struct channel *channel = CONTAINER(task, struct channel, cut);
    channel->busy++;
    fail(channel, channel->cut_why);
    leave(channel);
}

static bool park(struct channel *channel, struct msghdr *message)
{
    bool room = true;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (channel->parked_count < PARKED_FDS_MAX) {
                channel->parked[channel->parked_count++] = fd;
            } else {
                close(fd);
                room = false;
            }
        }
    }
    return room && !(message->msg_flags & MSG_CTRUNC);
}

static enum status pull(struct channel *channel)
{
    if (buf_reserve(&channel->in, READ_OCTETS) != STATUS_OK)
        return STATUS_MEMORY;
    struct iovec octets = { channel->in.p + channel->in.n, channel->in.room - channel->in.n };
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * 253)]; /* the kernel's own limit for one message */
    } control;
    struct msghdr message = { .msg_iov = &octets, .msg_iovlen = 1,
                              .msg_control = control.room, .msg_controllen = sizeof control.room };
    ssize_t got = recvmsg(channel->fd.fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? STATUS_AGAIN : errno == ECONNRESET ? STATUS_CLOSED : STATUS_IO;
    if (!park(channel, &message))
        return STATUS_DAMAGED;
    if (got == 0)
        return STATUS_CLOSED;
    channel->in.n += (size_t)got;
    return STATUS_OK;
}

static void unpark(struct channel *channel, struct channel_message *message)
{
    for (unsigned i = 0; i < CHANNEL_FDS_MAX; i++)
        message->fds[i] = i < message->fd_count ? channel->parked[i] : -1;
    channel->parked_count -= message->fd_count;
    memmove(channel->parked, channel->parked + message->fd_count, channel->parked_count * sizeof channel->parked[0]);
}

/* Hands out the whole frames in `in`. DAMAGED: the peer broke the framing. */
static enum status hand_out(struct channel *channel)
{
    size_t done = 0;
    enum status status = STATUS_OK;
    while (!channel->dead && channel->in.n - done >= FRAME_OCTETS) {
        struct wire_reader head = wire_read(span_of(channel->in.p + done, FRAME_OCTETS));
        uint32_t length = wire_get_u32(&head);
        struct channel_message message = { .kind = wire_get_u16(&head) };
        message.fd_count = wire_get_u16(&head);
        if (length > CHANNEL_BODY_MAX || message.fd_count > CHANNEL_FDS_MAX) {
            status = STATUS_DAMAGED;
            break;
        }
        if (channel->in.n - done - FRAME_OCTETS < length)
            break;
        if (message.fd_count > channel->parked_count) {
            status = STATUS_DAMAGED;
            break;
        }
        unpark(channel, &message);
        message.body = span_of(channel->in.p + done + FRAME_OCTETS, length);
        done += FRAME_OCTETS + length;
        channel->events->on_message(channel->arg, channel, &message);
        for (unsigned i = 0; i < message.fd_count; i++)
            if (message.fds[i] >= 0)
                close(message.fds[i]);
    }
    buf_drop(&channel->in, done);
    return status;
}

static void on_ready(struct loop_fd *fd, unsigned ready)
{
    struct channel *channel = CONTAINER(fd, struct channel, fd);
    enum status status = STATUS_OK;
    channel->busy++;
    if (ready & LOOP_WRITE)
        status = push(channel, MSG_DONTWAIT);
    if (status == STATUS_OK && ready & (LOOP_READ | LOOP_ERROR)) {
        status = pull(channel);
        if (status == STATUS_OK)
            status = hand_out(channel);
    }
    if (status != STATUS_OK && status != STATUS_AGAIN)
        fail(channel, status);
    leave(channel);
}

struct channel *channel_new(struct loop *loop, int fd, const struct channel_events *events, void *arg)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return NULL;
    channel->events = events;
    channel->arg = arg;
    channel->out = BUF_EMPTY(CHANNEL_WAITING_MAX + CHANNEL_BODY_MAX + FRAME_OCTETS);
    channel->in = BUF_EMPTY(CHANNEL_BODY_MAX + FRAME_OCTETS + 2 * READ_OCTETS);
    list_init(&channel->outgoing);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        loop_fd_add(loop, &channel->fd, fd, LOOP_READ, on_ready) != STATUS_OK) {
        free(channel);
        return NULL;
    }
    loop_hook_add(loop, &channel->hook, on_turn_end);
    loop_task_init(loop, &channel->cut, on_cut);
    return channel;
}

void channel_free(struct channel *channel)
{
    if (!channel)
        return;
    shut(channel);
    if (channel->busy)
        channel->freed = true;
    else
        destroy(channel);
}

void channel_is_secret(struct channel *channel) { channel->secret = true; }

/* Once the front of a long queue is sent it moves out of the way, at most once per half of the buffer. */
static void tidy(struct channel *channel)
{
    if (channel->out_done > (1u << 20) && channel->out_done > channel->out.n / 2) {
        buf_drop(&channel->out, channel->out_done);
        channel->out_done = 0;
    }
}

struct buf *channel_begin(struct channel *channel, uint16_t kind)
{
    tidy(channel);
    channel->composing = channel->out.n;
    channel->out.failed = false;
    wire_put_u32(&channel->out, 0);
    wire_put_u16(&channel->out, kind);
    wire_put_u16(&channel->out, 0);
    return &channel->out;
}

/* CLOSED; FULL: no memory, or too much waits; TOO_LONG. Then nothing was added. */
static enum status end_with(struct channel *channel, unsigned fd_count)
{
    size_t start = channel->composing;
    struct buf *out = &channel->out;
    enum status status = STATUS_OK;
    if (channel->dead || channel->is_cut)
        status = STATUS_CLOSED;
    else if (out->failed || out->n - channel->out_done > CHANNEL_WAITING_MAX)
        status = STATUS_FULL;
    else if (out->n - start - FRAME_OCTETS > CHANNEL_BODY_MAX)
        status = STATUS_TOO_LONG;
    if (status != STATUS_OK) {
        out->n = MIN(start, out->n);
        out->failed = false;
        return status;
    }
    uint32_t length = (uint32_t)(out->n - start - FRAME_OCTETS);
    for (unsigned i = 0; i < 4; i++)
        out->p[start + i] = (char)(length >> (8 * i) & 0xFF);
    out->p[start + 6] = (char)fd_count;
    return STATUS_OK;
}

enum status channel_try_end(struct channel *channel) { return end_with(channel, 0); }

/* Whoever is told less than was said would go on with a wrong idea of us. */
static enum status end_or_cut(struct channel *channel, unsigned fd_count)
{
    enum status status = end_with(channel, fd_count);
    if (status == STATUS_FULL)
        cut(channel, STATUS_FULL);
    return status;
}

enum status channel_end(struct channel *channel) { return end_or_cut(channel, 0); }

enum status channel_send(struct channel *channel, uint16_t kind, struct span body)
{
    return channel_send_fds(channel, kind, body, NULL, 0);
}

static enum status attach(struct channel *channel, const int *fds, unsigned count)
{
    if (count > CHANNEL_FDS_MAX)
        return STATUS_TOO_LONG;
    struct outgoing_fds *outgoing = calloc(1, sizeof *outgoing);
    if (!outgoing)
        return STATUS_MEMORY;
    list_init(&outgoing->link);
    for (; outgoing->count < count; outgoing->count++) {
        int copy = fcntl(fds[outgoing->count], F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            for (unsigned i = 0; i < outgoing->count; i++)
                close(outgoing->fds[i]);
            free(outgoing);
            return STATUS_IO;
        }
        outgoing->fds[outgoing->count] = copy;
    }
    outgoing->at = channel->sent + (channel->composing - channel->out_done);
    list_add_last(&channel->outgoing, &outgoing->link);
    return STATUS_OK;
}

enum status channel_send_fds(struct channel *channel, uint16_t kind, struct span body, const int *fds, unsigned count)
{
    if (channel->dead)
        return STATUS_CLOSED;
    buf_add(channel_begin(channel, kind), body);
    enum status status = end_or_cut(channel, count);
    if (status == STATUS_OK && count)
        status = attach(channel, fds, count);
    if (status != STATUS_OK)
        channel->out.n = MIN(channel->composing, channel->out.n);
    return status;
}

enum status channel_flush(struct channel *channel)
{
    if (channel->dead)
        return STATUS_CLOSED;
    int flags = fcntl(channel->fd.fd, F_GETFL);
    fcntl(channel->fd.fd, F_SETFL, flags & ~O_NONBLOCK);
    enum status status = push(channel, 0);
    fcntl(channel->fd.fd, F_SETFL, flags);
    return status;
}

size_t channel_waiting(const struct channel *channel)
{
    return channel->out.n - channel->out_done;
}

bool channel_is_dead(const struct channel *channel)
{
    return channel->dead;
}

enum status channel_pair(int ret[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) < 0 ? STATUS_IO : STATUS_OK;
}
