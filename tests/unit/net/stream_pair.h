/* Two streams joined by a socket pair in one loop, each with what it saw. */
#pragma once
#include "test.h"
#include "net/stream.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct stream *stream;
    struct buf got;            /* everything consumed */
    size_t consume;            /* octets taken at a time; 0: all */
    bool free_when_readable, pause_when_readable;
    unsigned readable, drained, tls, ends;
    enum status end;
};

static struct loop *loop;
static struct side a, b;

static void on_readable(void *arg, struct stream *stream, struct span input)
{
    struct side *side = arg;
    side->readable++;
    size_t n = side->consume ? MIN(side->consume, input.n) : input.n;
    buf_add(&side->got, span_head(input, n));
    stream_consume(stream, n);
    assert_int_equal(stream_input(stream).n, input.n - n);
    if (side->pause_when_readable)
        stream_pause(stream);
    if (side->free_when_readable) {
        stream_free(stream);
        side->stream = NULL;
    }
}
static void on_drained(void *arg, struct stream *stream) { ((struct side *)arg)->drained++; }
static void on_tls(void *arg, struct stream *stream) { ((struct side *)arg)->tls++; }
static void on_end(void *arg, struct stream *stream, enum status why)
{
    struct side *side = arg;
    side->ends++;
    side->end = why;
}
static const struct stream_events events = { on_readable, on_drained, on_tls, on_end };

static void begin_side(struct side *side, int fd)
{
    *side = (struct side){ .got = BUF_EMPTY(64u << 20) };
    side->stream = stream_new(loop, fd, &events, side);
    assert_non_null(side->stream);
}

static int set_up(void **state)
{
    int fds[2];
    loop = loop_new();
    if (!loop || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    begin_side(&a, fds[0]);
    begin_side(&b, fds[1]);
    return 0;
}

static int tear_down(void **state)
{
    stream_free(a.stream);
    stream_free(b.stream);
    buf_done(&a.got);
    buf_done(&b.got);
    loop_free(loop);
    return 0;
}

static void turns(unsigned n)
{
    while (n--)
        loop_turn(loop, 0);
}

/* The same again, with fresh streams. */
static UNUSED void again(void)
{
    tear_down(NULL);
    assert_int_equal(set_up(NULL), 0);
}

/* a is the client, b the server. */
static UNUSED void handshake(struct tls_client *client, struct tls_server *server, struct tls_wish wish)
{
    assert_int_equal(stream_start_tls_server(b.stream, server), STATUS_OK);
    assert_int_equal(stream_start_tls_client(a.stream, client, &wish), STATUS_OK);
    turns(10);
}
