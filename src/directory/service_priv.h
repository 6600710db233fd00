/* directory/service_priv.h -- what the parts of the service share: exchanges, password checks, the view of the database. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "directory/accounts.h"
#include "directory/backlog.h"
#include "directory/credential.h"
#include "directory/keys.h"
#include "directory/limiting.h"
#include "directory/remember.h"
#include "directory/sasl.h"
#include "directory/service.h"
#include "loop/workers.h"

#define EXCHANGES_MAX 65536   /* open logins of one smtpd */
#define REMEMBER_COUNT 65536  /* logins remembered; 3 MiB */
#define WRONG_COUNT 16384     /* wrong passwords, 0.7 MiB */
#define WRONG_MS 3600000
#define KNOWN_COUNT 32768     /* addresses from which a login succeeded, 1.3 MiB */
#define KNOWN_MS (INT64_C(30) * 86400000)
#define SIGNINGS_MAX 8192     /* handshakes that wait for a thread; an honest smtpd has TLS_SIGNING_MAX at most */

struct directory_service {
    struct loop *loop;
    struct log *log;
    struct buf path;
    struct accounts *accounts; /* NULL: not there (yet); ask service_accounts() */
    uint64_t file[2];          /* device and inode of what is open */
    int64_t looked_ms;         /* when the file was last looked for */
    enum status trouble;       /* already logged */
    struct loop_task turn_end;
    struct workers *workers;
    struct remember *remember;
    struct remember *wrong;    /* the same wrong password again is neither a guess nor worth a hash */
    struct remember *known;    /* from where a login succeeded */
    struct guess *guess;
    struct loop_timer sweep;   /* runs while there are attacks */
    struct conf_network *many; /* networks with many persons behind an address */
    size_t many_count;
    struct tally *tally, no_tally;
    unsigned check_count;
    struct list checks;        /* struct check: passwords being checked */
    struct map clients;        /* struct client: whose checks wait */
    unsigned waiting_max;
    enum directory_scram scram;
    uint32_t iterations;       /* of verifiers that do not exist */
    bool offers_scram;
    struct list peers;         /* struct directory_peer */
    struct loop_timer offer_timer;
    struct accounts *accounts_looked; /* of which generation and looked_from are */
    int64_t generation, looked_from;
    bool is_looking;           /* whether all accounts have a verifier, in slices */
    bool has_salt_secret;
    unsigned char salt_secret[SCRAM_HASH];
    struct keys keys;
    struct workers *signers;
    struct list signings;      /* struct signing: on their way through the threads */
    unsigned signed_in_turn;   /* on the spot */
    uint64_t refused;          /* signatures, since that was last told */
    int64_t refused_ms;
    struct limiting *limiting;
    struct directory_backlog *backlog; /* of the queue; NULL: it is not here */
    directory_on_level *on_level; /* NULL: nobody wants to know */
    void *on_level_arg;
};

struct directory_peer {
    struct directory_service *service;
    struct list link;
    directory_answer *answer;
    void *arg;
    struct map exchanges; /* struct exchange by token */
};

/* A login between its first word and its answer. */
struct exchange {
    struct map_node node;
    struct list waiter;   /* in a check, while its password is being checked */
    struct directory_peer *peer;
    uint64_t token;
    struct sasl sasl;
    struct buf login;     /* the key of who wants in; empty when it cannot be anybody's */
    struct buf client;    /* the address it comes from */
    bool is_known;        /* the login has succeeded from there */
    bool may_succeed;     /* SCRAM: there was a verifier */
    int64_t credential;   /* SCRAM: whose it is */
};

/* One password on its way through a worker; several exchanges may wait for the same. */
struct check {
    struct work work;
    struct list link;
    struct list waiters;
    struct directory_service *service;
    struct client *client;
    struct remember_name name; /* over all that is tried */
    struct guess_try try;
    bool is_counted;      /* guess_begin() was called */
    bool may_succeed;     /* false: unknown or disabled; hashed all the same, for the time it takes */
    const char *reason;   /* for the log, why it cannot succeed */
    struct buf stored, password; /* stored: all of them, one behind the other */
    struct { int64_t credential; size_t octets; struct remember_name name; } tried[CREDENTIALS_TRIED_MAX];
    size_t tried_count;
    size_t fits;          /* the place of the one that fits, when `result` is OK */
    enum status result;
};

/* Checks that one client address has waiting. */
struct client {
    struct map_node node;
    struct buf address;
    unsigned count;
};

/* The database as it is now, or NULL with a status that is an answer "later" (IO...) or "nobody exists" (NOT_FOUND). */
struct accounts *service_accounts(struct directory_service *service, enum status *ret_why);
/* Logs a failed question once until it works again. */
void service_trouble(struct directory_service *service, enum status status);

#define SERVICE_TEXT_MAX 420 /* octets of a sentence for a client */
/* May this credential of the account be used now, from `client` (empty: do not look)? False: adds why not. */
bool service_credential_opens(const struct account *account, struct span login, struct span client, struct buf *why);

/* guard.c: the part of a login that knows about guessers. */
bool guard_new(struct directory_service *service, const struct guess_limits *limits); /* false: out of memory */
void guard_free(struct directory_service *service);
/* Names the try of this exchange; looks whether its address is known for its login. */
void guard_try(struct exchange *exchange, struct guess_try *ret);
void guard_know(struct exchange *exchange); /* its login has succeeded */
/* A sentence for somebody who has to wait. */
void guard_say_wait(int64_t wait_ms, struct buf *ret);
void guard_refuse(struct directory_service *service, const struct guess_try *try);
void guard_begin(struct directory_service *service, const struct guess_try *try);
void guard_end(struct directory_service *service, const struct guess_try *try, enum guess_result result);

enum status login_start(struct directory_peer *peer, struct span body);
enum status login_next(struct directory_peer *peer, struct span body);
enum status login_cancel(struct directory_peer *peer, struct span body);
void login_exchange_free(struct exchange *exchange);
/* Answers that it was no success, and ends the exchange. `reason` is for the log. `is_news` false: only one of many. */
void login_finish(struct exchange *exchange, enum auth_result result, const char *reason, bool is_news);
/* Its password fits this credential: may that be used, now and from there? Answers, and ends the exchange. `is_remembered`: it
 * was not hashed this time. */
void login_admit(struct exchange *exchange, int64_t credential, bool is_remembered);
/* Ends it by telling how long to wait, before anything is hashed, and before he could learn from our memory what is right. */
void login_put_off(struct exchange *exchange, const struct guess_try *try, int64_t wait_ms);
/* Goes on with what a message came to. */
void login_advanced(struct exchange *exchange, enum sasl_step step);

/* login_scram.c */
void login_scram_begin(struct exchange *exchange); /* the login is there */
void login_scram_prove(struct exchange *exchange); /* the proof is */

/* offer.c */
void offer_init(struct directory_service *service);
void offer_done(struct directory_service *service);
void offer_to(struct directory_peer *peer); /* a new one */
void login_check_free(struct check *check);
/* sign.c */
enum status sign_start(struct directory_peer *peer, struct span body);
void sign_forget_peer(struct directory_peer *peer);
void sign_free_all(struct directory_service *service); /* its threads are gone */
