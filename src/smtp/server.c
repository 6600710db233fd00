#include "smtp/server_priv.h"
#include <assert.h>

#define IN(state) (1u << SMTP_STATE_##state)

static const char *const close_texts[] = {
    [SMTP_CLOSE_QUIT] = "the client said QUIT",
    [SMTP_CLOSE_ERRORS] = "too many errors",
    [SMTP_CLOSE_LINE] = "a command line that is too long or has a bare CR or LF",
    [SMTP_CLOSE_EARLY] = "the client spoke before it was its turn",
    [SMTP_CLOSE_TLS_LEFTOVER] = "octets in clear behind STARTTLS",
    [SMTP_CLOSE_FOREIGN] = "the client speaks another protocol",
    [SMTP_CLOSE_SYNC] = "the client's octets could not be told apart any more",
    [SMTP_CLOSE_DOOR] = "we closed the session",
};

static const char *const phrases[SMTP_STATE_COUNT] = {
    [SMTP_STATE_NEW] = "waiting to be greeted",
    [SMTP_STATE_CONNECTED] = "waiting for EHLO",
    [SMTP_STATE_GREETED] = "waiting for a message",
    [SMTP_STATE_MAIL] = "waiting for the first recipient",
    [SMTP_STATE_RCPT] = "waiting for recipients or the message",
    [SMTP_STATE_DATA] = "receiving the message",
    [SMTP_STATE_CHUNKS] = "waiting for the next chunk of the message",
    [SMTP_STATE_CHUNK] = "receiving a chunk of the message",
    [SMTP_STATE_AUTH] = "waiting for an answer in the login",
    [SMTP_STATE_TLS] = "waiting for the TLS handshake",
    [SMTP_STATE_CLOSED] = "closing",
};

const char *smtp_close_text(enum smtp_close why) { return close_texts[why]; }
const char *smtp_server_phrase(const struct smtp_server *server) { return phrases[server->state]; }

bool smtp_server_in_transaction(const struct smtp_server *server)
{
    return 1u << server->state & (IN(MAIL) | IN(RCPT) | IN(DATA) | IN(CHUNKS) | IN(CHUNK));
}

bool smtp_server_is_idle(const struct smtp_server *server)
{
    return 1u << server->state & (IN(CONNECTED) | IN(GREETED)) && server->waiting == SMTP_EVENT_MORE;
}

void smtp_server_init(struct smtp_server *server, const struct smtp_server_settings *settings, unsigned offers)
{
    *server = (struct smtp_server){
        .settings = settings,
        .offers = offers,
        .out = BUF_EMPTY(SERVER_OUT_MAX),
        .helo = BUF_EMPTY(ADDRESS_DOMAIN_MAX),
        .verdict = BUF_EMPTY(4096),
        .sasl = BUF_EMPTY(SMTP_SASL_LINE_MAX),
    };
}

void smtp_server_done(struct smtp_server *server)
{
    buf_done(&server->out);
    buf_done(&server->helo);
    buf_done(&server->verdict);
    buf_wipe(&server->sasl);
    buf_done(&server->sasl);
}

void server_enter(struct smtp_server *server, enum smtp_server_state state) { server->state = state; }

void server_close(struct smtp_server *server, enum smtp_close why)
{
    if (server->closing)
        return;
    server->closing = true;
    server->why = why;
    server->waiting = SMTP_EVENT_MORE;
    server_enter(server, SMTP_STATE_CLOSED);
}

void server_count_error(struct smtp_server *server)
{
    if (++server->errors < server->settings->max_errors || server->closing)
        return;
    server_say(server, 421, STATUS_CODE(4, 7, 0), SPAN("Too many errors; closing"));
    server_close(server, SMTP_CLOSE_ERRORS);
}

void server_end_transaction(struct smtp_server *server)
{
    server->recipients = 0;
    server->utf8 = false;
    server->chunked = server->spoiled = false;
    buf_done(&server->verdict);
    server_enter(server, SMTP_STATE_GREETED);
}

void server_drop(struct smtp_server *server)
{
    if (!smtp_server_in_transaction(server))
        return;
    server->dropping = !server->spoiled; /* who spoiled it knows already */
    server_end_transaction(server);
}

