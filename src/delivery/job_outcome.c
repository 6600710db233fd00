/* What became of a job's recipients: told to the queue and to the log. */
#include "delivery/held.h"
#include "delivery/job_priv.h"
#include "base/mutant.h"
#include <stdio.h>

void job_note(struct job *job, bool is_permanent, int code, struct status_code enhanced, struct span text)
{
    /* One server's "later" outweighs another's "never". */
    if (is_permanent && job->has_temporary_trouble)
        return;
    job->has_temporary_trouble |= !is_permanent;
    job->last_code = code;
    job->last_enhanced = enhanced;
    job->last_n = MIN(text.n, sizeof job->last_text);
    memcpy(job->last_text, text.p ? text.p : "", job->last_n);
}

void job_note_peer(struct job *job, const struct session *session)
{
    memcpy(job->peer_name, session->name, sizeof job->peer_name);
    net_address_text(&session->target.address, job->peer_address);
    memcpy(job->peer_tls, session->tls_text, sizeof job->peer_tls);
    job->peer = session->target.address;
    job->peer_verified = session->is_verified;
}

/* The event of one recipient: its names are what `goniec trace` reads. */
static void tell_log(struct job *job, uint32_t i, const struct outcome_recipient *outcome)
{
    static const char *const names[] = { [OUTCOME_DELIVERED] = "delivered", [OUTCOME_DEFERRED] = "deferred",
                                         [OUTCOME_FAILED] = "failed", [OUTCOME_CAUGHT] = "caught",
                                         [OUTCOME_RELAYED] = "delivered" };
    const struct spool_envelope *envelope = &job->message.envelope;
    uint32_t index = job->recipients[i].index;
    struct span address = index < envelope->recipient_count ? spool_envelope_recipient(envelope, index).address : SPAN("?");
    struct status_code code = { outcome->enhanced[0], outcome->enhanced[1], outcome->enhanced[2] };
    char status[STATUS_CODE_TEXT_SIZE], ip[NET_ADDRESS_TEXT] = "";
    if (job->peer.n)
        net_address_ip_text(&job->peer, ip);
    log_info(job->delivery->log, names[outcome->result], LOG_ID(job->id), LOG_SPAN("recipient", address),
             LOG_SPAN("sender", envelope->sender), LOG_STR("host", job->peer_name), LOG_STR("ip", ip),
             LOG_INT("port", job->peer.n ? net_address_port(&job->peer) : 0), LOG_STR("tls", job->peer_tls),
             LOG_BOOL("verified", job->peer_verified), LOG_INT("code", outcome->code),
             LOG_STR("status", status_code_text(code, status)), LOG_SPAN("reply", outcome->text),
             LOG_INT("attempt", job->attempt), LOG_INT("took_ms", loop_now_ms(job->delivery->loop) - job->began_ms));
}

static void pack(struct job *job, uint32_t i, uint8_t result, int code, struct status_code enhanced, struct span text)
{
    struct job_recipient *recipient = &job->recipients[i];
    if (recipient->is_settled)
        return;
    struct outcome_recipient outcome = {
        .index = recipient->index, .result = result, .code = (uint16_t)code,
        .enhanced = { enhanced.class, enhanced.subject, enhanced.detail }, .text = span_head(text, WIRE_REPLY_MAX),
    };
    if (MUTANT(WRONG_RECIPIENT))
        outcome.index = job->recipients[job->recipient_count - 1 - i].index;
    recipient->is_settled = true;
    job->left--;
    outcome_recipient_put(&job->packed, &outcome);
    job->packed_count++;
    tell_log(job, i, &outcome);
}

/* Is it the whole server that wants less from us, not only this recipient? */
static bool is_busy(int code, struct status_code enhanced)
{
    return code == 421 || (code / 100 == 4 && (enhanced.subject == 3 || enhanced.subject == 4));
}

void job_settle(struct job *job, uint32_t i, uint8_t result, const struct smtp_client_result *word)
{
    if (result == OUTCOME_DEFERRED && is_busy(word->code, word->enhanced) && job->trouble == TROUBLE_NONE)
        job->trouble = TROUBLE_BUSY;
    pack(job, i, result, word->code, word->enhanced, word->text);
}

void job_settle_rest(struct job *job, uint8_t result, int code, struct status_code enhanced, struct span text)
{
    for (uint32_t i = 0; i < job->recipient_count; i++)
        pack(job, i, result, code, enhanced, text);
}

void job_end(struct job *job)
{
    struct delivery *delivery = job->delivery;
    struct lease_outcome outcome = {
        .lease = job->lease, .trouble = (uint8_t)job->trouble, .host = span_str(job->peer_name),
        .address = span_str(job->peer_address), .tls = span_str(job->peer_tls),
        .recipient_count = job->packed_count, .recipients = buf_span(&job->packed),
    };
    held_keep(job, &outcome);
    if (delivery->queue) {
        lease_outcome_put(channel_begin(delivery->queue, LEASE_OUTCOME), &outcome);
        (void)channel_end(delivery->queue); /* a dead channel tells in on_closed */
    }
    delivery->owed++;
    if (job->trouble == TROUBLE_CONNECT && job->site) /* behind the outcome, by which the queue knows better */
        job_return_waiting(job->site, INT64_MAX);
    job_drop(job);
}
