/* MAIL and RCPT: who may send as whom, and to whom. */
#include "policy/recipient.h"
#include "smtpd/local.h"
#include "smtpd/session_priv.h"

#define RECIPIENT_OCTETS 64u /* that a recipient takes beside its texts */
#define LATER SPAN("This cannot be checked at present; try again later")

static void keep_parameters(struct transaction *transaction, const struct smtp_mail *mail)
{
    transaction->ret = mail->ret;
    transaction->utf8 = mail->utf8;
    transaction->body_8bit = mail->body == SMTP_BODY_8BITMIME;
    buf_add(&transaction->envid, mail->envid);
}

static void no_memory(struct session *session, const char *stage)
{
    session_refuse(session, stage, SPAN_NONE, 452, STATUS_CODE(4, 3, 1), SPAN("Too much mail at a time; try again later"));
    transaction_end(session->transaction);
}

/* Asks whether the login may use this sender. True: the answer will come. */
static bool ask_sender(struct session *session, struct span sender)
{
    struct ask_may_send ask = { .account = session_rights(session), .credential = session->credential, .which = MAY_SEND_ENVELOPE };
    if (session->local)
        local_ask_add(session, sender, &ask);
    else
        ask.addresses[ask.count++] = sender;
    local_ask_end(&ask);
    session->asked_ms = loop_now_ms(session->smtpd->loop);
    return asking_may_send(&session->smtpd->asking, &session->question, &ask);
}

/* MAIL is good, if there is room. A queue that is just starting (again) is waited for a while: the client need not know. */
void envelope_begin(struct session *session)
{
    enum status status = store_check(&session->smtpd->store);
    int64_t now = loop_now_ms(session->smtpd->loop);
    if (status == STATUS_DENIED && session->transaction) {
        if (!session->waits_store)
            session->asked_ms = now;
        session->waits_store = now < session->asked_ms + session_settings(session)->queue_wait_ms;
        if (session->waits_store)
            return;
    }
    session->waits_store = false;
    if (status == STATUS_OK) {
        smtp_server_accept(&session->server);
        return;
    }
    session_refuse_store(session, "MAIL", status);
    transaction_end(session->transaction);
}

/* A user of this machine whose rights are known without a question. */
static void local_mail(struct session *session, struct span sender, bool may)
{
    AUTO(buf_done) struct buf text = BUF_EMPTY(POLICY_REFUSAL_MAX);
    if (may) {
        envelope_begin(session);
        return;
    }
    local_refusal(session, sender, &text);
    session_refuse(session, "MAIL", SPAN_NONE, 553, STATUS_CODE(5, 7, 1), buf_span(&text));
    transaction_end(session->transaction);
}

void envelope_on_mail(struct session *session, const struct smtp_mail *mail)
{
    char room[ADDRESS_MAX];
    struct span sender = address_canonical(&mail->from, room);
    bool full = session_is_over_memory(session);
    struct transaction *transaction = full ? NULL : transaction_begin(session);
    if (!transaction || intake_sender(&transaction->intake, sender) != STATUS_OK) {
        no_memory(session, "MAIL");
        return;
    }
    keep_parameters(transaction, mail);
    /* The null sender is nobody's name: read receipts must carry it. From: is asked about all the same. */
    enum local_says says = session->local ? local_judge(session, sender, false) : LOCAL_ASK;
    if (says != LOCAL_ASK) {
        local_mail(session, sender, says == LOCAL_YES);
        return;
    }
    bool must_ask = session->account && sender.n > 0 && !login_is_vouched(session, sender, SPAN_NONE);
    if (!must_ask)
        envelope_begin(session);
    else if (!ask_sender(session, sender)) {
        session_refuse(session, "MAIL", SPAN_NONE, 451, STATUS_CODE(4, 3, 0), LATER);
        transaction_end(transaction);
    }
}

void envelope_on_sender_answer(struct session *session, const struct answer *answer)
{
    login_vouch(session, answer);
    if (answer->kind == ANSWER_VERDICT && answer->result == VERDICT_YES) {
        envelope_begin(session);
        return;
    }
    if (answer->kind == ANSWER_VERDICT && answer->result == VERDICT_NO)
        session_refuse(session, "MAIL", SPAN_NONE, 553, STATUS_CODE(5, 7, 1), answer->text);
    else
        session_refuse(session, "MAIL", SPAN_NONE, 451, STATUS_CODE(4, 3, 0), answer->text.n ? answer->text : LATER);
    transaction_end(session->transaction);
}

static void accept_recipient(struct session *session, struct span address, struct span orcpt, unsigned notify)
{
    /* Kept as text, in the envelope and in the announcement. */
    transaction_hold(session->transaction, RECIPIENT_OCTETS + 3 * (address.n + orcpt.n));
    bool full = session_is_over_memory(session);
    if (!full && intake_recipient(&session->transaction->intake, address, orcpt, notify) == STATUS_OK)
        smtp_server_accept(&session->server);
    else
        session_refuse(session, "RCPT", address, 452, STATUS_CODE(4, 5, 3), SPAN("No memory for more recipients"));
}

