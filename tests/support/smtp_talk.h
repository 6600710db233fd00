/* Plays a session against the server's machine and writes down what happened, as text: replies as they are, events in
 * brackets. The door in it accepts everything, except where the local part of an address says otherwise. */
#pragma once
#include "smtp/server.h"
#include <assert.h>
#include <stdlib.h>

struct talk {
    struct smtp_server server;
    struct buf said;     /* the transcript */
    struct buf body;     /* clean octets of the message in hand */
    size_t piece;        /* octets fed at a time; 0: all */
    bool closed;
    void (*on_message)(struct span body); /* may be NULL */
};

static inline void talk_init(struct talk *talk, const struct smtp_server_settings *settings, unsigned offers, size_t piece)
{
    *talk = (struct talk){ .said = BUF_EMPTY(16u << 20), .body = BUF_EMPTY(16u << 20), .piece = piece };
    smtp_server_init(&talk->server, settings, offers);
    smtp_server_greet(&talk->server, 0);
}

static inline void talk_done(struct talk *talk)
{
    smtp_server_done(&talk->server);
    buf_done(&talk->said);
    buf_done(&talk->body);
}

static inline void talk_flush(struct talk *talk)
{
    buf_add(&talk->said, buf_span(&talk->server.out));
    buf_clear(&talk->server.out);
}

static inline void talk_answer(struct talk *talk, const struct address *address)
{
    struct smtp_server *server = &talk->server;
    if (span_starts(address->local, SPAN("no")))
        smtp_server_answer(server, 550, STATUS_CODE(5, 1, 1), SPAN("No such person"));
    else if (span_starts(address->local, SPAN("later")))
        smtp_server_answer(server, 450, STATUS_CODE(4, 2, 0), SPAN("Later"));
    else if (span_starts(address->local, SPAN("away")))
        smtp_server_answer(server, 421, STATUS_CODE(4, 3, 2), SPAN("Go away"));
    else
        smtp_server_accept(server);
}

static inline void talk_mail(struct talk *talk, const struct smtp_mail *mail)
{
    buf_printf(&talk->said, "[MAIL <%.*s>", SPAN_ARGS(mail->from.text));
    if (mail->size)
        buf_printf(&talk->said, " size=%llu", (unsigned long long)mail->size);
    if (mail->body)
        buf_printf(&talk->said, " body=%d", mail->body == SMTP_BODY_8BITMIME ? 8 : 7);
    if (mail->utf8)
        buf_add_str(&talk->said, " utf8");
    if (mail->ret)
        buf_printf(&talk->said, " ret=%s", mail->ret == SMTP_RET_FULL ? "full" : "hdrs");
    if (mail->envid.n)
        buf_printf(&talk->said, " envid=%.*s", SPAN_ARGS(mail->envid));
    buf_add_str(&talk->said, "]");
    talk_answer(talk, &mail->from);
}

static inline void talk_rcpt(struct talk *talk, const struct smtp_rcpt *rcpt)
{
    buf_printf(&talk->said, "[RCPT <%.*s>", SPAN_ARGS(rcpt->to.text));
    if (rcpt->notify)
        buf_printf(&talk->said, " notify=%u", rcpt->notify);
    if (rcpt->orcpt.n)
        buf_printf(&talk->said, " orcpt=%.*s", SPAN_ARGS(rcpt->orcpt));
    buf_add_str(&talk->said, "]");
    talk_answer(talk, &rcpt->to);
}

/* AUTH: "good" is let in, "ask" is asked "more?", anything else is refused. */
static inline void talk_auth(struct talk *talk, const struct smtp_server_event *event)
{
    bool first = event->kind == SMTP_EVENT_AUTH;
    buf_printf(&talk->said, "[AUTH %.*s%s%.*s]", SPAN_ARGS(event->mechanism), first ? " " : "", SPAN_ARGS(event->octets));
    if (span_eq(event->octets, SPAN("good")))
        smtp_server_accept(&talk->server);
    else if (!event->has_octets || span_eq(event->octets, SPAN("ask")))
        smtp_server_challenge(&talk->server, SPAN("more?"));
    else
        smtp_server_answer(&talk->server, 535, STATUS_CODE(5, 7, 8), SPAN("Wrong login or password"));
}

