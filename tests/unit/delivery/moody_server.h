/* A server on loopback, in the test's own loop, of the mood that the test wants. */
#pragma once
#include "test.h"
#include "net/listen.h"
#include "net/stream.h"
#include "net/tls.h"
#include <stdlib.h>

struct server {
    struct listener *listener;
    struct net_address at;
    const char *greeting;
    const char *ehlo;         /* whole reply */
    const char *mail, *rcpt, *data, *end; /* replies; NULL: the usual. "!" hangs up, "~" says nothing */
    bool drops_first;         /* hang up on the first connection's MAIL */
    struct tls_server *tls;   /* STARTTLS works; breaks_tls: it is answered by 220 and nonsense */
    bool breaks_tls;
    bool was_tls;             /* the last message came over TLS */
    unsigned connections, messages, quits;
    struct buf body;          /* of the last message, with its dots */
    struct visit *last;       /* who sent the last message */
    struct loop *loop;
};

struct visit {
    struct server *server;
    struct stream *stream;
    bool in_data, begins_tls, is_broken;
    size_t chunk;
    unsigned number;
};

static inline void say(struct visit *visit, const char *reply)
{
    if (reply[0] == '!') {
        stream_free(visit->stream);
        visit->stream = NULL;
        return;
    }
    if (reply[0] == '~')
        return;
    stream_write(visit->stream, span_str(reply));
    stream_write(visit->stream, SPAN("\r\n"));
}

static const char *or_else(const char *given, const char *usual)
{
    return given ? given : usual;
}

static inline void on_line(struct visit *visit, struct span line)
{
    struct server *server = visit->server;
    if (span_starts(line, SPAN("EHLO")) || span_starts(line, SPAN("LHLO"))) {
        say(visit, server->ehlo);
    } else if (span_starts(line, SPAN("MAIL"))) {
        say(visit, server->drops_first && visit->number == 1 ? "!" : or_else(server->mail, "250 sender ok"));
    } else if (span_starts(line, SPAN("RCPT TO:<no"))) {
        say(visit, "550 5.1.1 no such person");
    } else if (span_starts(line, SPAN("RCPT"))) {
        say(visit, or_else(server->rcpt, "250 recipient ok"));
    } else if (span_starts(line, SPAN("DATA"))) {
        visit->in_data = server->data == NULL;
        buf_clear(&server->body);
        say(visit, or_else(server->data, "354 go"));
    } else if (span_starts(line, SPAN("BDAT "))) {
        visit->chunk = (size_t)strtoul(line.p + 5, NULL, 10);
        buf_clear(&server->body);
    } else if (span_starts(line, SPAN("STARTTLS")) && (server->tls || server->breaks_tls)) {
        say(visit, "220 go");
        visit->begins_tls = server->tls != NULL;
        visit->is_broken = server->breaks_tls;
    } else if (visit->is_broken) {
        say(visit, "!");
    } else if (span_starts(line, SPAN("QUIT"))) {
        server->quits++;
        say(visit, "221 bye");
    } else {
        say(visit, "250 fine");
    }
}

static inline void on_body(struct visit *visit)
{
    visit->server->messages++;
    visit->server->last = visit;
    visit->server->was_tls = stream_is_tls(visit->stream);
    say(visit, or_else(visit->server->end, "250 2.0.0 queued as 4711"));
}

static inline void on_readable(void *arg, struct stream *stream, struct span input)
{
    struct visit *visit = arg;
    struct span left = input, line;
    while (visit->stream && left.n) {
        if (visit->chunk) {
            size_t n = MIN(visit->chunk, left.n);
            buf_add(&visit->server->body, span_head(left, n));
            left = span_from(left, n);
            visit->chunk -= n;
            if (visit->chunk == 0)
                on_body(visit);
            continue;
        }
        if (visit->in_data) { /* nothing follows before our answer */
            struct buf *body = &visit->server->body;
            buf_add(body, left);
            left = SPAN_NONE;
            if (!span_ends_case(buf_span(body), SPAN("\r\n.\r\n")))
                continue;
            body->n -= 5;
            visit->in_data = false;
            on_body(visit);
            continue;
        }
        size_t end = span_find_span(left, SPAN("\r\n"));
        if (end == left.n)
            break;
        line = span_head(left, end);
        left = span_from(left, end + 2);
        on_line(visit, line);
    }
    if (visit->stream && visit->is_broken && left.n) /* a ClientHello, which is no line */
        say(visit, "!");
    if (!visit->stream) {
        free(visit);
        return;
    }
    stream_consume(stream, input.n - left.n);
    if (visit->begins_tls)
        assert_int_equal(stream_start_tls_server(stream, visit->server->tls), STATUS_OK);
    visit->begins_tls = false;
}

static inline void on_end(void *arg, struct stream *stream, enum status why)
{
    stream_free(stream);
    free(arg);
}

static inline void on_accept(void *arg, struct listener *listener, int fd, const struct net_address *peer)
{
    static const struct stream_events events = { .on_readable = on_readable, .on_end = on_end };
    struct server *server = arg;
    struct visit *visit = calloc(1, sizeof *visit);
    visit->server = server;
    visit->number = ++server->connections;
    visit->stream = stream_new(server->loop, fd, &events, visit);
    say(visit, server->greeting);
    if (!visit->stream)
        free(visit);
    else
        stream_flush(visit->stream);
}

static inline void server_open_at(struct server *server, struct loop *loop, const char *ehlo, const char *at)
{
    static const struct listener_events events = { on_accept, NULL };
    int fd;
    *server = (struct server){ .greeting = "220 there", .ehlo = ehlo, .loop = loop, .body = BUF_EMPTY(1u << 20) };
    assert_int_equal(net_address_parse(span_str(at), 0, &server->at), STATUS_OK);
    assert_int_equal(listen_open(&server->at, &(struct listen_options){ 0 }, &fd), STATUS_OK);
    assert_int_equal(net_address_local(fd, &server->at), STATUS_OK);
    server->listener = listener_new(loop, fd, &events, server);
}

static inline void server_open(struct server *server, struct loop *loop, const char *ehlo)
{
    server_open_at(server, loop, ehlo, "127.0.0.1:0");
}

static inline void server_close(struct server *server)
{
    listener_free(server->listener);
    buf_done(&server->body);
}

