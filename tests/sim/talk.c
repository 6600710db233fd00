#include "talk.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void talk_init(struct talk *talk, int fd, int64_t patience_ms)
{
    struct timeval patience = { patience_ms / 1000, patience_ms % 1000 * 1000 };
    talk->fd = fd;
    talk->at = talk->n = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static bool fill(struct talk *talk)
{
    ssize_t n = recv(talk->fd, talk->in, sizeof talk->in, 0);
    talk->at = 0;
    talk->n = n > 0 ? (size_t)n : 0;
    return n > 0;
}

bool talk_line(struct talk *talk)
{
    size_t used = 0;
    for (;;) {
        if (talk->at == talk->n && !fill(talk))
            return false;
        char c = talk->in[talk->at++];
        if (c == '\n')
            break;
        if (used + 1 < sizeof talk->line)
            talk->line[used++] = c;
    }
    if (used && talk->line[used - 1] == '\r')
        used--;
    talk->line[used] = 0;
    return true;
}

struct span talk_octets(struct talk *talk, size_t most)
{
    if (talk->at == talk->n && !fill(talk))
        return SPAN_NONE;
    struct span octets = span_of(talk->in + talk->at, MIN(most, talk->n - talk->at));
    talk->at += octets.n;
    return octets;
}

bool talk_send(struct talk *talk, struct span octets)
{
    while (octets.n) {
        ssize_t n = send(talk->fd, octets.p, octets.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        octets = span_from(octets, (size_t)n);
    }
    return true;
}

bool talk_say(struct talk *talk, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return talk_send(talk, span_of(text, MIN((size_t)n, sizeof text - 1)));
}

void talk_end(struct talk *talk, bool reset)
{
    if (reset)
        setsockopt(talk->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
    close(talk->fd);
}
