/* sim/world.h -- everything around goniec in a simulated run: who sends, who receives, who names, who operates, what goes
 * wrong; and the ledger of what was promised and what came of it.
 *
 *   house.c      the supervisor's place: starts the roles, gives them what they need, starts again what dies
 *   clients.c    send mail, well or badly; each 250 is a promise in the ledger
 *   names.c      the DNS, in the place of net/dns.c
 *   peers.c      the servers of the recipients, in all weathers; each 250 of theirs is a delivery in the ledger
 *   operators.c  hold, release, delete, ... over the control socket
 *   chaos.c      kills, power cuts, bad disks, jumping clocks
 *   story.c      the event log, as a reader of it sees it
 *   verdict.c    holds the ledger to the promises
 *
 * All of it is fibers of the kernel's process 0 (kernel.h), and all chance comes from the seed.
 */
#pragma once
#include "base/buf.h"
#include "kernel.h"
#include <stdio.h>

#define WORLD_DOMAINS 16
#define WORLD_HOSTS 16
#define WORLD_RECIPIENTS 160  /* of one message */
#define WORLD_MESSAGES 4096
#define WORLD_REPORTS 8192
#define WORLD_INCIDENTS 65536
#define WORLD_SENDS 16        /* deliveries of one recipient that are remembered */

/* -- the plan of a run: chosen by the seed, or by a scenario's name -- */

struct plan {
    const char *scenario;
    uint64_t seed;
    /* how much of each, in a hundred: 0 never, 100 as often as makes sense */
    unsigned kills, power, disk, flips, clock, weather, rude, operators, reloads, cuts, memory;
    unsigned smtpds, deliveries;
    unsigned clients, messages;      /* at most so many messages in all */
    int64_t trouble_ms;              /* how long all this goes on */
    uint32_t big_body;               /* octets */
    int64_t first_retry_ms, longest_retry_ms, expire_ms, delay_notice_ms;
    int64_t end_of_data_ms;
    unsigned compact, per_transaction;
    bool double_bounce;              /* to the postmaster */
    bool chunking, pipelining;
};
/* NULL as a name: the seed chooses. False: no such scenario. */
bool plan_make(const char *scenario, uint64_t seed, struct plan *ret);
void plan_list(void (*each)(const char *name, const char *about));
/* The settings file, as it is after so many reloads. */
void plan_settings(const struct plan *plan, unsigned reloads, struct buf *ret);

/* -- the ledger -- */

enum delivered_how { HOW_SURE, HOW_UNSURE }; /* UNSURE: the peer's 250 may not have been heard: it cut right behind it */

struct sent {
    int64_t mail_ms, end_ms, ms; /* MAIL and the end of data came; its 250 went */
    int64_t left_ms;             /* its client had died or gone by then; 0: it was there */
    uint64_t connection;
    enum delivered_how how;
};

enum deleted { DELETED_NO, DELETED_MAYBE, DELETED_YES };

struct rcpt {
    char address[80];
    unsigned domain;
    uint8_t notify;              /* 0; 'n'ever, 's'uccess, 'f'ailure, 'd'elay */
    bool accepted;
    bool refused;                /* a peer said 5xx to it, or to all */
    unsigned sent_count;
    struct sent sent[WORLD_SENDS];
    bool expired;                /* its time was over, the log says */
    unsigned bounced;            /* the log says that a report of its failure was stored */
    int64_t bounced_ms[4];
    unsigned told;               /* reports of its failure that arrived */
    unsigned silent;             /* given up without a report, as the log says */
    int64_t silent_ms;
    enum deleted deleted;
    int64_t deleted_ms;
    int64_t held_from, held_to;  /* certainly held in between; 0: not */
    int64_t logged_delivered_ms; /* the log's last word about it */
};

enum answer { ANSWER_NONE, ANSWER_TAKEN, ANSWER_REFUSED }; /* what the client heard at the end of data */

struct letter {
    uint32_t number;
    uint64_t id;                 /* 0: not known */
    char sender[80];             /* "": the null sender */
    size_t octets;
    bool eight_bit;
    enum answer answer;
    int64_t answer_ms;
    bool logged;                 /* the log says that it was accepted */
    bool without_queue;          /* the log says that it was stored but not promised */
    bool damaged;                /* chaos flipped a bit of it */
    unsigned rcpt_count;
    struct rcpt *rcpts;
};

enum report_kind { REPORT_FAILED, REPORT_DELAYED, REPORT_DELIVERED, REPORT_RELAYED };

struct report {
    uint64_t id;
    uint32_t about;              /* number of the letter; 0: a report of ours, for the postmaster */
    uint64_t about_id;
    enum report_kind kind;
    int64_t logged_ms;
    unsigned arrived;
    struct sent sent[WORLD_SENDS];
    bool dropped, damaged;
    unsigned bounced;            /* reports about it */
    enum deleted deleted;
};

enum incident_kind { KILLED_SMTPD, KILLED_QUEUE, KILLED_DELIVERY, KILLED_ALL, POWER_CUT, CONNECTION_CUT, CONNECTION_HELD,
                     LEASES_UNTOLD, LEASE_LOST, JOURNAL_TROUBLE, JOURNAL_WORKS, BIT_FLIPPED, STORED_UNTOLD,
                     DISK_FAILS, DISK_HEALS };
struct incident {
    enum incident_kind kind;
    int64_t ms;
    uint64_t what;               /* pid, connection or message */
};

