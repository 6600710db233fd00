/* cli/sink_session.c -- one connection of the sink: stream -> smtp_server -> rules -> counts. */
#include "cli/sink_priv.h"
#include "base/time.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_AT 512         /* octets of a message seen at once until its load id is found */
#define MESSAGE_ROOM 16384  /* a buffer up to this size is kept for the connection's next message */
#define REPLIES_ROOM 512

struct sink_session {
    struct list link;
    struct sink *sink;
    struct stream *stream;
    struct smtp_server server;
    struct loop_timer timer;       /* a delayed answer */
    enum sink_step step;           /* the one that is delayed */
    char address[ADDRESS_MAX + 1]; /* which it is about */
    struct buf sender, recipients; /* of the transaction; recipients each end by LF */
    unsigned accepted;
    int64_t began_ms;              /* its MAIL, wall clock, where messages are kept */
    struct buf message;            /* its beginning, until the load id is found; the whole where it is kept */
    struct sink_id id;
    uint64_t octets;
    bool begin_tls, want_close, gone;
};

static void act(struct sink_session *session);

static bool keeps(const struct sink_session *session) { return session->sink->options.store || session->sink->options.show; }

static void session_free(struct sink_session *session)
{
    session->sink->counts.open--;
    list_remove(&session->link);
    loop_timer_stop(&session->timer);
    smtp_server_done(&session->server);
    buf_done(&session->sender);
    buf_done(&session->recipients);
    buf_done(&session->message);
    free(session);
}

static void drop(struct sink_session *session)
{
    session->sink->counts.dropped++;
    stream_free(session->stream);
    session->gone = true;
}

/* -- answers -- */

static struct status_code refusal_code(const struct sink_rule *rule)
{
    static const uint16_t subjects[SINK_STEPS][2] = { { 3, 0 }, { 7, 8 }, { 1, 8 }, { 1, 1 }, { 3, 0 }, { 6, 0 }, { 7, 1 } };
    return STATUS_CODE((uint16_t)(rule->code / 100), subjects[rule->step][0], subjects[rule->step][1]);
}

static void end_transaction(struct sink_session *session)
{
    buf_clear(&session->sender);
    buf_clear(&session->recipients);
    if (session->message.room > MESSAGE_ROOM)
        buf_done(&session->message);
    buf_clear(&session->message);
    session->id.found = false;
    session->accepted = 0;
    session->octets = 0;
}

/* LMTP answers for every recipient (RFC 2033 section 4.2). The first one is the server machine's. */
static void answer_the_others(struct sink_session *session, const struct sink_rule *refusal)
{
    for (unsigned i = 1; session->sink->options.lmtp && i < session->accepted; i++) {
        if (refusal)
            buf_printf(&session->server.out, "%u %u.7.1 refused by the sink\r\n", refusal->code, refusal->code / 100);
        else
            buf_add_str(&session->server.out, "250 2.0.0 taken\r\n");
    }
}

static void arrived(struct sink_session *session)
{
    struct sink *sink = session->sink;
    sink_counts_message(&sink->counts, &session->id, session->octets, session->accepted, sink->options.each, sink->options.run);
    if (sink->options.store || sink->options.show)
        sink_keep(sink, session->began_ms, buf_span(&session->sender), buf_span(&session->recipients), buf_span(&session->message));
    sink_arrived(sink);
}

static void answer(struct sink_session *session, enum sink_step step)
{
    const struct sink_rule *refusal = sink_rule_for(&session->sink->options.rules, SINK_REFUSE, step, session->address);
    if (refusal) {
        session->sink->counts.refused++;
        smtp_server_answer(&session->server, refusal->code, refusal_code(refusal), SPAN("refused by the sink"));
    } else {
        if (step == SINK_RCPT) {
            if (keeps(session)) {
                buf_add_str(&session->recipients, session->address);
                buf_add_char(&session->recipients, '\n');
            }
            session->accepted++;
        }
        smtp_server_accept(&session->server);
    }
    if (step == SINK_END) {
        answer_the_others(session, refusal);
        if (!refusal)
            arrived(session);
        end_transaction(session);
    }
}

/* Drops, delays or answers. */
static void meet(struct sink_session *session, enum sink_step step)
{
    const struct sink_rules *rules = &session->sink->options.rules;
    if (rules->count && sink_rule_for(rules, SINK_DROP, step, session->address)) {
        drop(session);
        return;
    }
    const struct sink_rule *delay = rules->count ? sink_rule_for(rules, SINK_DELAY, step, session->address) : NULL;
    if (!delay) {
        answer(session, step);
        return;
    }
    session->step = step;
    stream_pause(session->stream);
    loop_timer_set(&session->timer, delay->delay_ms);
}

static void on_due(struct loop_timer *timer)
{
    struct sink_session *session = CONTAINER(timer, struct sink_session, timer);
    answer(session, session->step);
    stream_resume(session->stream);
    act(session);
}

/* -- events -- */

