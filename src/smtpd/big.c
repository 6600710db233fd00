/* Large messages: what does not fit into the log's segments goes into a file that queue created, piece by piece, while
 * the client still sends. At most two pieces are in memory; when the disk is slower than the client, the session
 * stalls and the client's octets wait in its own socket. */
#include "smtpd/session_priv.h"
#include <stdlib.h>

#define PIECE (128u << 10)      /* octets written at a time */
#define PIECE_MAX (PIECE + STREAM_READ_MAX)

struct big {
    struct list link;           /* among the given up */
    struct smtpd *smtpd;
    struct transaction *transaction; /* without a session: given up, only a piece is still being written */
    struct body_ask ask;
    struct spool_body *body;    /* NULL: the file has not come yet */
    uint64_t number;            /* of the file */
    size_t first;               /* pieces of the intake that were written already */
    struct buf writing, filling;
    bool busy;                  /* a piece is being written */
    bool ended;                 /* the message is whole */
    bool stored;                /* the record names the file: it is not ours to remove */
};

static void write_on(struct big *big);

static void destroy(struct big *big)
{
    big->transaction->big = NULL;
    big->smtpd->big_count--;
    spool_body_free(big->body);
    buf_done(&big->writing);
    buf_done(&big->filling);
    free(big);
}

static void drop_file(struct big *big)
{
    store_body_cancel(&big->smtpd->store, &big->ask);
    if (big->number && !big->stored)
        store_body_drop(&big->smtpd->store, big->number);
    big->number = 0;
}

bool big_free(struct transaction *transaction)
{
    struct big *big = transaction->big;
    if (!big)
        return true;
    drop_file(big);
    /* What is still to come of one that was refused is read behind others, too. */
    if (transaction->session && transaction->session->stream && !session_is_receiving(transaction->session))
        stream_set_bulk(transaction->session->stream, false);
    if (!big->busy)
        destroy(big);
    else
        list_add_last(&big->smtpd->given_up, &big->link); /* the worker still reads the intake's memory, or ours */
    return !transaction->big;
}

static void failed(struct big *big, unsigned code, struct status_code status, struct span text)
{
    struct session *session = big->transaction->session;
    session->stalled = false;
    message_spoil(session, code, status, text); /* ends the transaction, and with it `big` */
    session_go_on(session);
}

/* The disk has done what it was asked. False: `big` is gone, because its client is, or because the disk could not. */
static bool disk_did(struct big *big, enum status status)
{
    big->busy = false;
    list_remove(&big->link);
    if (!big->transaction->session)
        transaction_end(big->transaction);
    else if (status != STATUS_OK)
        failed(big, 452, STATUS_CODE(4, 3, 1), SPAN("No room for the message now; try again later"));
    else
        return true;
    return false;
}

static void on_synced(struct spool_body *body, void *arg, enum status status)
{
    struct big *big = arg;
    if (!disk_did(big, status))
        return;
    struct session *session = big->transaction->session;
    struct spool_body_ref ref = spool_body_ref(body);
    if (message_store(big->transaction, &ref))
        big->stored = true; /* should the record fail, queue removes the file when it next starts */
    session_go_on(session);
}

static void on_written(struct spool_body *body, void *arg, enum status status)
{
    struct big *big = arg;
    if (!disk_did(big, status))
        return;
    struct session *session = big->transaction->session;
    write_on(big);
    session_go_on(session);
}

static void start(struct big *big, struct span piece)
{
    enum status status = piece.n ? spool_body_add(big->body, piece, on_written, big)
                                 : spool_body_sync(big->body, on_synced, big);
    big->busy = status == STATUS_OK;
    if (big->busy)
        return;
    big->transaction->session->stalled = false;
    message_spoil(big->transaction->session, 452, STATUS_CODE(4, 3, 1),
                  SPAN("Too much mail at a time; try again later"));
}

