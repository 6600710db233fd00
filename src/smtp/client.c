#include "smtp/client_priv.h"
#include <stdio.h>

static client_handler on_goodbye, on_uninvited, on_rset_refused;

/* What each step does with each kind of reply; where there is NULL, such a reply is garbage.
 *
 * 421, whenever it comes, ends the session: what was not settled is deferred. So do garbage, the end of the
 * stream and the deadline; before the message was begun, or before its end was sent, another host may be tried at
 * once; behind the end the message waits, because the server may have it.
 */
static const struct step {
    client_handler *on_2xx, *on_3xx, *on_4xx, *on_5xx;
} steps[SMTP_CLIENT_STATE_COUNT] = {
#define ROW(state, two, three, four, five) [SMTP_CLIENT_##state] = { two, three, four, five }
    ROW(GREETING, client_on_greeting, NULL, client_on_refused, client_on_turned_away),
    ROW(EHLO, client_on_ehlo, NULL, client_on_refused, client_on_ehlo_refused),
    ROW(HELO, client_on_helo, NULL, client_on_refused, client_on_refused),
    ROW(STARTTLS, client_on_starttls, NULL, client_on_starttls_refused, client_on_starttls_refused),
    ROW(TLS, NULL, NULL, NULL, NULL),
    ROW(AUTH, client_on_auth, client_on_auth_more, client_on_auth_refused, client_on_auth_refused),
    ROW(READY, on_uninvited, on_uninvited, on_uninvited, on_uninvited),
    ROW(RSET, client_on_rset, NULL, on_rset_refused, on_rset_refused),
    ROW(MAIL, client_on_mail, NULL, client_on_mail_refused, client_on_mail_refused),
    ROW(RCPT, client_on_rcpt, NULL, client_on_rcpt_refused, client_on_rcpt_refused),
    ROW(DATA, NULL, client_on_data, client_on_data_refused, client_on_data_refused),
    ROW(DOT, client_on_end, NULL, client_on_end, client_on_end),
    ROW(DISCARD, client_on_discarded, NULL, client_on_discarded, client_on_discarded),
    ROW(QUIT, on_goodbye, on_goodbye, on_goodbye, on_goodbye),
    ROW(CLOSED, NULL, NULL, NULL, NULL),
#undef ROW
};

static const struct {
    const char *name, *phrase;
    size_t timeout; /* where it stands in the times */
} states[SMTP_CLIENT_STATE_COUNT] = {
#define X(name, timeout, phrase) { #name, phrase, offsetof(struct smtp_client_times, timeout) },
    SMTP_CLIENT_STATE_LIST(X)
#undef X
};

const char *smtp_client_phrase(enum smtp_client_state state)
{
    return (unsigned)state < SMTP_CLIENT_STATE_COUNT ? states[state].phrase : "?";
}

const char *smtp_client_state_name(enum smtp_client_state state)
{
    return (unsigned)state < SMTP_CLIENT_STATE_COUNT ? states[state].name : "?";
}

void client_arm(struct smtp_client *client)
{
    if (client->state == SMTP_CLIENT_READY || client->state == SMTP_CLIENT_CLOSED) {
        client->deadline_ms = INT64_MAX; /* how long a ready session is kept is the door's to say */
        return;
    }
    const struct smtp_client_times *times = &client->settings->times;
    int64_t wait = times->block_ms;
    if (client->send == SMTP_SEND_NOTHING)
        memcpy(&wait, (const char *)times + states[client->state].timeout, sizeof wait);
    client->deadline_ms = client->now_ms + wait;
    /* A server that makes a little progress again and again is not waited for without end. Once it has everything, it is:
     * whoever does not wait sends twice. */
    bool has_all = client->state == SMTP_CLIENT_DOT && client->send == SMTP_SEND_NOTHING;
    if (client->message && !has_all)
        client->deadline_ms = MIN(client->deadline_ms, client->message_due_ms);
}

void client_enter(struct smtp_client *client, enum smtp_client_state state)
{
    client->state = state;
    client_arm(client);
}