/* While somebody is asked about it. It may lie there already. */
static void keep_waiting(struct transaction *transaction, struct span address, struct span orcpt, unsigned notify)
{
    if (address.p == transaction->waiting.p)
        return;
    buf_clear(&transaction->waiting);
    buf_add(&transaction->waiting, address);
    buf_add(&transaction->waiting, orcpt);
    transaction->waiting_address = address.n;
    transaction->waiting_notify = notify;
}

/* He may be written to: have the limits room for him? */
static void take_recipient(struct session *session, struct span address, struct span orcpt, unsigned notify)
{
    struct transaction *transaction = session->transaction;
    enum counting counting = counting_recipient(session, address);
    if (counting == COUNTING_FREE) {
        accept_recipient(session, address, orcpt, notify);
        return;
    }
    keep_waiting(transaction, address, orcpt, notify);
    if (counting == COUNTING_ASKED && !transaction->waiting.failed)
        return;
    asking_drop(&session->smtpd->asking, &session->question);
    session_refuse(session, "RCPT", address, 451, STATUS_CODE(4, 3, 0), LATER);
}

static void on_counted(struct session *session, const struct answer *answer)
{
    struct transaction *transaction = session->transaction;
    struct span both = buf_span(&transaction->waiting), address = span_head(both, transaction->waiting_address);
    unsigned code;
    struct status_code status;
    if (counting_take(session, answer, &code, &status)) {
        accept_recipient(session, address, span_from(both, address.n), transaction->waiting_notify);
        if (answer->recipient_wait_s && session->transaction)
            intake_recipient_waits(&session->transaction->intake, answer->recipient_wait_s);
        return;
    }
    uint32_t errors = session->server.errors;
    session_refuse(session, "RCPT", address, code, status, answer->text.n ? answer->text : LATER);
    session->server.errors = errors; /* no misbehaviour: those before him are still to get their message */
}

/* A stranger writes to somebody who may be here: directory knows. */
static void ask_recipient(struct session *session, struct span address, const struct smtp_rcpt *rcpt)
{
    struct transaction *transaction = session->transaction;
    keep_waiting(transaction, address, rcpt->orcpt, rcpt->notify);
    session->asked_ms = loop_now_ms(session->smtpd->loop);
    if (transaction->waiting.failed || !asking_is_recipient(&session->smtpd->asking, &session->question, address))
        session_refuse(session, "RCPT", address, 451, STATUS_CODE(4, 3, 0), LATER);
}

static void check_recipient(struct session *session, struct span address, const struct smtp_rcpt *rcpt)
{
    switch (policy_recipient_check(&session->config->root->relay, address)) {
    case POLICY_RECIPIENT_KNOWN:
        take_recipient(session, address, rcpt->orcpt, rcpt->notify);
        break;
    case POLICY_RECIPIENT_ASK:
        ask_recipient(session, address, rcpt);
        break;
    case POLICY_RECIPIENT_ELSEWHERE:
        session_refuse(session, "RCPT", address, 550, STATUS_CODE(5, 7, 1),
                       SPAN("We carry mail there only for clients that log in"));
        break;
    case POLICY_RECIPIENT_INVALID:
        session_refuse(session, "RCPT", address, 553, STATUS_CODE(5, 1, 3), SPAN("This is not an address"));
        break;
    }
}

/* "postmaster" without a domain is ours, and everybody may write to it (RFC 5321 section 4.5.1). */
static void take_postmaster(struct session *session, const struct smtp_rcpt *rcpt)
{
    AUTO(buf_done) struct buf address = BUF_EMPTY(ADDRESS_MAX + ADDRESS_DOMAIN_MAX);
    buf_add_str(&address, "postmaster@");
    buf_add(&address, buf_span(&session->config->hostname));
    take_recipient(session, buf_span(&address), rcpt->orcpt, rcpt->notify);
}

void envelope_on_rcpt(struct session *session, const struct smtp_rcpt *rcpt)
{
    if (rcpt->to.domain.n == 0) {
        take_postmaster(session, rcpt);
        return;
    }
    char room[ADDRESS_MAX];
    struct span address = address_canonical(&rcpt->to, room);
    if (session->account || session->trusted)
        take_recipient(session, address, rcpt->orcpt, rcpt->notify);
    else
        check_recipient(session, address, rcpt);
}

void envelope_on_recipient_answer(struct session *session, const struct answer *answer)
{
    if (answer->kind == ANSWER_COUNTED) {
        on_counted(session, answer);
        return;
    }
    struct transaction *transaction = session->transaction;
    struct span both = buf_span(&transaction->waiting);
    struct span address = span_head(both, transaction->waiting_address);
    bool told = answer->kind == ANSWER_VERDICT;
    if (told && answer->result == VERDICT_YES)
        take_recipient(session, address, span_from(both, address.n), transaction->waiting_notify);
    else if (told && answer->result == VERDICT_NO)
        session_refuse(session, "RCPT", address, 550, STATUS_CODE(5, 1, 1),
                       answer->text.n ? answer->text : SPAN("Nobody here has this address"));
    else
        session_refuse(session, "RCPT", address, 451, STATUS_CODE(4, 3, 0), LATER);
}
