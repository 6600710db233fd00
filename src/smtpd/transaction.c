#include "base/memory.h"
#include "base/time.h"
#include "smtpd/session_priv.h"
#include <stdlib.h>

#define SPARE_MAX 256u
#define SPARE_SHARE 8           /* of max-memory, the spare ones may own one part in so many */
#define INLINE_SHARE 8          /* so may a message before it goes into a file */
#define TIDY_MS (10 * TIME_SECOND_MS)
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

static void free_transaction(struct transaction *transaction)
{
    intake_done(&transaction->intake);
    buf_done(&transaction->envid);
    buf_done(&transaction->waiting);
    free(transaction);
}

struct transaction *transaction_begin(struct session *session)
{
    struct smtpd *smtpd = session->smtpd;
    const struct conf_spool *spool = &session->config->root->common.spool;
    size_t inline_max = (size_t)MIN(spool->big_body_octets, spool->segment_octets / 4); /* it must fit into a segment */
    inline_max = MIN(inline_max, (size_t)session->config->max_memory / INLINE_SHARE);
    struct list *link = list_take_first(&smtpd->spare);
    struct transaction *transaction = link ? CONTAINER(link, struct transaction, link) : make();
    if (!transaction)
        return NULL;
    if (link) {
        smtpd->spare_octets -= intake_room(&transaction->intake);
        smtpd->spare_count--;
        smtpd->spare_least = MIN(smtpd->spare_least, smtpd->spare_count);
    }
    if (transaction->intake.inline_max != inline_max) { /* new, or from before a reload */
        intake_done(&transaction->intake);
        intake_init(&transaction->intake, inline_max);
    }
    transaction->smtpd = smtpd;
    transaction->session = session;
    transaction->client = session->client;
    transaction->big = NULL;
    transaction->has_remote = false;
    transaction->began_ms = transaction->data_ms = loop_now_ms(smtpd->loop);
    transaction->intake.arg = transaction;
    session->transaction = transaction;
    return transaction;
}

void transaction_hold(struct transaction *transaction, uint64_t octets)
{
    transaction->held += octets;
    transaction->smtpd->held += octets;
    clients_hold(&transaction->smtpd->clients, transaction->client, octets);
}

void transaction_let_go(struct transaction *transaction, uint64_t octets)
{
    octets = MIN(octets, transaction->held);
    transaction->held -= octets;
    transaction->smtpd->held -= octets;
    clients_let_go(&transaction->smtpd->clients, transaction->client, octets);
}

/* A client has at most as much as is still free: half of it while it is alone, a third each of two, and whoever comes
 * new always finds room. */
bool session_is_over_memory(const struct session *session)
{
    uint64_t all = session->config->max_memory, held = session->smtpd->held;
    uint64_t most = all - MIN(session->smtpd->load.octets, all / 2);
    return held > most || (session->client && session->client->held > most - held);
}

void transactions_tidy(struct smtpd *smtpd)
{
    for (unsigned i = 0; i < smtpd->spare_least; i++) {
        struct transaction *transaction = CONTAINER(smtpd->spare.prev, struct transaction, link);
        smtpd->spare_octets -= intake_room(&transaction->intake);
        smtpd->spare_count--;
        list_remove(&transaction->link);
        free_transaction(transaction);
    }
    smtpd->spare_least = smtpd->spare_count;
    memory_give_back();
}

static void on_tidy(struct loop_timer *timer)
{
    struct smtpd *smtpd = CONTAINER(timer, struct smtpd, tidy);
    transactions_tidy(smtpd);
    if (smtpd->spare_count > 0)
        loop_timer_set(&smtpd->tidy, TIDY_MS);
}

void transactions_init(struct smtpd *smtpd)
{
    list_init(&smtpd->spare);
    loop_timer_init(smtpd->loop, &smtpd->tidy, on_tidy);
}

void transactions_tidy_later(struct smtpd *smtpd)
{
    if (!loop_timer_runs(&smtpd->tidy))
        loop_timer_set(&smtpd->tidy, TIDY_MS);
}

static bool is_kept(const struct smtpd *smtpd, const struct transaction *transaction)
{
    uint64_t most = smtpd->config->max_memory / SPARE_SHARE;
    return smtpd->spare_count < SPARE_MAX && smtpd->spare_octets + intake_room(&transaction->intake) <= most;
}

void transaction_end(struct transaction *transaction)
{
    if (!transaction)
        return;
    struct smtpd *smtpd = transaction->smtpd;
    counting_undo(transaction);
    if (transaction->session)
        transaction->session->transaction = NULL;
    bool is_ours = big_free(transaction);
    transaction->session = NULL;
    if (!is_ours)
        return;
    transaction_let_go(transaction, transaction->held);
    transactions_tidy_later(smtpd);
    intake_clear(&transaction->intake);
    if (!is_kept(smtpd, transaction)) {
        free_transaction(transaction);
        return;
    }
    buf_clear(&transaction->envid);
    buf_clear(&transaction->waiting);
    transaction->client = NULL;
    transaction->id = 0;
    transaction->storing = false; /* what remains is written anew by MAIL */
    list_add_first(&smtpd->spare, &transaction->link);
    smtpd->spare_count++;
    smtpd->spare_octets += intake_room(&transaction->intake);
}

void transactions_done(struct smtpd *smtpd)
{
    for (struct list *link; (link = list_take_first(&smtpd->spare)) != NULL;)
        free_transaction(CONTAINER(link, struct transaction, link));
    smtpd->spare_count = 0;
    loop_timer_stop(&smtpd->tidy);
}
