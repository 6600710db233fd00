/* Logins: smtpd passes the tokens on and knows no password. */
#include "policy/sender.h"
#include "smtpd/session_priv.h"
#include <stdlib.h>

#define NOT_NOW SPAN("Logins cannot be checked at present; try again later")

static void not_now(struct session *session)
{
    smtp_server_answer(&session->server, 454, STATUS_CODE(4, 7, 0), NOT_NOW);
}

static bool is_scram(const struct session *session) { return span_starts(span_str(session->mechanism), SPAN("SCRAM-")); }

void login_on_auth(struct session *session, const struct smtp_server_event *event)
{
    struct tls_bindings bindings = { .exporter_n = 0 };
    memcpy(session->mechanism, event->mechanism.p, event->mechanism.n);
    session->mechanism[event->mechanism.n] = 0;
    struct ask_auth_start start = {
        .mechanism = event->mechanism,
        .has_initial = event->has_octets,
        .initial = event->octets,
        .client = span_str(session->address),
        .tls = session->server.secured,
    };
    /* Only what was offered: who could not have bound his login to this connection need not explain why he did not. */
    if (is_scram(session) && session->server.offers & SMTP_OFFER_PLUS) {
        stream_tls_bindings(session->stream, &bindings);
        start.exporter = span_of(bindings.exporter, bindings.exporter_n);
        start.unique = span_of(bindings.unique, bindings.unique_n);
        start.end_point = span_of(bindings.end_point, bindings.end_point_n);
    }
    session->asked_ms = loop_now_ms(session->smtpd->loop);
    if (!asking_login(&session->smtpd->asking, &session->question, &start))
        not_now(session);
}

void login_on_response(struct session *session, const struct smtp_server_event *event)
{
    session->asked_ms = loop_now_ms(session->smtpd->loop);
    if (!asking_login_next(&session->smtpd->asking, &session->question, event->octets))
        not_now(session);
}

static void failed(struct session *session, const char *why, unsigned code, struct status_code status, struct span text)
{
    log_debug(session->smtpd->log, "login-refused", LOG_STR("client", session->address),
             LOG_STR("mechanism", session->mechanism), LOG_STR("why", why), LOG_SPAN("text", text));
    smtp_server_answer(&session->server, code, status, text);
}

/* -- what need not be asked twice -- */

void login_vouch(struct session *session, const struct answer *answer)
{
    bool good = answer->kind == ANSWER_LOGIN ? answer->result == AUTH_OK
                                             : answer->kind == ANSWER_VERDICT && answer->result == VERDICT_YES;
    session->vouched_ms = good ? session->asked_ms : 0;
}

static bool owns_nothing_else(void *arg, struct span key) { return false; }

/* A login and its message, or a message and the next, are one moment: a program that logs in for each message costs one
 * question instead of three. A login's own address is its own as long as there is the login (policy/sender.h). */
bool login_is_vouched(const struct session *session, struct span address, struct span known)
{
    if (session->vouched_ms == 0 || loop_now_ms(session->smtpd->loop) - session->vouched_ms >= WIRE_VOUCHED_MS)
        return false;
    struct policy_sender_question question = { session_account(session), address, .in_header = true };
    return (known.n && span_eq(address, known)) ||
           (!session->restricted && policy_sender_check(&question, owns_nothing_else, NULL) == STATUS_OK);
}

static void logged_in(struct session *session, const struct answer *answer)
{
    struct span account = answer->account;
    char *copy = malloc(account.n ? account.n : 1);
    if (!copy || account.n == 0) {
        free(copy);
        not_now(session);
        return;
    }
    memcpy(copy, account.p, account.n);
    free(session->account);
    session->account = copy;
    session->account_n = account.n;
    session->credential = answer->credential;
    session->restricted = answer->restricted;
    log_debug(session->smtpd->log, "login", LOG_STR("client", session->address), LOG_SPAN("account", account),
              LOG_STR("mechanism", session->mechanism));
    smtp_server_accept(&session->server);
}

static struct span or_else(struct span text, struct span otherwise) { return text.n ? text : otherwise; }

static void on_result(struct session *session, const struct answer *answer)
{
    switch ((enum auth_result)answer->result) {
    case AUTH_OK:
        logged_in(session, answer);
        break;
    case AUTH_DENIED: /* one answer for an unknown login and a wrong password */
        failed(session, "denied", 535, STATUS_CODE(5, 7, 8), or_else(answer->text, SPAN("Wrong login or password")));
        break;
    case AUTH_BROKEN:
        failed(session, "broken", 501, STATUS_CODE(5, 5, 2), or_else(answer->text, SPAN("The login exchange is broken")));
        break;
    case AUTH_UNKNOWN_MECHANISM:
        failed(session, "mechanism", 504, STATUS_CODE(5, 5, 4), SPAN("This way to log in is not offered"));
        break;
    default:
        failed(session, "busy", 454, STATUS_CODE(4, 7, 0), or_else(answer->text, NOT_NOW));
        break;
    }
}

void login_on_answer(struct session *session, const struct answer *answer)
{
    login_vouch(session, answer);
    if (answer->kind == ANSWER_CHALLENGE)
        smtp_server_challenge(&session->server, answer->text);
    else if (answer->kind == ANSWER_LOGIN)
        on_result(session, answer);
    else
        not_now(session);
}
