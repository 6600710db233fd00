/* cli/load_session.c -- one connection of the load generator. Its own small dialogue instead of smtp/client.h: it has to
 * measure the moment between the end of data and the reply, and to say what a plain client would say. */
#include "base/time.h"
#include "cli/load_priv.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP_LIST(X)                                                                                         \
    X(CONNECT, "connect") X(GREETING, "greeting") X(EHLO, "EHLO") X(STARTTLS, "STARTTLS") X(TLS, "TLS handshake") \
    X(AUTH, "AUTH") X(READY, "ready") X(MAIL, "MAIL") X(RCPT, "RCPT") X(DATA, "DATA") X(BODY, "body") X(DOT, "end of data") \
    X(RSET, "RSET") X(QUIT, "QUIT")

enum step {
#define X(name, text) STEP_##name,
    STEP_LIST(X)
#undef X
};
static const char *const step_names[] = {
#define X(name, text) text,
    STEP_LIST(X)
#undef X
};

struct load_session {
    struct list link;          /* in load->sessions */
    struct load *load;
    uint64_t index;
    struct stream *stream;
    struct loop_timer timer;   /* waiting: the next message's turn; else looks whether the peer's time is up */
    int64_t deadline_ms;       /* of the peer; the timer may come earlier */
    enum step step;
    bool idle;                 /* sends no message: says hello and is held */
    bool waiting, pipelining, secured;
    bool reserved;             /* a message of this connection is promised, but not begun */
    uint64_t sent;             /* messages of this connection */
    uint64_t number;           /* the message in hand */
    uint64_t rcpt, accepted;   /* replies to RCPT so far, and the good ones */
    bool failed;               /* the message in hand, and it was counted */
    uint64_t replies_left;     /* of the LMTP end of data */
    struct buf header;
    size_t body_n, body_sent;
    int64_t end_us;
};

static void begin(struct load_session *session);
static void next_message(struct load_session *session);

/* The timer is not moved at each step, but looks again when it comes too early. */
static void set_step(struct load_session *session, enum step step)
{
    int64_t timeout_ms = (int64_t)session->load->options.timeout * 1000;
    session->step = step;
    session->waiting = false;
    session->deadline_ms = loop_now_ms(session->load->loop) + timeout_ms;
    if (!loop_timer_runs(&session->timer))
        loop_timer_set(&session->timer, timeout_ms);
}

/* So that no connection is opened for which no message will be left. */
static bool reserve(struct load_session *session)
{
    struct load *load = session->load;
    if (session->idle)
        return true;
    if (!load_has_more(load) || load->begun + load->reserved >= load->options.messages)
        return false;
    session->reserved = true;
    load->reserved++;
    return true;
}

static void unreserve(struct load_session *session)
{
    session->load->reserved -= session->reserved;
    session->reserved = false;
}

/* -- ends -- */

static void session_free(struct load_session *session)
{
    list_remove(&session->link);
    stream_free(session->stream);
    loop_timer_stop(&session->timer);
    buf_done(&session->header);
    free(session);
}

static void session_end(struct load_session *session)
{
    struct load *load = session->load;
    bool held = session->idle && session->step == STEP_READY, idle = session->idle;
    unreserve(session);
    session_free(session);
    if (held)
        load->idle_held--;
    else if (idle)
        load_idle_settled(load);
    else if (--load->running == 0)
        loop_stop(load->loop);
}

void load_session_free_all(struct load *load)
{
    for (LIST_EACH(link, &load->sessions))
        session_free(CONTAINER(link, struct load_session, link));
}

static void again(struct load_session *session)
{
    session->stream = NULL;
    session->sent = 0;
    unreserve(session);
    if (reserve(session))
        begin(session);
    else
        session_end(session);
}

static bool in_message(const struct load_session *session)
{
    return session->step >= STEP_MAIL && session->step <= STEP_DOT && !session->failed;
}

