/* cli/load_session.c -- one connection of the load generator. Its own small dialogue instead of smtp/client.h: it has to
 * measure the moment between the end of data and the reply, and to say what a plain client would say. */
#include "base/time.h"
#include "cli/load_priv.h"
#include "net/connect.h"
#include "smtp/base64.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
    struct load *load;
    uint64_t index;
    struct connecting *connecting;
    struct stream *stream;
    struct loop_timer timer;   /* waiting: the next message's turn; else the peer's time is up */
    enum step step;
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

static void set_step(struct load_session *session, enum step step)
{
    session->step = step;
    session->waiting = false;
    loop_timer_set(&session->timer, (int64_t)session->load->options.timeout * 1000);
}

/* So that no connection is opened for which no message will be left. */
static bool reserve(struct load_session *session)
{
    struct load *load = session->load;
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

static void session_end(struct load_session *session)
{
    struct load *load = session->load;
    unreserve(session);
    loop_timer_stop(&session->timer);
    buf_done(&session->header);
    free(session);
    if (--load->running == 0)
        loop_stop(load->loop);
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
    if (session->step != STEP_QUIT)
        load_failed(session->load, step_names[session->step], why, in_message(session));
    stream_free(session->stream);
    session->stream = NULL;
    if (session->step < STEP_READY) {
        /* A server that does not let us in: do not hammer it. */
        session->waiting = true;
        session->step = STEP_CONNECT;
        if (session->load->connections > 10 * session->load->options.connections && session->load->taken == 0)
            session_end(session);
        else
            loop_timer_set(&session->timer, 100);
        return;
    }
    again(session);
}

/* -- what is said -- */

static void say(struct load_session *session, enum step step, const char *text)
{
    stream_write(session->stream, span_str(text));
    set_step(session, step);
}

static void say_ehlo(struct load_session *session)
{
    buf_printf(stream_output(session->stream), "%s %s\r\n", session->load->options.lmtp ? "LHLO" : "EHLO", session->load->options.name);
    stream_flush_later(session->stream);
    set_step(session, STEP_EHLO);
}

static void say_auth(struct load_session *session)
{
    const struct load_options *options = &session->load->options;
    AUTO(buf_done) struct buf plain = BUF_EMPTY(1000);
    buf_add_char(&plain, '\0');
    load_expand(options->login, session->index, &plain);
    buf_add_char(&plain, '\0');
    buf_add_str(&plain, options->password);
    struct buf *out = stream_output(session->stream);
    buf_add_str(out, "AUTH PLAIN ");
    base64_encode(buf_span(&plain), out);
    buf_add_str(out, "\r\n");
    stream_flush_later(session->stream);
    set_step(session, STEP_AUTH);
}

static void say_rcpt(struct load_session *session, uint64_t i, struct buf *out)
{
    const struct load_options *options = &session->load->options;
    buf_add_str(out, "RCPT TO:<");
    load_expand(options->rcpt, (session->number * options->recipients + i) % options->users, out);
    buf_add_str(out, ">\r\n");
}

static void compose(struct load_session *session)
{
    struct load *load = session->load;
    const struct load_options *options = &load->options;
    struct buf *header = &session->header;
    buf_clear(header);
    buf_add_str(header, "From: <");
    load_expand(options->from, session->number % options->users, header);
    buf_add_str(header, ">\r\nTo: <");
    load_expand(options->rcpt, session->number * options->recipients % options->users, header);
    buf_printf(header, ">\r\nSubject: load %" PRIu64 "\r\nDate: %s\r\nMessage-ID: <%" PRIu64 ".%" PRIu64 "@%s>\r\n", session->number,
               load->date, options->run, session->number, options->name);
    buf_printf(header, "X-Load-Id: %" PRIu64 "-%" PRIu64 "-%" PRId64 "\r\n\r\n", options->run, session->number, time_mono_us());
    session->body_n = options->size > header->n ? MIN(options->size - header->n, load->body.n) : 0;
    if (session->body_n && load->body.p[load->body.n - session->body_n] == '\n')
        session->body_n--; /* a LF without its CR is no end of a line */
    session->body_sent = 0;
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
    buf_add_str(out, "MAIL FROM:<");
    load_expand(load->options.from, session->number % load->options.users, out);
    buf_add_str(out, ">\r\n");
    for (uint64_t i = 0; session->pipelining && i < load->options.recipients; i++)
        say_rcpt(session, i, out);
    if (session->pipelining)
        buf_add_str(out, "DATA\r\n");
    stream_flush_later(session->stream);
    set_step(session, STEP_MAIL);
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
    if (!session->pipelining) {
        say_rcpt(session, 0, stream_output(session->stream));
        stream_flush_later(session->stream);
    }
    set_step(session, STEP_RCPT);
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
        say_rcpt(session, session->rcpt, stream_output(session->stream));
        stream_flush_later(session->stream);
    }
}

