/* The limits: directory counts, we ask before we accept. What was counted and became no message is given back. */
#include "policy/recipient.h"
#include "smtpd/session_priv.h"

static struct asking *asking_of(const struct session *session) { return &session->smtpd->asking; }

/* What has to be asked about at all. */
static uint8_t wanted(const struct session *session)
{
    return session->account ? asking_of(session)->count.accounts : asking_of(session)->count.relayed;
}

static bool is_ours(const struct session *session, struct span address)
{
    enum policy_recipient found = policy_recipient_check(&session->config->root->relay, address);
    return found == POLICY_RECIPIENT_KNOWN || found == POLICY_RECIPIENT_ASK;
}

static enum counting ask(struct session *session, uint8_t which, struct span address)
{
    struct transaction *transaction = session->transaction;
    struct ask_count count = { .account = session_account(session), .credential = session->credential, .which = which,
                               .octets = which & COUNT_OCTETS ? transaction->intake.octets : 0, .address = address };
    transaction->counting = which;
    session->asked_ms = loop_now_ms(session->smtpd->loop);
    return asking_count(asking_of(session), &session->question, &count) ? COUNTING_ASKED : COUNTING_AWAY;
}

enum counting counting_recipient(struct session *session, struct span address)
{
    struct transaction *transaction = session->transaction;
    uint8_t want = wanted(session), which = want & (COUNT_MESSAGE | COUNT_RECIPIENT);
    if (!want)
        return COUNTING_FREE;
    bool ours = is_ours(session, address), is_null = intake_sender_of(&transaction->intake).n == 0;
    transaction->has_remote |= !ours;
    if (ours) /* a message with no other recipient is counted at its end */
        which = want & COUNT_LOCAL ? which & COUNT_RECIPIENT : 0;
    else if (transaction->counted[0].which & COUNT_MESSAGE)
        which &= COUNT_RECIPIENT;
    if (is_null)
        which = session->account ? COUNT_RECIPIENT : 0;
    if (!which)
        return COUNTING_FREE;
    return ask(session, (uint8_t)(which | (is_null ? COUNT_NULL : ours ? COUNT_LOCAL : 0)), address);
}

enum counting counting_message(struct session *session)
{
    struct transaction *transaction = session->transaction;
    bool ours = !transaction->has_remote;
    uint8_t want = wanted(session), which = want & COUNT_OCTETS;
    if (ours)
        which = want & COUNT_LOCAL ? want & (COUNT_OCTETS | COUNT_MESSAGE) : 0;
    if (!which || intake_sender_of(&transaction->intake).n == 0)
        return COUNTING_FREE;
    return ask(session, (uint8_t)(which | (ours ? COUNT_LOCAL : 0)), SPAN_NONE);
}

static void note(struct transaction *transaction, const struct answer *answer)
{
    struct counted_part *part = &transaction->counted[(transaction->counting & COUNT_LOCAL) != 0];
    part->which |= transaction->counting;
    part->recipients += (transaction->counting & COUNT_RECIPIENT) != 0;
    if (transaction->counting & COUNT_OCTETS)
        part->octets = transaction->intake.octets;
    transaction->counted_ms = answer->taken_ms;
}

bool counting_take(struct session *session, const struct answer *answer, unsigned *ret_code, struct status_code *ret_status)
{
    static const struct { unsigned code; struct status_code status; } refusals[] = {
        [COUNTED_DEFER] = { 450, { 4, 7, 1 } }, [COUNTED_REJECT] = { 550, { 5, 7, 1 } },
        [COUNTED_TOO_LARGE] = { 552, { 5, 3, 4 } }, [COUNTED_FULL] = { 451, { 4, 3, 1 } },
        [COUNTED_LATER] = { 451, { 4, 3, 0 } },
    };
    if (answer->kind == ANSWER_COUNTED && answer->result == COUNTED_YES) {
        note(session->transaction, answer);
        intake_waits(&session->transaction->intake, answer->message_wait_s);
        return true;
    }
    bool told = answer->kind == ANSWER_COUNTED && answer->result < ARRAY_LEN(refusals);
    *ret_code = refusals[told ? answer->result : COUNTED_LATER].code;
    *ret_status = refusals[told ? answer->result : COUNTED_LATER].status;
    return false;
}

void counting_undo(struct transaction *transaction)
{
    struct session *session = transaction->session;
    struct span account = session ? session_account(session) : buf_span(&transaction->waiting);
    for (size_t i = 0; i < ARRAY_LEN(transaction->counted); i++) {
        struct counted_part *part = &transaction->counted[i];
        struct ask_undo undo = { .account = account, .credential = session ? session->credential : transaction->credential,
                                 .which = part->which, .recipients = part->recipients, .octets = part->octets,
                                 .taken_ms = transaction->counted_ms };
        if (part->which)
            asking_undo(&transaction->smtpd->asking, &undo);
        *part = (struct counted_part){ 0 };
    }
}