/* The connection is of no use any more. */
static void give_up(struct load_session *session, struct span why)
{
    const struct load_options *options = &session->load->options;
    if (session->step != STEP_QUIT)
        load_failed(session->load, step_names[session->step], why, in_message(session));
    stream_free(session->stream);
    session->stream = NULL;
    if (session->step < STEP_READY) {
        /* A server that does not let us in: do not hammer it. */
        session->waiting = true;
        session->step = STEP_CONNECT;
        if (session->load->connections > 10 * (options->connections + options->idle) && session->load->taken == 0)
            session_end(session);
        else
            loop_timer_set(&session->timer, 100);
    } else if (session->idle) {
        session_end(session);
    } else {
        again(session);
    }
}

/* -- what is said -- */

static void say(struct load_session *session, enum step step, const char *text)
{
    stream_write(session->stream, span_str(text));
    set_step(session, step);
}

/* What was written to stream_output() leaves when the handler returns, or with this turn. */
static void said(struct load_session *session, enum step step)
{
    stream_flush_later(session->stream);
    set_step(session, step);
}

static void say_ehlo(struct load_session *session)
{
    load_write_ehlo(session->load, stream_output(session->stream));
    said(session, STEP_EHLO);
}

static void say_auth(struct load_session *session)
{
    load_write_auth(session->load, session->index, stream_output(session->stream));
    said(session, STEP_AUTH);
}

static void say_rcpt(struct load_session *session)
{
    load_write_rcpt(session->load, session->number, session->rcpt, stream_output(session->stream));
    said(session, STEP_RCPT);
}

static void say_message(struct load_session *session)
{
    struct load *load = session->load;
    struct buf *out = stream_output(session->stream);
    unreserve(session);
    session->number = load->begun++;
    session->sent++;
    session->rcpt = session->accepted = 0;
    session->failed = false;
    load_write_mail(load, session->number, out);
    for (uint64_t i = 0; session->pipelining && i < load->options.recipients; i++)
        load_write_rcpt(load, session->number, i, out);
    if (session->pipelining)
        buf_add(out, SPAN("DATA\r\n"));
    said(session, STEP_MAIL);
}

/* Header, body and the final dot, as much as goes. The body has no line that begins with a dot. */
static void send_body(struct load_session *session)
{
    const struct buf *body = &session->load->body;
    struct span pieces[] = { buf_span(&session->header), span_of(body->p + body->n - session->body_n, session->body_n), SPAN(".\r\n") };
    size_t all = pieces[0].n + pieces[1].n + pieces[2].n, skip = session->body_sent;
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t n = MIN(skip, pieces[i].n);
        pieces[i] = span_from(pieces[i], n);
        skip -= n;
    }
    session->body_sent += stream_send(session->stream, pieces, ARRAY_LEN(pieces), true);
    if (session->body_sent < all)
        return;
    session->end_us = time_mono_us();
    session->replies_left = session->load->options.lmtp ? session->accepted : 1;
    set_step(session, STEP_DOT);
}

/* -- what is answered -- */

static void message_failed(struct load_session *session, struct span line)
{
    if (!session->failed)
        load_failed(session->load, step_names[session->step], span_head(line, 100), true);
    session->failed = true;
}

static void on_mail(struct load_session *session, bool good, struct span line)
{
    if (!good)
        message_failed(session, line);
    if (!good && !session->pipelining) {
        say(session, STEP_RSET, "RSET\r\n");
        return;
    }
    if (session->pipelining)
        set_step(session, STEP_RCPT);
    else
        say_rcpt(session);
}

static void on_rcpt(struct load_session *session, bool good, struct span line)
{
    uint64_t recipients = session->load->options.recipients;
    session->accepted += good;
    if (!good && !session->failed)
        message_failed(session, line);
    if (++session->rcpt == recipients) {
        if (session->pipelining)
            set_step(session, STEP_DATA);
        else if (session->accepted)
            say(session, STEP_DATA, "DATA\r\n");
        else
            say(session, STEP_RSET, "RSET\r\n");
    } else if (!session->pipelining) {
        say_rcpt(session);
    }
}