struct totals {
    uint64_t seeds, failed;
    double hours;
    uint64_t kills, power_cuts, faults, cuts, flips, clock_jumps, reloads, restarts;
    uint64_t letters, accepted, delivered, bounced, deleted, silent, twice, refused_delivered, steps;
};

/* -- hosts and domains -- */

enum mood { MOOD_FINE, MOOD_CLOSED, MOOD_SILENT, MOOD_UNREACHABLE, MOOD_BUSY, MOOD_GREY, MOOD_REFUSES_SOME, MOOD_REFUSES_MAIL,
            MOOD_NO_DATA, MOOD_LATER, MOOD_REFUSES_END, MOOD_STALLS, MOOD_DROPS, MOOD_RESETS, MOOD_GARBAGE, MOOD_ENDLESS,
            MOOD_SLOW, MOOD_COUNT };

struct host {
    char name[40];
    uint32_t ip;                 /* host order */
    enum mood mood;
    bool pipelining, chunking, dsn, eight_bit, size;
};

enum dns_mood { DNS_FINE, DNS_SERVFAIL, DNS_SILENT, DNS_SLOW, DNS_MOOD_COUNT };

struct domain {
    char name[40];
    unsigned mx[3], mx_count;    /* 0: the domain's own address: host `self` */
    unsigned self;
    bool gone;                   /* NXDOMAIN, always */
    enum dns_mood dns;
};

/* What the log tells is noted in the context of the process that writes it: all of this is there before the run. */
struct world {
    struct plan plan;
    bool calm;                   /* the weather has cleared, nothing goes wrong any more, */
    int64_t calm_ms;             /* since then */
    bool over;                   /* clients and operators go home */
    struct host hosts[WORLD_HOSTS];
    unsigned host_count;
    struct domain domains[WORLD_DOMAINS];
    unsigned domain_count;
    struct letter **letters;     /* by number, from 1 */
    uint32_t letter_count;
    struct report *reports;
    size_t report_count;
    struct incident *incidents;
    size_t incident_count;
    uint64_t recent[32];         /* connections of clients and peers, for those who cut them */
    unsigned recent_at;
    unsigned clients_left;
    bool killer_left;
    struct kernel_gate all_sent; /* the last client, or the killer, has gone home */
    struct totals totals;
};
extern struct world *world;

/* -- ledger.c -- */
struct letter *ledger_letter_new(void);
struct letter *ledger_letter(uint32_t number);             /* NULL: none */
struct letter *ledger_letter_by_id(uint64_t id);
struct report *ledger_report(uint64_t id);                 /* NULL: none */
struct report *ledger_report_ref(uint64_t id);
/* "gone12-3@..." is recipient 3 of letter 12. NULL: not ours. */
struct rcpt *ledger_rcpt(struct span address, struct letter **ret_letter);
void ledger_incident(enum incident_kind kind, uint64_t what);
void ledger_connection(int fd);                            /* one more that may be cut */
void ledger_done(void);

/* -- mail.c: what is in a letter -- */
void mail_make(const struct letter *letter, struct buf *ret);
struct mail_seen {
    bool is_report;
    uint32_t number;             /* X-Sim; in a report that of the letter it is about; 0: none */
    uint64_t id;                 /* goniec's, by the trace field or the report's own Message-ID */
};
void mail_look(struct span text, bool null_sender, struct mail_seen *ret);
/* Calls `each` for every recipient that the report names. */
void mail_report_each(struct span text, void (*each)(void *arg, struct span address, struct span action), void *arg);

/* -- the others -- */
void names_make(void);                                     /* domains and hosts of this run */
void peers_start(void);
enum kernel_connect peers_connect(void *arg, const struct sockaddr *to, socklen_t n);
void weather_start(void);
void clients_start(void);
void operators_start(void);
void chaos_start(void);
void chaos_end(void);                                      /* heals what is broken */
void story_start(void);
int story_sink(void);                                      /* a descriptor that writes the event log */
uint64_t story_count(const char *event);                   /* of the run so far */
void story_tail(FILE *to);                                 /* the last lines, for a person */

/* One request to the queue; every line of the answer goes to `on_line` (may be NULL). False: no answer. */
bool operator_ask(const char *request, void (*on_line)(void *arg, struct span line), void *arg);
struct operator_status {
    uint64_t messages, recipients;
};
bool operator_status(struct operator_status *ret);
void operator_release_all(void);

/* -- house.c -- */
void house_begin(void);
void house_start(void);
bool house_wait_ready(int64_t ms);                         /* all processes have said READY */
void house_reload(void);                                   /* with the settings of one reload more */
void house_directory_dies(void);                           /* smtpd's channels to it end; others come */
/* In an orderly way. False: `why`: somebody did not go, or not with 0, or left something behind. */
bool house_stop(int64_t ms, char *why, size_t room);
void house_off(void);                                      /* nobody is started again until house_start() */
void house_forget(void);                                   /* all die at once, we with them; then house_start() */
int house_pid(const char *role, unsigned number);          /* 0: not there now */

/* -- verdict.c -- */
void verdict_wait_until_empty(void);
void verdict_spool(const char *when);
void verdict_space(void);
void verdict_nothing_since(int64_t ms);                    /* after an orderly stop */
void verdict_ledger(void);

/* World's random numbers in words. */
static inline bool one_in(unsigned n) { return kernel_below(n) == 0; }
static inline bool percent(unsigned n) { return kernel_below(100) < n; }
static inline int64_t between(int64_t least, int64_t most) { return least + (int64_t)kernel_below((uint64_t)(most - least) + 1); }