static void set_address(struct sink_session *session, const struct address *address)
{
    struct span text = span_head(address->text, ADDRESS_MAX);
    if (text.n)
        memcpy(session->address, text.p, text.n);
    session->address[text.n] = '\0';
}

static void check_login(struct sink_session *session, struct span octets)
{
    const char *login = session->sink->options.login; /* USER:PASSWORD */
    struct span want = span_str(login), user, got = octets, ignored, name;
    bool good = !login;
    if (login && span_cut(&want, ':', &user) && span_cut(&got, '\0', &ignored) && span_cut(&got, '\0', &name))
        good = span_eq(name, user) && span_eq(got, want);
    if (good)
        meet(session, SINK_AUTH);
    else
        smtp_server_answer(&session->server, 535, STATUS_CODE(5, 7, 8), SPAN("wrong user name or password"));
}

/* PLAIN is compared as it is; LOGIN only walks through its two questions. */
static void on_auth(struct sink_session *session, const struct smtp_server_event *event)
{
    if (event->kind == SMTP_EVENT_AUTH && !event->has_octets)
        smtp_server_challenge(&session->server, span_eq(event->mechanism, SPAN("LOGIN")) ? SPAN("Username:") : SPAN(""));
    else if (event->kind == SMTP_EVENT_AUTH && span_eq(event->mechanism, SPAN("LOGIN")))
        smtp_server_challenge(&session->server, SPAN("Password:"));
    else
        check_login(session, event->octets);
}

/* Is there still something to find in the message? Rules are asked for every piece of it. */
static bool looks(const struct sink_session *session)
{
    return (!session->id.found && session->message.n < SINK_HEAD_MAX) || keeps(session) || session->sink->options.rules.count;
}

static void on_body(struct sink_session *session, struct span octets)
{
    const struct sink_options *options = &session->sink->options;
    size_t before = session->message.n, most = keeps(session) ? options->max_octets : SINK_HEAD_MAX;
    session->octets += octets.n;
    if (looks(session))
        buf_add(&session->message, span_head(octets, most - MIN(before, most)));
    if (!session->id.found && before < SINK_HEAD_MAX)
        sink_id_find(span_head(buf_span(&session->message), SINK_HEAD_MAX), before, &session->id);
    if (options->rules.count && sink_rule_for(&options->rules, SINK_DROP, SINK_BODY, session->address))
        drop(session);
}

static void on_close(struct sink_session *session, enum smtp_close why)
{
    session->want_close = true;
    if (why != SMTP_CLOSE_QUIT)
        session->sink->counts.broken++;
}

static void on_event(struct sink_session *session, const struct smtp_server_event *event)
{
    switch (event->kind) {
    case SMTP_EVENT_STARTTLS:
        smtp_server_accept(&session->server);
        session->begin_tls = true;
        break;
    case SMTP_EVENT_AUTH: case SMTP_EVENT_AUTH_RESPONSE:
        on_auth(session, event);
        break;
    case SMTP_EVENT_MAIL:
        end_transaction(session);
        set_address(session, &event->mail.from);
        if (keeps(session)) {
            buf_add_str(&session->sender, session->address);
            session->began_ms = time_wall_ms();
        }
        meet(session, SINK_MAIL);
        break;
    case SMTP_EVENT_RCPT:
        set_address(session, &event->rcpt.to);
        meet(session, SINK_RCPT);
        break;
    case SMTP_EVENT_DATA:
        meet(session, SINK_DATA);
        break;
    case SMTP_EVENT_BODY:
        on_body(session, event->octets);
        break;
    case SMTP_EVENT_END:
        meet(session, SINK_END);
        break;
    case SMTP_EVENT_DROP:
        end_transaction(session);
        break;
    case SMTP_EVENT_CLOSE:
        on_close(session, event->why);
        break;
    default:
        break;
    }
}

/* -- the stream -- */

/* LHLO is EHLO by another name (RFC 2033 section 4.1); the input is our own buffer. */
static void translate_lhlo(const struct sink_session *session, struct span in)
{
    bool at_command = session->server.state == SMTP_STATE_CONNECTED || session->server.state == SMTP_STATE_GREETED;
    if (session->sink->options.lmtp && at_command && span_starts_case(in, SPAN("LHLO")))
        *(char *)in.p = 'E';
}

static void send_replies(struct sink_session *session)
{
    struct buf *out = &session->server.out;
    if (out->n)
        stream_write(session->stream, buf_span(out));
    buf_clear(out);
}

/* The last replies leave in one packet with the end of the connection. */
static void send_and_close(struct sink_session *session)
{
    struct span out = buf_span(&session->server.out);
    size_t sent = stream_send(session->stream, &out, 1, false);
    if (sent < out.n)
        stream_write(session->stream, span_from(out, sent));
    stream_close(session->stream);
    session_free(session);
}

static void finish(struct sink_session *session)
{
    if (session->gone) {
        session_free(session);
        return;
    }
    if (session->want_close) {
        send_and_close(session);
        return;
    }
    send_replies(session);
    if (session->begin_tls) {
        session->begin_tls = false;
        if (stream_start_tls_server(session->stream, session->sink->tls) != STATUS_OK) {
            drop(session);
            session_free(session);
        }
    }
}

