/* The door's answers to the events that wait for one. */
#include "smtp/base64.h"
#include "smtp/server_priv.h"
#include <assert.h>

static const struct {
    unsigned code;
    struct status_code status;
    const char *text;
} usual[] = {
    [SMTP_EVENT_STARTTLS] = { 220, { 2, 0, 0 }, "Begin TLS" },
    [SMTP_EVENT_AUTH] = { 235, { 2, 7, 0 }, "Logged in" },
    [SMTP_EVENT_AUTH_RESPONSE] = { 235, { 2, 7, 0 }, "Logged in" },
    [SMTP_EVENT_MAIL] = { 250, { 2, 1, 0 }, "Sender ok" },
    [SMTP_EVENT_RCPT] = { 250, { 2, 1, 5 }, "Recipient ok" },
    [SMTP_EVENT_DATA] = { 354, { 0, 0, 0 }, "Send the message; a line with a single dot ends it" },
    [SMTP_EVENT_END] = { 250, { 2, 0, 0 }, "Ok" },
};

static void accepted(struct smtp_server *server, enum smtp_server_event_kind kind)
{
    switch (kind) {
    case SMTP_EVENT_STARTTLS:
        server_enter(server, SMTP_STATE_TLS);
        break;
    case SMTP_EVENT_AUTH:
    case SMTP_EVENT_AUTH_RESPONSE:
        server->logged_in = true;
        break;
    case SMTP_EVENT_LOCAL:
        break;
    case SMTP_EVENT_MAIL:
        server_enter(server, SMTP_STATE_MAIL);
        break;
    case SMTP_EVENT_RCPT:
        server->recipients++;
        server_enter(server, SMTP_STATE_RCPT);
        break;
    case SMTP_EVENT_DATA:
        if (!server->chunked) {
            server_body_start(server);
            server_enter(server, SMTP_STATE_DATA);
        }
        break;
    default:
        server->idle_commands = 0;
        server_end_transaction(server);
        break;
    }
}

static void refused(struct smtp_server *server, enum smtp_server_event_kind kind, unsigned code)
{
    if (kind == SMTP_EVENT_DATA || kind == SMTP_EVENT_END)
        server_end_transaction(server); /* what a message is refused for is no misbehaviour: not counted */
    else if (code >= 500 || kind == SMTP_EVENT_AUTH || kind == SMTP_EVENT_AUTH_RESPONSE)
        server_count_error(server); /* a login put off, too: who guesses is told so often enough */
    if (kind == SMTP_EVENT_MAIL)
        server->utf8 = false;
}

void smtp_server_answer(struct smtp_server *server, unsigned code, struct status_code status, struct span text)
{
    enum smtp_server_event_kind kind = server->waiting;
    assert(kind != SMTP_EVENT_MORE && (code / 100 == 2 || code / 100 == 4 || code / 100 == 5));
    server->waiting = SMTP_EVENT_MORE;
    buf_wipe(&server->sasl);
    if (code == 421) {
        smtp_server_shut(server, status, text);
        return;
    }
    if (kind == SMTP_EVENT_DATA && server->chunked) {
        if (code >= 400)
            server_body_spoil(server, code, status, text); /* the octets come all the same */
        return;
    }
    server_say(server, code, status, text);
    if (code < 300)
        accepted(server, kind);
    else
        refused(server, kind, code);
}

void smtp_server_accept(struct smtp_server *server)
{
    enum smtp_server_event_kind kind = server->waiting;
    if (kind == SMTP_EVENT_DATA) {
        server->waiting = SMTP_EVENT_MORE;
        if (!server->chunked)
            server_say(server, usual[kind].code, usual[kind].status, span_str(usual[kind].text));
        accepted(server, kind);
        return;
    }
    smtp_server_answer(server, usual[kind].code, usual[kind].status, span_str(usual[kind].text));
}

void smtp_server_challenge(struct smtp_server *server, struct span challenge)
{
    assert(server->waiting == SMTP_EVENT_AUTH || server->waiting == SMTP_EVENT_AUTH_RESPONSE);
    server->waiting = SMTP_EVENT_MORE;
    buf_wipe(&server->sasl);
    buf_add_str(&server->out, "334 ");
    base64_encode(challenge, &server->out);
    buf_add_str(&server->out, "\r\n");
    server_enter(server, SMTP_STATE_AUTH);
}
