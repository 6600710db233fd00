/* smtpd/session_priv.h -- what the files of a session share. */
#pragma once
#include "net/stream.h"
#include "smtp/server.h"
#include "smtpd/session.h"

struct big;
struct local;

/* What the limits have counted of a message that is none yet. */
struct counted_part {
    uint8_t which;                /* COUNT_x */
    uint32_t recipients;
    uint64_t octets;
};

/* A message from MAIL to its end. */
struct transaction {
    struct list link;             /* among the spare ones */
    struct smtpd *smtpd;
    struct session *session;      /* NULL: the client went away while the message was being stored, or the message was
                                   * given up while a piece of it was being written */
    struct intake intake;
    struct big *big;              /* a large one on its way into a file of its own */
    struct buf envid;
    struct buf waiting;           /* the recipient that directory is asked about: address, then ORCPT; without a
                                   * session: its account */
    size_t waiting_address;       /* octets of its address */
    unsigned waiting_notify;
    uint64_t id;
    int64_t began_ms, data_ms;    /* MAIL, DATA */
    struct client *client;        /* whose memory it is; stays while anything is held */
    uint64_t held;                /* octets counted in smtpd->held */
    enum smtp_ret ret;
    struct counted_part counted[2]; /* elsewhere; to addresses of ours */
    uint64_t counted_ms;          /* when the last of it was, by directory's time */
    uint64_t credential;          /* the session's, when that is gone */
    uint8_t counting;             /* what the question in hand is about: COUNT_x */
    bool has_remote;              /* a recipient who is not ours */
    bool utf8, body_8bit;
    bool storing;                 /* the log has it: stays until on_stored() */
};

struct session {
    struct list link;
    struct smtpd *smtpd;
    struct smtpd_config *config;
    const struct conf_listen *listen;
    struct stream *stream;        /* NULL once it is given away */
    struct smtp_server server;
    struct loop_timer timer;
    struct loop_task gone;        /* frees the session once it is over */
    struct question question;
    struct transaction *transaction; /* NULL outside */
    struct client *client;
    struct local *local;          /* a client of this machine (smtpd/local.h); NULL: not one */
    char *account;                /* who logged in; NULL: nobody */
    size_t account_n;
    uint64_t credential;          /* with what, as directory numbers it */
    bool restricted;              /* which may not send as the account's own address without a question */
    int64_t active_ms;            /* the client last said something whole, or was last answered */
    int64_t busy_ms;              /* since when a message is being given; 0: none is */
    int64_t asked_ms;             /* the question in hand */
    int64_t vouched_ms;           /* when directory was last asked about the account and said yes */
    int64_t look_ms;              /* what the timer is set for */
    int64_t shakes_ms;            /* since when a handshake goes on */
    struct list in_shaking;       /* in load.shaking, meanwhile */
    uint32_t octets;              /* counted for it in load.octets */
    struct conf_ip ip;
    char address[48];             /* of the client, as text */
    bool has_ip, trusted;         /* trusted: from a listed network */
    bool proxy;                   /* a PROXY header must come first */
    bool greeted, shaking;        /* shaking: a TLS handshake is going on */
    bool shake_counted, is_bulk;  /* for the client; behind others, because there are many */
    bool running, stalled;        /* stalled: the disk must catch up before more is read */
    bool waits_store;             /* MAIL is good, but the queue is away: since asked_ms */
    bool secret;                  /* a password was among the octets that are being read */
    bool ended;                   /* the client sends no more, but may read */
    bool over;                    /* nothing more; freed when the stack is ours */
    char mechanism[SMTP_MECHANISM_MAX + 1];
};

#define SESSION_ASK_MS 60000 /* how long directory may take for an answer */

static inline const struct smtpd_settings *session_settings(const struct session *session)
{
    return &session->config->root->smtpd;
}
static inline bool session_is_submission(const struct session *session)
{
    return session->listen->service == CONF_SERVICE_SUBMISSION;
}
static inline struct span session_account(const struct session *session)
{
    return span_of(session->account, session->account_n);
}

/* Whose rights hold: the account's, or those lent to a user of this machine. */
struct span session_rights(const struct session *session);