/* The next event. Of a message only the beginning is shown to the machine piece by piece, then what its end needs. */
static enum smtp_server_event_kind next_event(struct sink_session *session, struct span *in, struct smtp_server_event *event)
{
    bool in_message = session->server.state == SMTP_STATE_DATA || session->server.state == SMTP_STATE_CHUNK;
    if (in_message && !looks(session))
        session->octets += smtp_server_skim(&session->server, in);
    else if (in_message && in->n > LOOK_AT && !keeps(session) && !session->sink->options.rules.count) {
        struct span part = span_head(*in, LOOK_AT);
        enum smtp_server_event_kind kind = smtp_server_next(&session->server, &part, event);
        *in = span_from(*in, LOOK_AT - part.n);
        if (kind != SMTP_EVENT_MORE)
            return kind;
    }
    return smtp_server_next(&session->server, in, event);
}

/* Plays all events that the input has. The session may be gone afterwards. */
static void act(struct sink_session *session)
{
    struct span in = stream_input(session->stream);
    size_t all = in.n;
    struct smtp_server_event event;
    translate_lhlo(session, in);
    while (!session->gone && !session->want_close) {
        enum smtp_server_event_kind kind = next_event(session, &in, &event);
        if (kind == SMTP_EVENT_MORE || kind == SMTP_EVENT_PAUSED)
            break;
        on_event(session, &event);
    }
    if (!session->gone)
        stream_consume(session->stream, all - in.n);
    finish(session);
}

static void on_readable(void *arg, struct stream *stream, struct span input) { act(arg); }

static void on_tls(void *arg, struct stream *stream)
{
    struct sink_session *session = arg;
    session->sink->counts.tls++;
    if (session->server.state == SMTP_STATE_TLS) {
        smtp_server_secured(&session->server);
        session->server.offers &= ~(unsigned)SMTP_OFFER_TLS;
        return;
    }
    smtp_server_set_secured(&session->server);
    smtp_server_greet(&session->server, 0);
    send_replies(session);
}

static void on_end(void *arg, struct stream *stream, enum status why)
{
    struct sink_session *session = arg;
    if (!session->want_close)
        session->sink->counts.broken++;
    stream_free(stream);
    session_free(session);
}

static const struct stream_events events = { .on_readable = on_readable, .on_tls = on_tls, .on_end = on_end };

/* Refusals and drops at the door. */
static bool greet(struct sink_session *session)
{
    const struct sink_rules *rules = &session->sink->options.rules;
    const struct sink_rule *refusal = sink_rule_for(rules, SINK_REFUSE, SINK_CONNECT, NULL);
    if (sink_rule_for(rules, SINK_DROP, SINK_CONNECT, NULL)) {
        drop(session);
    } else if (refusal) {
        session->sink->counts.refused++;
        smtp_server_turn_away(&session->server, refusal->code == 421 ? 421 : 554, STATUS_CODE(refusal->code == 421 ? 4 : 5, 3, 2),
                              SPAN("refused by the sink"));
    } else if (session->sink->options.implicit) {
        if (stream_start_tls_server(session->stream, session->sink->tls) != STATUS_OK)
            drop(session);
        return !session->gone;
    } else {
        smtp_server_greet(&session->server, 0);
    }
    send_replies(session);
    return !session->gone;
}

void sink_session_new(struct sink *sink, int fd)
{
    struct sink_session *session = calloc(1, sizeof(*session));
    struct stream *stream = session ? stream_new(sink->loop, fd, &events, session) : NULL;
    if (!stream) {
        free(session);
        close(fd);
        return;
    }
    sink->counts.connections++;
    sink->counts.open++;
    *session = (struct sink_session){ .sink = sink, .stream = stream, .sender = BUF_EMPTY(ADDRESS_MAX + 1),
                                      .recipients = BUF_EMPTY(1 << 20), .message = BUF_EMPTY(sink->options.max_octets + SINK_HEAD_MAX) };
    list_init(&session->link);
    list_add_last(&sink->sessions, &session->link);
    loop_timer_init(sink->loop, &session->timer, on_due);
    smtp_server_init(&session->server, &sink->settings,
                     SMTP_OFFER_AUTH | (sink->options.starttls ? SMTP_OFFER_TLS : 0u));
    (void)!buf_reserve(&session->server.out, REPLIES_ROOM); /* once, instead of growing to it */
    (void)!buf_reserve(stream_output(stream), REPLIES_ROOM);
    if (!greet(session))
        session_free(session);
    else
        stream_flush(stream); /* the greeting: do not wait for the end of the turn */
}

void sink_session_free_all(struct sink *sink)
{
    for (LIST_EACH(link, &sink->sessions)) {
        struct sink_session *session = CONTAINER(link, struct sink_session, link);
        stream_free(session->stream);
        session_free(session);
    }
}