void smtp_server_greet(struct smtp_server *server, size_t early_octets)
{
    assert(server->state == SMTP_STATE_NEW);
    server_enter(server, SMTP_STATE_CONNECTED);
    if (early_octets > 0) {
        server_say(server, 554, STATUS_CODE(0, 0, 0), SPAN("You spoke before the greeting"));
        server_close(server, SMTP_CLOSE_EARLY);
        return;
    }
    buf_printf(&server->out, "220 %.*s ESMTP goniec\r\n", SPAN_ARGS(server->settings->hostname));
}

void smtp_server_turn_away(struct smtp_server *server, unsigned code, struct status_code status, struct span text)
{
    server_say(server, code, status, text);
    server_close(server, SMTP_CLOSE_DOOR);
}

void smtp_server_shut(struct smtp_server *server, struct status_code status, struct span text)
{
    if (!server->closing)
        smtp_server_turn_away(server, 421, status, text);
}

void smtp_server_secured(struct smtp_server *server)
{
    assert(server->state == SMTP_STATE_TLS);
    server->secured = true;
    server->logged_in = server->extended = false;
    server->offers &= ~(unsigned)(SMTP_OFFER_TLS | SMTP_NEED_TLS);
    buf_clear(&server->helo);
    server_enter(server, SMTP_STATE_CONNECTED);
}

/* A command line that cannot be one. Nothing behind it can be trusted to begin where it seems to. */
static void bad_line(struct smtp_server *server, enum status status)
{
    if (status == STATUS_SYNTAX)
        server_say(server, 500, STATUS_CODE(5, 5, 2), SPAN("Lines end by CRLF, and by nothing else"));
    else if (server->state == SMTP_STATE_AUTH)
        server_say(server, 500, STATUS_CODE(5, 5, 6), SPAN("The line is too long")); /* RFC 4954 section 6 */
    else
        server_say(server, 500, STATUS_CODE(5, 5, 2), SPAN("The line is too long"));
    server_close(server, SMTP_CLOSE_LINE);
}

static bool step_command(struct smtp_server *server, struct span *in, struct smtp_server_event *ret)
{
    struct smtp_command command;
    enum status status = smtp_command_take(in, &command);
    if (status == STATUS_AGAIN)
        return false;
    if (status == STATUS_OK)
        server_command(server, command, in->n > 0, ret);
    else
        bad_line(server, status);
    return true;
}

static bool step_auth(struct smtp_server *server, struct span *in, struct smtp_server_event *ret)
{
    struct span line;
    enum status status = smtp_line_take(in, SMTP_SASL_LINE_MAX, &line);
    if (status == STATUS_AGAIN)
        return false;
    if (status == STATUS_OK)
        server_auth_line(server, line, ret);
    else
        bad_line(server, status);
    return true;
}

/* Uses some of the input. False: it needs more. */
static bool step(struct smtp_server *server, struct span *in, struct smtp_server_event *ret)
{
    switch (server->state) {
    case SMTP_STATE_DATA:
    case SMTP_STATE_CHUNK:
        return server_body_next(server, in, ret);
    case SMTP_STATE_AUTH:
        return step_auth(server, in, ret);
    case SMTP_STATE_TLS:
        if (in->n > 0)
            server_close(server, SMTP_CLOSE_TLS_LEFTOVER); /* no reply: it would be read as part of the handshake */
        return in->n > 0;
    case SMTP_STATE_NEW:
        return false;
    default:
        return step_command(server, in, ret);
    }
}

enum smtp_server_event_kind smtp_server_next(struct smtp_server *server, struct span *in, struct smtp_server_event *ret)
{
    *ret = (struct smtp_server_event){ .kind = SMTP_EVENT_MORE };
    if (server->waiting != SMTP_EVENT_MORE)
        return ret->kind = SMTP_EVENT_PAUSED;
    do {
        if (server->closing) {
            *in = span_from(*in, in->n);
            ret->why = server->why;
            return ret->kind = SMTP_EVENT_CLOSE;
        }
        if (server->dropping) {
            server->dropping = false;
            return ret->kind = SMTP_EVENT_DROP;
        }
    } while ((step(server, in, ret) || server->closing) && ret->kind == SMTP_EVENT_MORE);
    if (ret->kind != SMTP_EVENT_MORE && ret->kind != SMTP_EVENT_BODY && ret->kind != SMTP_EVENT_AUTH_CANCEL)
        server->waiting = ret->kind;
    return ret->kind;
}