static void on_data(struct load_session *session, int code, struct span line)
{
    if (code != 354) {
        message_failed(session, line);
        say(session, STEP_RSET, "RSET\r\n");
        return;
    }
    session->body_n = load_write_header(session->load, session->number, &session->header);
    session->body_sent = 0;
    set_step(session, STEP_BODY);
    send_body(session);
}

static void on_dot(struct load_session *session, bool good, struct span line)
{
    if (!good)
        message_failed(session, line);
    if (session->replies_left && --session->replies_left)
        return;
    if (!session->failed)
        load_taken(session->load, session->end_us, session->header.n + session->body_n);
    next_message(session);
}

static void on_ready(struct load_session *session)
{
    const struct load_options *options = &session->load->options;
    if (options->tls == LOAD_STARTTLS && !session->secured)
        say(session, STEP_STARTTLS, "STARTTLS\r\n");
    else if (options->login)
        say_auth(session);
    else
        next_message(session);
}

static void on_starttls(struct load_session *session)
{
    struct tls_wish wish = { .name = NULL };
    if (stream_start_tls_client(session->stream, session->load->tls, &wish) == STATUS_OK)
        set_step(session, STEP_TLS);
    else
        give_up(session, SPAN("cannot begin TLS"));
}

static void on_reply(struct load_session *session, int code, struct span line)
{
    bool good = code / 100 == 2;
    if (!good && session->step < STEP_READY) {
        give_up(session, span_head(line, 100));
        return;
    }
    switch (session->step) {
    case STEP_GREETING: say_ehlo(session); break;
    case STEP_EHLO: on_ready(session); break;
    case STEP_STARTTLS: on_starttls(session); break;
    case STEP_AUTH: next_message(session); break;
    case STEP_MAIL: on_mail(session, good, line); break;
    case STEP_RCPT: on_rcpt(session, good, line); break;
    case STEP_DATA: on_data(session, code, line); break;
    case STEP_DOT: on_dot(session, good, line); break;
    case STEP_RSET: next_message(session); break;
    case STEP_QUIT:
        stream_close(session->stream);
        again(session);
        break;
    default:
        give_up(session, span_head(line, 100));
        break;
    }
}

/* -- the course of a connection -- */

/* An idle connection has got as far as it shall. */
static void hold(struct load_session *session)
{
    session->step = STEP_READY;
    loop_timer_stop(&session->timer);
    session->load->idle_held++;
    load_idle_settled(session->load);
}

static void next_message(struct load_session *session)
{
    struct load *load = session->load;
    if (session->idle) {
        hold(session);
        return;
    }
    bool full = load->options.per_connection && session->sent >= load->options.per_connection;
    bool promised = session->reserved || load->begun + load->reserved < load->options.messages;
    if (full || !promised || !load_has_more(load)) {
        unreserve(session);
        say(session, STEP_QUIT, "QUIT\r\n");
        return;
    }
    int64_t wait_ms = load_wait_ms(load);
    if (wait_ms == 0) {
        say_message(session);
        return;
    }
    session->step = STEP_READY;
    session->waiting = true;
    loop_timer_set(&session->timer, wait_ms);
}