static void on_data(struct load_session *session, int code, struct span line)
{
    if (code != 354) {
        message_failed(session, line);
        say(session, STEP_RSET, "RSET\r\n");
        return;
    }
    compose(session);
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
        load_taken(session->load, time_mono_us() - session->end_us, session->header.n + session->body_n);
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

static void next_message(struct load_session *session)
{
    struct load *load = session->load;
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
    uint64_t number;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (session->step == STEP_EHLO && line.n > 4 && span_eq_case(span_from(line, 4), SPAN("PIPELINING")))
        session->pipelining = !session->load->options.no_pipelining;
    *code = line.n >= 3 && span_u64(span_head(line, 3), 999, &number) ? (int)number : 0;
    return line.n < 4 || line.p[3] != '-';
}

static void on_readable(void *arg, struct stream *stream, struct span input)
{
    struct load_session *session = arg;
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
                      step == STEP_BODY || step == STEP_CONNECT || step == STEP_TLS;
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
    give_up(session, span_str(why == STATUS_DENIED ? stream_tls_failure(stream) : status_text(why)));
}

static const struct stream_events events = { on_readable, on_drained, on_tls, on_end };

static void on_connected(void *arg, enum status status, int fd, int error)
{
    struct load_session *session = arg;
    session->connecting = NULL;
    session->load->connections++;
    if (status == STATUS_OK)
        session->stream = stream_new(session->load->loop, fd, &events, session);
    if (!session->stream) {
        give_up(session, span_str(strerror(error)));
        return;
    }
    set_step(session, STEP_GREETING);
    if (session->load->options.tls == LOAD_IMPLICIT)
        on_starttls(session);
}

static void begin(struct load_session *session)
{
    struct load *load = session->load;
    struct connect_options options = { .timeout_ms = (int64_t)load->options.timeout * 1000 };
    int64_t wait_ms = load_wait_ms(load);
    session->step = STEP_CONNECT;
    session->pipelining = session->secured = session->failed = false;
    session->waiting = wait_ms > 0;
    if (wait_ms > 0) {
        loop_timer_set(&session->timer, wait_ms);
        return;
    }
    loop_timer_stop(&session->timer);
    session->connecting = connect_start(load->loop, &load->options.to, &options, on_connected, session);
    if (!session->connecting)
        session_end(session);
}

static void on_due(struct loop_timer *timer)
{
    struct load_session *session = CONTAINER(timer, struct load_session, timer);
    if (!session->waiting)
        give_up(session, SPAN("no answer in time"));
    else if (session->stream)
        next_message(session);
    else
        again(session);
}

bool load_session_start(struct load *load, uint64_t index)
{
    struct load_session *session = calloc(1, sizeof(*session));
    if (!session)
        return false;
    *session = (struct load_session){ .load = load, .index = index, .header = BUF_EMPTY(65536) };
    loop_timer_init(load->loop, &session->timer, on_due);
    load->running++;
    if (reserve(session))
        begin(session);
    else
        session_end(session);
    return true;
}