/* Writes what is next: the beginning that intake kept, then what came since, at last the sync. */
static void write_on(struct big *big)
{
    struct session *session = big->transaction->session;
    if (!big->body || big->busy)
        return;
    size_t count;
    const struct span *pieces = intake_pieces(&big->transaction->intake, &count);
    while (big->first < count && pieces[big->first].n == 0)
        big->first++;
    if (big->first < count) {
        start(big, pieces[big->first++]);
        return;
    }
    if (count > 0) {
        transaction_let_go(big->transaction, big->transaction->intake.bytes.n);
        intake_drop_pieces(&big->transaction->intake);
        big->first = 0;
    }
    bool enough = big->filling.n >= PIECE || (big->ended && big->filling.n > 0);
    if (enough) {
        struct buf empty = big->writing;
        buf_clear(&empty);
        big->writing = big->filling;
        big->filling = empty;
        session->stalled = false;
        start(big, buf_span(&big->writing));
    } else if (big->ended)
        start(big, SPAN_NONE);
}

static void on_body(struct body_ask *ask, int fd, uint64_t number)
{
    struct big *big = CONTAINER(ask, struct big, ask);
    struct session *session = big->transaction->session;
    struct store *store = &session->smtpd->store;
    big->number = number;
    if (fd >= 0)
        big->body = spool_body_new(store->writer, fd, number); /* owns fd, also on failure */
    if (!big->body) {
        failed(big, 452, STATUS_CODE(4, 3, 1), SPAN("No room for the message now; try again later"));
        return;
    }
    write_on(big);
    session_go_on(session);
}

void big_begin(struct session *session)
{
    struct transaction *transaction = session->transaction;
    struct intake_facts facts;
    message_facts(session, &facts);
    if (intake_header(&transaction->intake, &facts) != STATUS_OK) {
        const struct intake_refusal refusal = transaction->intake.refusal;
        message_spoil(session, refusal.reply, refusal.code, span_str(refusal.text));
        return;
    }
    struct smtpd *smtpd = session->smtpd;
    struct big *big = smtpd->big_count < smtpd->files.bodies ? calloc(1, sizeof *big) : NULL;
    if (big) {
        *big = (struct big){ .smtpd = smtpd, .transaction = transaction, .ask.on_body = on_body, .writing = BUF_EMPTY(PIECE_MAX),
                             .filling = BUF_EMPTY(PIECE_MAX) };
        list_init(&big->link);
        transaction->big = big;
        smtpd->big_count++;
        stream_set_bulk(session->stream, true);
        transaction_hold(transaction, 2 * PIECE_MAX);
    }
    if (!big || !store_body_ask(&smtpd->store, &big->ask))
        message_spoil(session, 452, STATUS_CODE(4, 3, 1), SPAN("No room for the message now; try again later"));
}

void big_body(struct session *session, struct span octets)
{
    struct big *big = session->transaction->big;
    intake_scan(&session->transaction->intake, octets);
    if (buf_add(&big->filling, octets) != STATUS_OK) {
        message_spoil(session, 452, STATUS_CODE(4, 3, 1), SPAN("Too much mail at a time; try again later"));
        return;
    }
    session->stalled = big->filling.n >= PIECE; /* until write_on() has taken it */
    write_on(big);
}

void big_end(struct session *session)
{
    struct big *big = session->transaction->big;
    big->ended = true;
    write_on(big);
}

void bigs_forget(struct smtpd *smtpd)
{
    for (struct list *link; (link = list_take_first(&smtpd->given_up)) != NULL;) {
        struct big *big = CONTAINER(link, struct big, link);
        big->body = NULL; /* the log took it along */
        big->busy = false;
        transaction_end(big->transaction);
    }
}

void big_lose(struct transaction *transaction)
{
    struct session *session = transaction->session;
    session->stalled = false;
    message_spoil(session, 451, STATUS_CODE(4, 3, 0), SPAN("The queue was started anew; try again later"));
    session_go_on(session);
}
