/* The framing between processes: any octets, with descriptors where the peer likes to attach some. Sent at once and in
 * pieces the same messages come out, and no descriptor is left behind. Octets: size of the pieces; then steps: a length,
 * whose highest bits say how many descriptors go along, and so many octets. */
#include "fuzz.h"
#include "wire/channel.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct heard {
    struct buf story;
    struct channel *channel;
    bool over;
};

static void on_message(void *arg, struct channel *channel, struct channel_message *message)
{
    struct heard *heard = arg;
    require(message->fd_count <= CHANNEL_FDS_MAX && message->body.n <= CHANNEL_BODY_MAX);
    buf_printf(&heard->story, "[%u %u ", message->kind, message->fd_count);
    buf_add(&heard->story, message->body);
    for (unsigned i = 0; i < message->fd_count; i++)
        require(fcntl(message->fds[i], F_GETFD) >= 0);
    if (message->fd_count && message->kind & 1) { /* taken */
        close(message->fds[0]);
        message->fds[0] = -1;
    }
    if (message->kind == 77) {
        channel_free(channel);
        heard->channel = NULL;
    }
}

static void on_closed(void *arg, struct channel *channel, enum status why)
{
    struct heard *heard = arg;
    buf_printf(&heard->story, "[%s]", status_text(why));
    heard->over = true;
}

static void send_piece(int fd, struct span piece, unsigned fds)
{
    struct iovec octets = { (void *)(uintptr_t)piece.p, piece.n };
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * 4)];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &octets, .msg_iovlen = 1 };
    if (fds) {
        message.msg_control = control.room;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fds);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * fds) };
        for (unsigned i = 0; i < fds; i++)
            memcpy(CMSG_DATA(header) + i * sizeof fd, &fd, sizeof fd);
    }
    (void)!sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void play(struct choices choices, size_t step, struct buf *ret)
{
    static const struct channel_events events = { on_message, on_closed };
    struct heard heard = { .story = BUF_EMPTY((size_t)4 << 20) };
    struct loop *loop = loop_new();
    int pair[2];
    require(loop && channel_pair(pair) == STATUS_OK);
    heard.channel = channel_new(loop, pair[1], &events, &heard);
    require(heard.channel != NULL);
    while (!choices_over(&choices) && !heard.over && heard.channel) {
        unsigned fds = choose(&choices) >> 6;
        struct span octets = choose_text(&choices, 255);
        for (struct span left = octets; left.n && heard.channel; left = span_from(left, step), fds = 0) {
            send_piece(pair[0], span_head(left, step), fds);
            if (step < octets.n)
                loop_turn(loop, 0);
        }
        loop_turn(loop, 0);
    }
    channel_free(heard.channel);
    close(pair[0]);
    loop_turn(loop, 0);
    loop_free(loop);
    *ret = buf_take(&heard.story);
}

static int first_free_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct choices choices = choices_of(data, MIN(size, (size_t)8192));
    size_t step = 1 + choose(&choices) % 16u;
    AUTO(buf_done) struct buf whole = { 0 }, parts = { 0 };
    int before = first_free_fd();
    play(choices, SIZE_MAX, &whole);
    play(choices, step, &parts);
    require(span_eq(buf_span(&whole), buf_span(&parts)));
    require(first_free_fd() == before);
    return 0;
}
