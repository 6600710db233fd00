#include "cli/sendmail_priv.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum sendmail_exit sendmail_complain(enum sendmail_exit exit, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("sendmail: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return exit;
}

enum sendmail_exit talk_open(struct talk *talk, const char *path, bool verbose)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct timeval wait = { .tv_sec = SENDMAIL_WAIT_S };
    *talk = (struct talk){ .fd = -1, .verbose = verbose };
    smtp_reply_init(&talk->reply);
    if (strlen(path) >= sizeof at.sun_path)
        return sendmail_complain(SENDMAIL_CONFIG, "the path of the socket is too long: %s", path);
    memcpy(at.sun_path, path, strlen(path));
    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (talk->fd < 0)
        return sendmail_complain(SENDMAIL_OS, "no socket: %s", strerror(errno));
    setsockopt(talk->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(talk->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(talk->fd, (struct sockaddr *)&at, sizeof at) == 0)
        return SENDMAIL_OK;
    int error = errno;
    talk_close(talk);
    return sendmail_complain(SENDMAIL_LATER, "the mail server cannot be reached (%s: %s); nothing was sent, try again later", path,
                             strerror(error));
}

void talk_close(struct talk *talk)
{
    if (talk->fd >= 0)
        close(talk->fd);
    talk->fd = -1;
}

enum status talk_send(struct talk *talk, struct span octets)
{
    while (octets.n > 0) {
        ssize_t n = send(talk->fd, octets.p, octets.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return STATUS_IO;
        octets = span_from(octets, (size_t)n);
    }
    return STATUS_OK;
}

static enum status more(struct talk *talk)
{
    ssize_t n;
    do
        n = recv(talk->fd, talk->room, sizeof talk->room, 0);
    while (n < 0 && errno == EINTR);
    talk->left = span_of(talk->room, n > 0 ? (size_t)n : 0);
    return n > 0 ? STATUS_OK : STATUS_IO;
}

enum status talk_listen(struct talk *talk)
{
    enum status status = STATUS_OK;
    do {
        status = talk->left.n > 0 ? STATUS_OK : more(talk);
        if (status == STATUS_OK)
            status = smtp_reply_feed(&talk->reply, &talk->left);
        if (status == STATUS_OK && talk->verbose)
            fprintf(stderr, "<<< %d %.*s\n", talk->reply.code, SPAN_ARGS(talk->reply.words));
    } while (status == STATUS_AGAIN || (status == STATUS_OK && !talk->reply.is_complete));
    return status;
}

/* What a refusal means to whoever called us. */
static enum sendmail_exit exit_of(const struct smtp_reply *reply)
{
    const struct status_code *code = &reply->enhanced;
    if (reply->code < 500)
        return SENDMAIL_LATER;
    if (code->subject == 7)
        return SENDMAIL_NOT_ALLOWED;
    if (code->subject == 1)
        return SENDMAIL_NO_USER;
    return code->subject == 3 || code->subject == 6 || code->subject == 5 ? SENDMAIL_DATA : SENDMAIL_UNAVAILABLE;
}

enum sendmail_exit talk_verdict(struct talk *talk, int wanted)
{
    if (talk->reply.code / 100 == wanted)
        return SENDMAIL_OK;
    enum sendmail_exit exit = exit_of(&talk->reply);
    return sendmail_complain(exit, "%s: %d %.*s", exit == SENDMAIL_LATER ? "not sent, try again later" : "not sent", talk->reply.code,
                             SPAN_ARGS(smtp_reply_text(&talk->reply)));
}

enum sendmail_exit talk_ask(struct talk *talk, struct span line, int wanted)
{
    AUTO(buf_done) struct buf out = BUF_EMPTY(8192);
    if (talk->verbose)
        fprintf(stderr, ">>> %.*s\n", SPAN_ARGS(line));
    buf_add(&out, line);
    buf_add(&out, SPAN("\r\n"));
    if (out.failed)
        return sendmail_complain(SENDMAIL_DATA, "not sent: an address or an option is too long");
    (void)!talk_send(talk, buf_span(&out)); /* what it said before it hung up is read all the same */
    if (talk_listen(talk) != STATUS_OK)
        return sendmail_complain(SENDMAIL_LATER, "not sent, try again later: the mail server hung up");
    return talk_verdict(talk, wanted);
}

/* -- -bs -- */

static bool write_all(int fd, struct span octets)
{
    while (octets.n > 0) {
        ssize_t n = write(fd, octets.p, octets.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        octets = span_from(octets, (size_t)n);
    }
    return true;
}

/* One piece from one to the other. False: that one has ended. */
static bool pass(int from, int to)
{
    char room[16384];
    ssize_t n = read(from, room, sizeof room);
    return (n < 0 && errno == EINTR) || (n > 0 && write_all(to, span_of(room, (size_t)n)));
}

enum sendmail_exit sendmail_relay(const char *path)
{
    struct talk talk;
    enum sendmail_exit exit = talk_open(&talk, path, false);
    if (exit != SENDMAIL_OK) {
        puts("421 4.3.2 The mail server cannot be reached; try again later\r");
        return exit;
    }
    struct pollfd both[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = talk.fd, .events = POLLIN } };
    for (bool open = true; open;) {
        if (poll(both, ARRAY_LEN(both), -1) < 0 && errno != EINTR)
            break;
        if (both[0].revents && !pass(STDIN_FILENO, talk.fd)) {
            shutdown(talk.fd, SHUT_WR);
            both[0].fd = -1;
        }
        if (both[1].revents)
            open = pass(talk.fd, STDOUT_FILENO);
    }
    talk_close(&talk);
    return SENDMAIL_OK;
}