static inline void talk_message(struct talk *talk)
{
    buf_printf(&talk->said, "[MESSAGE ");
    buf_add(&talk->said, buf_span(&talk->body));
    buf_add_str(&talk->said, "]");
    if (talk->on_message)
        talk->on_message(buf_span(&talk->body));
    bool refused = span_find_span(buf_span(&talk->body), SPAN("refuse")) < talk->body.n;
    buf_clear(&talk->body);
    if (refused)
        smtp_server_answer(&talk->server, 554, STATUS_CODE(5, 7, 1), SPAN("Not this"));
    else
        smtp_server_accept(&talk->server);
}

static inline void talk_close(struct talk *talk, enum smtp_close why)
{
    static const char *const words[] = { "quit", "errors", "line", "early", "tls-leftover", "foreign", "sync", "door" };
    buf_printf(&talk->said, "[CLOSE %s]", words[why]);
    talk->closed = true;
}

/* Acts on one event. False: nothing more from what was fed. */
static inline bool talk_act(struct talk *talk, const struct smtp_server_event *event)
{
    switch (event->kind) {
    case SMTP_EVENT_MORE: return false;
    case SMTP_EVENT_PAUSED: abort(); /* everything is answered at once here */
    case SMTP_EVENT_STARTTLS: buf_add_str(&talk->said, "[STARTTLS]"); smtp_server_accept(&talk->server); break;
    case SMTP_EVENT_AUTH:
    case SMTP_EVENT_AUTH_RESPONSE: talk_auth(talk, event); break;
    case SMTP_EVENT_AUTH_CANCEL: buf_add_str(&talk->said, "[CANCEL]"); break;
    case SMTP_EVENT_LOCAL:
        buf_printf(&talk->said, "[LOCAL %.*s]", SPAN_ARGS(event->octets));
        smtp_server_answer(&talk->server, 250, STATUS_CODE(2, 0, 0), SPAN("origin=here"));
        break;
    case SMTP_EVENT_MAIL: talk_mail(talk, &event->mail); break;
    case SMTP_EVENT_RCPT: talk_rcpt(talk, &event->rcpt); break;
    case SMTP_EVENT_DATA: buf_add_str(&talk->said, "[DATA]"); buf_clear(&talk->body); smtp_server_accept(&talk->server); break;
    case SMTP_EVENT_BODY: assert(event->octets.n > 0); buf_add(&talk->body, event->octets); break;
    case SMTP_EVENT_END: talk_message(talk); break;
    case SMTP_EVENT_DROP: buf_add_str(&talk->said, "[DROP]"); break;
    case SMTP_EVENT_CLOSE: talk_close(talk, event->why); return false;
    }
    return true;
}

static inline void talk_pull(struct talk *talk, struct span *in)
{
    struct smtp_server_event event;
    bool more;
    do {
        smtp_server_next(&talk->server, in, &event);
        talk_flush(talk);
        more = talk_act(talk, &event);
    } while (more && !talk->closed);
}

/* Feeds `input` in pieces; what is not used is shown again with the next piece, as the door does it. */
static inline void talk_feed(struct talk *talk, struct span input)
{
    size_t piece = talk->piece ? talk->piece : MAX(input.n, (size_t)1);
    struct span shown = span_head(input, 0);
    for (size_t end = 0; end < input.n && !talk->closed;) {
        end = MIN(end + piece, input.n);
        shown = span_of(shown.p, (size_t)(input.p + end - shown.p));
        talk_pull(talk, &shown);
    }
}