void smtp_client_init(struct smtp_client *client, const struct smtp_client_settings *settings, bool has_tls,
                      void (*on_result)(void *, size_t, const struct smtp_client_result *), void *arg, int64_t now_ms)
{
    *client = (struct smtp_client){ 0 };
    client->settings = settings;
    client->on_result = on_result;
    client->arg = arg;
    client->out = BUF_EMPTY(SMTP_CLIENT_OUT_MAX);
    client->has_tls = has_tls;
    client->now_ms = now_ms;
    smtp_reply_init(&client->reply);
    client_enter(client, SMTP_CLIENT_GREETING);
}

void smtp_client_done(struct smtp_client *client)
{
    buf_wipe(&client->out); /* a password may have passed through */
    buf_done(&client->out);
}

enum smtp_client_want smtp_client_want(const struct smtp_client *client)
{
    switch (client->state) {
    case SMTP_CLIENT_TLS: return SMTP_WANT_TLS;
    case SMTP_CLIENT_READY: return SMTP_WANT_MESSAGE;
    case SMTP_CLIENT_CLOSED: return SMTP_WANT_CLOSE;
    default: return SMTP_WANT_REPLY;
    }
}

/* A whole chunk went out behind its envelope, whose replies are still to come. */
static bool is_ahead(const struct smtp_client *client)
{
    return client->is_early && (client->state == SMTP_CLIENT_RSET || client->state == SMTP_CLIENT_MAIL ||
                                client->state == SMTP_CLIENT_RCPT);
}

/* May the message be at the server, though it never said so? */
static bool is_in_doubt(const struct smtp_client *client)
{
    return (client->state == SMTP_CLIENT_DOT || is_ahead(client)) && client->send == SMTP_SEND_NOTHING;
}

static const char *doing(const struct smtp_client *client)
{
    if (client->send != SMTP_SEND_NOTHING)
        return "sending the message itself";
    return is_ahead(client) ? "waiting for the replies to a whole message; it may arrive twice" : states[client->state].phrase;
}

static void close_session(struct smtp_client *client, bool is_elsewhere)
{
    client_message_abandon(client, is_elsewhere);
    client->send = SMTP_SEND_NOTHING;
    client_enter(client, SMTP_CLIENT_CLOSED);
}

void client_break(struct smtp_client *client, enum smtp_client_trouble trouble, const char *text)
{
    static const struct status_code codes[] = {
        [SMTP_TROUBLE_NONE] = { 4, 0, 0 },        [SMTP_TROUBLE_REFUSED] = { 4, 0, 0 },
        [SMTP_TROUBLE_LOST] = { 4, 4, 2 },        [SMTP_TROUBLE_TIMEOUT] = { 4, 4, 2 },
        [SMTP_TROUBLE_GARBAGE] = { 4, 5, 0 },     [SMTP_TROUBLE_TLS] = { 4, 7, 5 },
        [SMTP_TROUBLE_TLS_MISSING] = { 4, 7, 4 }, [SMTP_TROUBLE_AUTH] = { 4, 7, 8 },
        [SMTP_TROUBLE_LOCAL] = { 4, 3, 0 },
    };
    struct smtp_client_failure *failure = &client->failure;
    *failure = (struct smtp_client_failure){ .trouble = trouble, .enhanced = codes[trouble] };
    int n = snprintf(failure->text, sizeof failure->text, "%s", text);
    failure->text_n = MIN((size_t)MAX(n, 0), sizeof failure->text - 1);
    close_session(client, !is_in_doubt(client) && trouble != SMTP_TROUBLE_LOCAL);
}

void client_refuse(struct smtp_client *client, enum smtp_client_trouble trouble)
{
    const struct smtp_reply *reply = &client->reply;
    struct smtp_client_failure *failure = &client->failure;
    *failure = (struct smtp_client_failure){ .trouble = trouble, .code = reply->code };
    failure->is_permanent = reply->code / 100 == 5 && trouble == SMTP_TROUBLE_REFUSED;
    failure->enhanced = reply->enhanced.class ? reply->enhanced : status_code_from_reply(reply->code);
    failure->text_n = MIN(reply->text_n, sizeof failure->text);
    memcpy(failure->text, reply->text, failure->text_n);
    close_session(client, true);
}

static void on_goodbye(struct smtp_client *client)
{
    close_session(client, true);
}

/* A kept session that speaks unasked is about to be closed ("421 idle too long"). */
static void on_uninvited(struct smtp_client *client)
{
    client_refuse(client, SMTP_TROUBLE_LOST);
}

