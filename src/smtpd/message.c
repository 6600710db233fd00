/* DATA or BDAT, the octets, the end: from the client's last line to the disk and the 250. */
#include "mail/received.h"
#include "smtpd/local.h"
#include "smtpd/session_priv.h"
#include "base/mutant.h"
#include <stdio.h>

#define LATER SPAN("This cannot be checked at present; try again later")
#define TO_MAX 1024 /* octets of recipients in a log line */

void message_on_data(struct session *session)
{
    enum status status = store_check(&session->smtpd->store);
    session->transaction->data_ms = loop_now_ms(session->smtpd->loop);
    if (status == STATUS_OK) {
        smtp_server_accept(&session->server);
        return;
    }
    session_refuse_store(session, "DATA", status);
    transaction_end(session->transaction);
}

/* The message cannot be taken any more; the transaction goes, the client's octets are still read to their end. */
void message_spoil(struct session *session, unsigned code, struct status_code status, struct span text)
{
    session_log_refused(session, "message", SPAN_NONE, code, text);
    asking_cancel(&session->smtpd->asking, &session->question); /* about its author, perhaps */
    if (session->server.waiting == SMTP_EVENT_END)
        smtp_server_answer(&session->server, code, status, text);
    else
        smtp_server_spoil(&session->server, code, status, text);
    transaction_end(session->transaction);
}

static void out_of_memory(struct session *session)
{
    message_spoil(session, 452, STATUS_CODE(4, 3, 1), SPAN("Too much mail at a time; try again later"));
}

void message_on_body(struct session *session, struct span octets)
{
    struct transaction *transaction = session->transaction;
    if (!transaction)
        return; /* spoiled; the rest is nobody's */
    if (transaction->big) {
        big_body(session, octets);
        return;
    }
    transaction_hold(transaction, octets.n);
    if (session_is_over_memory(session)) {
        out_of_memory(session);
        return;
    }
    enum status status = intake_take(&transaction->intake, octets);
    if (status == STATUS_FULL)
        big_begin(session);
    else if (status != STATUS_OK)
        out_of_memory(session);
}

static const enum spool_ret rets[] = {
    [SMTP_RET_UNSAID] = SPOOL_RET_NONE, [SMTP_RET_FULL] = SPOOL_RET_FULL, [SMTP_RET_HEADERS] = SPOOL_RET_HDRS,
};

void message_facts(struct session *session, struct intake_facts *ret)
{
    struct transaction *transaction = session->transaction;
    const struct smtp_server *server = &session->server;
    const struct tls_info *tls = stream_tls(session->stream);
    if (transaction->id == 0)
        transaction->id = store_id(&session->smtpd->store);
    *ret = (struct intake_facts){
        .hostname = buf_span(&session->config->hostname),
        .helo = smtp_server_helo(server),
        .client_address = span_str(session->address),
        .protocol = span_str(received_with(server->extended, tls != NULL, session->account != NULL, transaction->utf8)),
        .tls_version = tls ? span_str(tls->version) : SPAN_NONE,
        .tls_cipher = tls ? span_str(tls->cipher) : SPAN_NONE,
        .tls_bits = tls ? (unsigned)MAX(tls->bits, 0) : 0,
        .account = session_account(session),
        /* Who logged in answers for the header, whichever door was taken. */
        .submission = session_is_submission(session) || session->account,
        .hide_client = session->account && session_settings(session)->hide_client,
        .utf8 = transaction->utf8,
        .body_8bit = transaction->body_8bit || server->body.has_8bit,
        .ret = rets[transaction->ret],
        .envid = buf_span(&transaction->envid),
        .max_hops = (uint32_t)session_settings(session)->max_hops,
        .id = transaction->id,
        .now_wall_ms = loop_wall_ms(session->smtpd->loop),
    };
    if (session->local)
        local_facts(session, ret);
}

