/* smtpd/session.h -- one connection, from its first octet to its last.
 *
 * Octets go through smtp/server.h; its events are acted on here, some of them after an answer of directory, queue or
 * the disk. While an answer is awaited the client's next octets wait in the stream. An idle session owns less than
 * a kilobyte; what belongs to a message (struct transaction) exists from MAIL to its end.
 */
#pragma once
#include "conf/common.h"
#include "net/address.h"
#include "smtpd/asking.h"
#include "smtpd/clients.h"
#include "smtpd/config.h"
#include "smtpd/files.h"
#include "smtpd/load.h"
#include "smtpd/signing.h"
#include "smtpd/store.h"

/* What all sessions of the process share. */
struct smtpd {
    struct loop *loop;
    struct log *log;
    struct list configs;          /* struct smtpd_config */
    struct smtpd_config *config;  /* in force; NULL before START */
    struct asking asking;
    struct signing signing;
    struct store store;
    struct tally tally;           /* shared by the processes smtpd */
    struct clients clients;
    struct load load;
    struct list sessions;
    unsigned session_count;
    struct list locals;           /* struct local: clients of this machine */
    uint64_t local_token;
    struct channel *supervisor;   /* knows who they are */
    struct list spare;            /* struct transaction, used before: their memory is kept */
    unsigned spare_count, spare_least; /* least: since the last time that they were tidied */
    uint64_t spare_octets;
    struct loop_timer tidy;       /* runs only while there may be something to give back */
    struct list given_up;         /* struct big: large messages of which a piece is still being written */
    struct smtpd_files files;
    unsigned big_count;           /* large messages on their way */
    uint64_t held;                /* octets of messages in memory */
    unsigned storing;             /* messages on their way to the disk */
    bool draining;
    void (*on_session_end)(struct smtpd *smtpd);
};

/* A connection was accepted at `listen` (of `config`); owns `fd`. `client` is its account or NULL. */
void session_begin(struct smtpd *smtpd, struct smtpd_config *config, const struct conf_listen *listen, int fd,
                   const struct net_address *peer, struct client *client);
/* Going down: who is idle is told so now, others after their message. */
void sessions_drain(struct smtpd *smtpd);
void sessions_store_ready(struct smtpd *smtpd); /* messages can be taken again */
void sessions_free(struct smtpd *smtpd); /* at once */
/* The queue died: large messages whose body files it owned cannot be taken any more. Before the log is freed, and after. */
void sessions_lose_bodies(struct smtpd *smtpd);
void bigs_forget(struct smtpd *smtpd);
void transactions_init(struct smtpd *smtpd);
/* Memory became free that is soon given back to the system, should nobody need it before. */
void transactions_tidy_later(struct smtpd *smtpd);
/* Frees the spare ones that nobody needed since the last time, and hands back what malloc keeps. */
void transactions_tidy(struct smtpd *smtpd);
/* Frees what was kept for the next messages. */
void transactions_done(struct smtpd *smtpd);