static void on_garbage(struct smtp_client *client, const char *what)
{
    char text[SMTP_REPLY_TEXT_MAX + 128];
    const struct smtp_reply *reply = &client->reply;
    snprintf(text, sizeof text, "the server sent %s while %s: %.*s", what, doing(client), (int)reply->text_n,
             reply->text);
    client_break(client, SMTP_TROUBLE_GARBAGE, text);
}

/* Nobody does that; but what went out behind it may be taken. */
static void on_rset_refused(struct smtp_client *client)
{
    if (is_ahead(client))
        on_garbage(client, "a refusal");
    else
        client_on_refused(client);
}

static void on_reply(struct smtp_client *client)
{
    const struct step *step = &steps[client->state];
    client_handler *const handlers[] = { step->on_2xx, step->on_3xx, step->on_4xx, step->on_5xx };
    client_handler *handler = handlers[client->reply.code / 100 - 2];
    if (client->reply.code == 421 && client->state != SMTP_CLIENT_READY && client->state != SMTP_CLIENT_QUIT)
        client_refuse(client, SMTP_TROUBLE_REFUSED);
    else if (handler)
        handler(client);
    else
        on_garbage(client, "a reply that makes no sense");
    if (client->out.failed && client->state != SMTP_CLIENT_CLOSED)
        client_break(client, SMTP_TROUBLE_LOCAL, "out of memory for commands");
}

void smtp_client_feed(struct smtp_client *client, struct span octets, int64_t now_ms)
{
    client->now_ms = now_ms;
    while (octets.n && client->state != SMTP_CLIENT_CLOSED) {
        if (client->state == SMTP_CLIENT_TLS) { /* RFC 3207 section 4.2: injected by somebody between us */
            client_break(client, SMTP_TROUBLE_TLS, "the server sent octets in clear between STARTTLS and TLS");
            return;
        }
        switch (smtp_reply_feed(&client->reply, &octets)) {
        case STATUS_OK: break;
        case STATUS_AGAIN: return;
        case STATUS_TOO_LONG: on_garbage(client, "a reply without end"); return;
        default: on_garbage(client, "something that is no SMTP reply"); return;
        }
        if (client->state == SMTP_CLIENT_EHLO && client->reply.lines > 1 && client->reply.code / 100 == 2)
            client_offer_take(client, client->reply.words);
        if (client->reply.is_complete)
            on_reply(client);
    }
}

void smtp_client_lost(struct smtp_client *client, enum status why, int64_t now_ms)
{
    client->now_ms = now_ms;
    if (client->state == SMTP_CLIENT_CLOSED)
        return;
    if (client->state == SMTP_CLIENT_QUIT) {
        on_goodbye(client);
        return;
    }
    char text[200];
    snprintf(text, sizeof text, "%s while %s",
             why == STATUS_CLOSED ? "the server closed the connection"
             : why == STATUS_TIMEOUT ? "the connection timed out" : "the connection broke", doing(client));
    client_break(client, client->state == SMTP_CLIENT_TLS ? SMTP_TROUBLE_TLS : SMTP_TROUBLE_LOST, text);
}

void smtp_client_tick(struct smtp_client *client, int64_t now_ms)
{
    client->now_ms = now_ms;
    if (client->state == SMTP_CLIENT_CLOSED || now_ms < client->deadline_ms)
        return;
    if (client->state == SMTP_CLIENT_QUIT) {
        on_goodbye(client);
        return;
    }
    char text[200];
    snprintf(text, sizeof text, "no answer in time while %s", doing(client));
    client_break(client, SMTP_TROUBLE_TIMEOUT, text);
}

void smtp_client_body_progress(struct smtp_client *client, int64_t now_ms)
{
    client->now_ms = now_ms;
    client_arm(client);
}

void smtp_client_body_sent(struct smtp_client *client, int64_t now_ms)
{
    client->now_ms = now_ms;
    client->send = SMTP_SEND_NOTHING;
    client_arm(client);
}

void smtp_client_quit(struct smtp_client *client, int64_t now_ms)
{
    client->now_ms = now_ms;
    buf_add_str(&client->out, "QUIT\r\n");
    client_enter(client, SMTP_CLIENT_QUIT);
}