static void refuse_intake(struct session *session)
{
    const struct intake_refusal *refusal = &session->transaction->intake.refusal;
    unsigned code = refusal->reply;
    struct status_code status = refusal->code;
    char text[INTAKE_TEXT_MAX];
    memcpy(text, refusal->text, sizeof text);
    message_spoil(session, code, status, span_str(text));
}

/* The first address of From: that a user of this machine may not use, as far as that is known without a question; or none. */
static bool find_foreign(const struct session *session, struct span *ret)
{
    const struct intake *intake = &session->transaction->intake;
    for (uint32_t i = 0; session->local && i < intake_from_count(intake); i++)
        if (local_judge(session, intake_from(intake, i), true) == LOCAL_NO) {
            *ret = intake_from(intake, i);
            return true;
        }
    return false;
}

static void refuse_foreign(struct session *session, struct span address)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(POLICY_REFUSAL_MAX);
    local_refusal(session, address, &text);
    message_spoil(session, 550, STATUS_CODE(5, 7, 1), buf_span(&text));
}

/* Must directory be asked about From:? Not when a moment ago it said yes to the same as MAIL's sender. */
static bool must_ask_author(const struct session *session)
{
    const struct intake *intake = &session->transaction->intake;
    bool vouched = true;
    if (session->local && local_judge(session, SPAN_NONE, false) == LOCAL_YES)
        return false;
    for (uint32_t i = 0; vouched && session->account && i < intake_from_count(intake); i++)
        vouched = login_is_vouched(session, intake_from(intake, i), intake_sender_of(intake));
    return !vouched;
}

/* Asks whether the login may use the addresses of From:. True: the answer will come. */
static bool ask_author(struct session *session)
{
    const struct intake *intake = &session->transaction->intake;
    struct ask_may_send ask = { .account = session_rights(session), .credential = session->credential, .which = MAY_SEND_HEADER };
    for (uint32_t i = 0; i < intake_from_count(intake); i++)
        if (session->local)
            local_ask_add(session, intake_from(intake, i), &ask);
        else
            ask.addresses[ask.count++] = intake_from(intake, i);
    local_ask_end(&ask);
    session->asked_ms = loop_now_ms(session->smtpd->loop);
    return asking_may_send(&session->smtpd->asking, &session->question, &ask);
}

static void store(struct session *session)
{
    if (session->transaction->big)
        big_end(session);
    else
        message_store(session->transaction, NULL);
}

static void go_to_disk(struct session *session)
{
    switch (counting_message(session)) {
    case COUNTING_FREE: store(session); break;
    case COUNTING_ASKED: break;
    case COUNTING_AWAY: message_spoil(session, 451, STATUS_CODE(4, 3, 0), LATER); break;
    }
}

static void on_counted(struct session *session, const struct answer *answer)
{
    unsigned code;
    struct status_code status;
    if (counting_take(session, answer, &code, &status))
        store(session);
    else
        message_spoil(session, code, status, answer->text.n ? answer->text : LATER);
}

void message_on_end(struct session *session)
{
    struct transaction *transaction = session->transaction;
    struct intake_facts facts;
    struct span foreign;
    message_facts(session, &facts);
    if (!transaction->big && intake_header(&transaction->intake, &facts) != STATUS_OK)
        refuse_intake(session);
    else if (find_foreign(session, &foreign))
        refuse_foreign(session, foreign);
    else if (!must_ask_author(session))
        go_to_disk(session);
    else if (!ask_author(session))
        message_spoil(session, 451, STATUS_CODE(4, 3, 0), LATER);
}

void message_on_author_answer(struct session *session, const struct answer *answer)
{
    if (answer->kind == ANSWER_COUNTED) {
        on_counted(session, answer);
        return;
    }
    login_vouch(session, answer);
    bool told = answer->kind == ANSWER_VERDICT;
    if (told && answer->result == VERDICT_YES)
        go_to_disk(session);
    else if (told && answer->result == VERDICT_NO)
        message_spoil(session, 550, STATUS_CODE(5, 7, 1), answer->text);
    else
        message_spoil(session, 451, STATUS_CODE(4, 3, 0), told && answer->text.n ? answer->text : LATER);
}