/* session_time.c: how long a client that says nothing is waited for: less for strangers who keep others out. */
int64_t session_idle_ms(const struct session *session);
bool session_is_receiving(const struct session *session); /* octets of a message, also those that go nowhere */
bool session_is_slow(const struct session *session, int64_t now); /* its message comes too slowly */
/* When something is next to be looked at. */
int64_t session_next_look(const struct session *session, int64_t now);

/* session.c: ends it at once and without a word. */
void session_cut(struct session *session, const char *why);
/* Silent sessions look at their clocks again: the load has changed. */
void sessions_hurry(struct smtpd *smtpd);
/* The supervisor has said who the client of this machine is. */
void session_on_local(struct session *session);
/* After an answer was given outside the session's own run. */
void session_go_on(struct session *session);
/* The log line of a refusal: what was refused, for whom and why. */
void session_log_refused(struct session *session, const char *stage, struct span recipient, unsigned code, struct span text);
/* Answers and logs. */
void session_refuse(struct session *session, const char *stage, struct span recipient, unsigned code,
                    struct status_code status, struct span text);
/* The queue is there again, or has been waited for long enough. */
void session_on_store(struct session *session);
/* Refuses because of store_check(). */
void session_refuse_store(struct session *session, const char *stage, enum status status);

/* login.c, envelope.c, message.c: the handlers of the events. Answers of directory come to the second of each pair. */
void login_on_auth(struct session *session, const struct smtp_server_event *event);
void login_on_response(struct session *session, const struct smtp_server_event *event);
void login_on_answer(struct session *session, const struct answer *answer);
/* Does what directory last said answer for `address` as well? `known`: an address that it said yes to, or empty. */
bool login_is_vouched(const struct session *session, struct span address, struct span known);
/* Keeps in mind what directory answered to the question of asked_ms. */
void login_vouch(struct session *session, const struct answer *answer);
void envelope_on_mail(struct session *session, const struct smtp_mail *mail);
void envelope_begin(struct session *session);
void envelope_on_sender_answer(struct session *session, const struct answer *answer);
void envelope_on_rcpt(struct session *session, const struct smtp_rcpt *rcpt);
void envelope_on_recipient_answer(struct session *session, const struct answer *answer);
void message_on_data(struct session *session);
void message_on_body(struct session *session, struct span octets);
void message_on_end(struct session *session);
void message_on_author_answer(struct session *session, const struct answer *answer);
/* True: on its way to the disk. False: refused, and the transaction is gone. */
bool message_store(struct transaction *transaction, const struct spool_body_ref *file);
void message_facts(struct session *session, struct intake_facts *ret);
void message_spoil(struct session *session, unsigned code, struct status_code status, struct span text);

/* counting.c: the limits. ASKED: the answer will come; AWAY: nobody answers. */
enum counting { COUNTING_FREE, COUNTING_ASKED, COUNTING_AWAY };
enum counting counting_recipient(struct session *session, struct span address);
enum counting counting_message(struct session *session); /* the whole, at its end */
/* The answer. False: `ret_code` and `ret_status` are those of the refusal, the text is the answer's. */
bool counting_take(struct session *session, const struct answer *answer, unsigned *ret_code, struct status_code *ret_status);
/* It has become no message: what was counted for it is given back. */
void counting_undo(struct transaction *transaction);

/* transaction.c. NULL: out of memory. */
struct transaction *transaction_begin(struct session *session);
/* Its session has none any more. It itself stays, and what it holds stays counted, until no worker reads its memory. */
void transaction_end(struct transaction *transaction);
void transaction_hold(struct transaction *transaction, uint64_t octets); /* counts them */
void transaction_let_go(struct transaction *transaction, uint64_t octets); /* some of those counted before */
/* Too much mail is on its way, altogether or from this client. */
bool session_is_over_memory(const struct session *session);

/* big.c: large messages. */
void big_begin(struct session *session);                       /* intake_take() said FULL */
void big_body(struct session *session, struct span octets);
void big_end(struct session *session);                         /* the message is whole and may be stored */
/* False: a piece is being written; transaction_end() is called again after that. */
bool big_free(struct transaction *transaction);
void big_lose(struct transaction *transaction);                /* the queue is gone */
