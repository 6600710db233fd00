#include "smtpd/session_priv.h"
#include <stdlib.h>

#define SPARE_MAX 256u
#define ENVID_ROOM 128u

static struct transaction *make(void)
{
    struct transaction *transaction = calloc(1, sizeof *transaction);
    if (!transaction)
        return NULL;
    transaction->envid = BUF_EMPTY(ENVID_ROOM);
    transaction->waiting = BUF_EMPTY(4096);
    list_init(&transaction->link);
    return transaction;
}

struct transaction *transaction_begin(struct session *session)
{
    struct smtpd *smtpd = session->smtpd;
    const struct conf_spool *spool = &session->config->root->common.spool;
    size_t inline_max = (size_t)MIN(spool->big_body_octets, spool->segment_octets / 4); /* it must fit into a segment */
    struct list *link = list_take_first(&smtpd->spare);
    smtpd->spare_count -= link != NULL;
    struct transaction *transaction = link ? CONTAINER(link, struct transaction, link) : make();
    if (!transaction)
        return NULL;
    if (transaction->intake.inline_max != inline_max) { /* new, or from before a reload */
        intake_done(&transaction->intake);
        intake_init(&transaction->intake, inline_max);
    }
    transaction->smtpd = smtpd;
    transaction->session = session;
    transaction->big = NULL;
    transaction->began_ms = transaction->data_ms = loop_now_ms(smtpd->loop);
    transaction->intake.arg = transaction;
    session->transaction = transaction;
    return transaction;
}

void transaction_hold(struct transaction *transaction, uint64_t octets)
{
    transaction->held += octets;
    transaction->smtpd->held += octets;
}

static void destroy(struct transaction *transaction)
{
    intake_done(&transaction->intake);
    buf_done(&transaction->envid);
    buf_done(&transaction->waiting);
    free(transaction);
}

void transaction_end(struct transaction *transaction)
{
    if (!transaction)
        return;
    struct smtpd *smtpd = transaction->smtpd;
    if (transaction->session)
        transaction->session->transaction = NULL;
    big_free(transaction);
    smtpd->held -= transaction->held;
    if (smtpd->spare_count >= SPARE_MAX) {
        destroy(transaction);
        return;
    }
    intake_clear(&transaction->intake);
    buf_clear(&transaction->envid);
    buf_clear(&transaction->waiting);
    transaction->session = NULL;
    transaction->held = transaction->id = 0;
    transaction->storing = false; /* what remains is written anew by MAIL */
    list_add_first(&smtpd->spare, &transaction->link);
    smtpd->spare_count++;
}

void transactions_done(struct smtpd *smtpd)
{
    for (struct list *link; (link = list_take_first(&smtpd->spare)) != NULL;)
        destroy(CONTAINER(link, struct transaction, link));
    smtpd->spare_count = 0;
}