/* -- the disk -- */

/* The recipients on one line, as many as fit. */
static void list_recipients(const struct intake *intake, struct buf *ret)
{
    for (uint32_t i = 0; i < intake->recipient_count && ret->n + WIRE_ADDRESS_MAX < TO_MAX * 2; i++) {
        if (i > 0)
            buf_add_char(ret, ' ');
        buf_add(ret, intake_recipient_of(intake, i));
    }
}

static void log_accepted(const struct transaction *transaction)
{
    const struct intake *intake = &transaction->intake;
    const struct session *session = transaction->session;
    struct smtpd *smtpd = transaction->smtpd;
    AUTO(buf_done) struct buf to = BUF_EMPTY(TO_MAX * 2);
    list_recipients(intake, &to);
    log_info(smtpd->log, "accepted", LOG_ID(transaction->id), LOG_SPAN("from", intake_sender_of(intake)),
             LOG_SPAN("to", buf_span(&to)), LOG_INT("recipients", intake->recipient_count), LOG_SIZE(intake->octets),
             LOG_STR("client", session ? session->address : ""),
             LOG_SPAN("helo", session ? smtp_server_helo(&session->server) : SPAN_NONE),
             LOG_SPAN("account", session ? session_account(session) : buf_span(&transaction->waiting)),
             LOG_BOOL("tls", session && session->server.secured), LOG_BOOL("gone", !session),
             LOG_INT("ms", loop_now_ms(smtpd->loop) - transaction->began_ms));
}

/* What the client hears. Nothing but an OK of the log makes a 250. */
static void answer(struct session *session, const struct transaction *transaction, enum status status)
{
    char id[ID_TEXT_SIZE], text[64];
    if (status == STATUS_OK || (MUTANT(REFUSAL_ANSWERED_250) && status != STATUS_CLOSED)) {
        snprintf(text, sizeof text, "Ok: queued as %s", id_text(transaction->id, id));
        smtp_server_answer(&session->server, 250, STATUS_CODE(2, 0, 0), span_str(text));
    } else if (status == STATUS_TOO_LONG)
        session_refuse(session, "message", SPAN_NONE, 552, STATUS_CODE(5, 3, 4), SPAN("The message is too large to be stored"));
    else if (status == STATUS_CLOSED)
        session_refuse_store(session, "message", STATUS_DENIED);
    else
        session_refuse_store(session, "message", STATUS_FULL);
}

static void on_stored(struct intake *intake, enum status status)
{
    struct transaction *transaction = intake->arg;
    struct smtpd *smtpd = transaction->smtpd;
    struct session *session = transaction->session;
    smtpd->storing--;
    status = store_stored(&smtpd->store, intake, status);
    if (status == STATUS_OK) {
        memset(transaction->counted, 0, sizeof transaction->counted); /* it stays counted */
        log_accepted(transaction);
    }
    if (session)
        answer(session, transaction, status);
    transaction_end(transaction);
    if (session)
        session_go_on(session);
}

bool message_store(struct transaction *transaction, const struct spool_body_ref *file)
{
    struct session *session = transaction->session;
    struct intake_facts facts;
    message_facts(session, &facts);
    if (intake_compose(&transaction->intake, &facts) != STATUS_OK) {
        refuse_intake(session);
        return false;
    }
    if (session->local)
        local_log(session, transaction->id);
    enum status status = store_put(&session->smtpd->store, &transaction->intake, file, on_stored);
    if (status == STATUS_OK) {
        session->smtpd->storing++;
        transaction->storing = true;
        return true;
    }
    session_refuse_store(session, "message", status);
    transaction_end(transaction);
    return false;
}
