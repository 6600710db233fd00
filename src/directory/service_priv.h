/* directory/service_priv.h -- what the parts of the service share: exchanges, password checks, the view of the database. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "directory/accounts.h"
#include "directory/remember.h"
#include "directory/sasl.h"
#include "directory/service.h"
#include "loop/workers.h"

#define EXCHANGES_MAX 65536   /* open logins of one smtpd */
#define REMEMBER_COUNT 65536  /* logins remembered; 3 MiB */

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
    struct list checks;        /* struct check: passwords being checked */
    struct map clients;        /* struct client: whose checks wait */
    unsigned waiting_max;
};

struct directory_peer {
    struct directory_service *service;
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
};

/* One password on its way through a worker; several exchanges may wait for the same. */
struct check {
    struct work work;
    struct list link;
    struct list waiters;
    struct directory_service *service;
    struct client *client;
    struct remember_name name;
    bool may_succeed;     /* false: unknown or disabled; hashed all the same, for the time it takes */
    const char *reason;   /* for the log, why it cannot succeed */
    struct buf stored, password;
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

enum status login_start(struct directory_peer *peer, struct span body);
enum status login_next(struct directory_peer *peer, struct span body);
enum status login_cancel(struct directory_peer *peer, struct span body);
void login_exchange_free(struct exchange *exchange);
void login_check_free(struct check *check);