/* A line of a reply; true when it was the last. */
static bool read_line(struct load_session *session, struct span line, int *code)
{
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (session->step == STEP_EHLO && line.n > 4 && span_eq_case(span_from(line, 4), SPAN("PIPELINING")))
        session->pipelining = !session->load->options.no_pipelining;
    bool digits = line.n >= 3 && ascii_digit(line.p[0]) && ascii_digit(line.p[1]) && ascii_digit(line.p[2]);
    *code = digits ? (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + line.p[2] - '0' : 0;
    return line.n < 4 || line.p[3] != '-';
}

static void on_readable(void *arg, struct stream *stream, struct span input)
{
    struct load_session *session = arg;
    if (session->step == STEP_CONNECT)
        session->step = STEP_GREETING;
    while (input.n) {
        size_t end = span_find(input, '\n');
        if (end == input.n)
            return;
        struct span line = span_head(input, end);
        int code;
        input = span_from(input, end + 1);
        stream_consume(stream, end + 1);
        if (!read_line(session, line, &code))
            continue;
        enum step step = session->step;
        bool closes = step == STEP_QUIT || step == STEP_STARTTLS || (code / 100 != 2 && step < STEP_READY) || step == STEP_READY ||
                      step == STEP_BODY || step == STEP_TLS;
        on_reply(session, code, line);
        if (closes)
            return; /* the stream may be gone, or speak TLS */
    }
}

static void on_drained(void *arg, struct stream *stream)
{
    struct load_session *session = arg;
    if (session->step == STEP_BODY)
        send_body(session);
}

static void on_tls(void *arg, struct stream *stream)
{
    struct load_session *session = arg;
    session->secured = true;
    session->load->secured++;
    if (session->load->options.tls == LOAD_IMPLICIT)
        set_step(session, STEP_GREETING);
    else
        say_ehlo(session);
}

static void on_end(void *arg, struct stream *stream, enum status why)
{
    struct load_session *session = arg;
    if (session->step == STEP_QUIT) {
        stream_free(stream);
        again(session);
        return;
    }
    const char *text = why == STATUS_IO ? strerror(stream_errno(stream)) : status_text(why);
    give_up(session, span_str(why == STATUS_DENIED ? stream_tls_failure(stream) : text));
}

static const struct stream_events events = { on_readable, on_drained, on_tls, on_end };

/* A socket on its way to the server; -1: errno. The stream finds out how it ends: the server speaks first. */
static int dial(const struct net_address *to)
{
    int on = 1, fd = socket(to->as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (to->as.any.sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, &to->as.any, to->n) == 0 || errno == EINPROGRESS)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void begin(struct load_session *session)
{
    struct load *load = session->load;
    int64_t wait_ms = session->idle ? 0 : load_wait_ms(load);
    session->step = STEP_CONNECT;
    session->pipelining = session->secured = session->failed = false;
    session->waiting = wait_ms > 0;
    if (wait_ms > 0) {
        loop_timer_set(&session->timer, wait_ms);
        return;
    }
    load->connections++;
    int fd = dial(&load->options.to);
    if (fd >= 0)
        session->stream = stream_new(load->loop, fd, &events, session);
    if (fd >= 0 && !session->stream)
        close(fd);
    if (!session->stream) {
        give_up(session, span_str(strerror(errno)));
        return;
    }
    set_step(session, STEP_CONNECT);
    if (load->options.tls == LOAD_IMPLICIT)
        on_starttls(session);
}

static void on_due(struct loop_timer *timer)
{
    struct load_session *session = CONTAINER(timer, struct load_session, timer);
    int64_t left_ms = session->deadline_ms - loop_now_ms(session->load->loop);
    if (!session->waiting && left_ms > 0)
        loop_timer_set(timer, left_ms);
    else if (!session->waiting)
        give_up(session, SPAN("no answer in time"));
    else if (session->stream)
        next_message(session);
    else
        again(session);
}

bool load_session_start(struct load *load, uint64_t index, bool idle)
{
    struct load_session *session = calloc(1, sizeof(*session));
    if (!session)
        return false;
    *session = (struct load_session){ .load = load, .index = index, .idle = idle, .header = BUF_EMPTY(65536) };
    list_init(&session->link);
    list_add_last(&load->sessions, &session->link);
    loop_timer_init(load->loop, &session->timer, on_due);
    load->running += !idle;
    if (reserve(session))
        begin(session);
    else
        session_end(session);
    return true;
}
